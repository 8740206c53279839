"""Waiting, and what is not waited for."""

import time

import pytest

from sightsmith.errors import InvalidArgumentError, ResourceExhaustedError, UnavailableError
from sightsmith_inference.batches.answering import Courtesy
from sightsmith_inference.batches.patience import patiently


class _Work:
    """Fails with these errors, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)

    async def __call__(self) -> str:
        if self._errors:
            raise self._errors.pop(0)
        return "done"


async def test_what_is_away_or_busy_is_waited_for() -> None:
    busy = ResourceExhaustedError("too many images", reason="OVERLOADED")
    assert await patiently(_Work(UnavailableError("away"), busy), 10) == "done"


@pytest.mark.parametrize("error", [InvalidArgumentError("wrong"), ResourceExhaustedError("too large")])
async def test_what_is_wrong_is_not(error: Exception) -> None:
    with pytest.raises(type(error)):
        await patiently(_Work(error), 10)


async def test_patience_ends() -> None:
    with pytest.raises(UnavailableError, match="still away"):
        await patiently(_Work(UnavailableError("away"), UnavailableError("still away")), 0.1)


async def test_who_looks_decides() -> None:
    async def has_hope(error: Exception) -> bool:
        return "hope" in str(error)

    with pytest.raises(UnavailableError, match="gone for good"):
        await patiently(_Work(UnavailableError("there is hope"), UnavailableError("gone for good")), 10, has_hope)


@pytest.mark.parametrize(("are_waiting", "least", "most"), [(True, 0.09, 5.0), (False, 0.0, 0.05)])
async def test_clients_that_wait_go_first(are_waiting: bool, least: float, most: float) -> None:
    begin = time.monotonic()
    await Courtesy(0.25, lambda: are_waiting).after(0.03)
    assert least <= time.monotonic() - begin <= most
