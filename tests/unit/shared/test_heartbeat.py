"""A lease is renewed while work is done, and the work ends with the lease."""

import asyncio

import pytest

from sightsmith.errors import UnavailableError
from sightsmith.heartbeat import Heartbeat, JobCancelledError, LeaseLostError


class Lease:
    """Notes what it is told, and answers as it is set to."""

    def __init__(self, *errors: Exception | None) -> None:
        self.progress: str | None = None
        self.told: list[str | None] = []
        self.errors = list(errors)

    async def renew(self, news: str | None) -> None:
        self.told.append(news)
        if self.errors and (error := self.errors.pop(0)) is not None:
            raise error


def heart(lease: Lease, lease_seconds: float = 10) -> Heartbeat[str]:
    return Heartbeat(lease.renew, lambda: lease.progress, 0.001, lease_seconds)


async def until_told(lease: Lease, times: int) -> None:
    while len(lease.told) < times:
        await asyncio.sleep(0.001)


async def test_news_are_told_once_and_the_work_s_result_comes_back() -> None:
    lease = Lease()

    async def work() -> int:
        for progress in ("begun", "half"):
            lease.progress = progress
            await until_told(lease, len(lease.told) + 2)
        return 7

    assert await heart(lease).beside(work()) == 7
    assert [news for news in lease.told if news is not None] == ["begun", "half"]
    assert None in lease.told


async def test_what_goes_wrong_with_the_work_comes_out() -> None:
    async def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await heart(Lease()).beside(work())


@pytest.mark.parametrize("error", [JobCancelledError("job"), LeaseLostError("job")])
async def test_the_work_is_stopped_with_the_lease(error: Exception) -> None:
    stopped = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    with pytest.raises(type(error)):
        await heart(Lease(None, error)).beside(work())
    assert stopped.is_set()


async def test_a_database_may_be_away_for_as_long_as_the_lease_lasts_and_hears_the_news_then() -> None:
    lease = Lease(UnavailableError("away"), UnavailableError("away"))
    lease.progress = "begun"
    await heart(lease).beside(until_told(lease, 4))
    assert lease.told[:4] == ["begun", "begun", "begun", None]


async def test_a_lease_that_could_not_be_renewed_in_time_is_lost() -> None:
    lease = Lease(*[UnavailableError("away")] * 1000)
    with pytest.raises(LeaseLostError):
        await heart(lease, lease_seconds=0.01).beside(asyncio.sleep(60))


async def test_a_lease_whose_renewal_is_never_answered_is_lost() -> None:
    async def swallow(news: str | None) -> None:
        await asyncio.Event().wait()

    silent = Heartbeat[str](swallow, lambda: None, 0.001, lease_seconds=0.05)
    with pytest.raises(LeaseLostError):
        await silent.beside(asyncio.sleep(30))
