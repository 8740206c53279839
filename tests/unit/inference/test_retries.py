"""Trying again, later and later."""

from sightsmith_inference.retries import Retries


def test_waits_longer_each_time_and_not_for_ever() -> None:
    retries = Retries()
    seconds = [retries.postpone("a") for _ in range(8)]
    assert seconds == [0.5, 1, 2, 4, 8, 15, 15, 15]
    assert not retries.is_due("a")
    assert retries.waiting() == {"a"}


def test_forgets() -> None:
    retries = Retries()
    retries.postpone("a")
    retries.forget("a")
    assert retries.is_due("a")
    assert retries.waiting() == frozenset()
    assert retries.postpone("a") == 0.5
