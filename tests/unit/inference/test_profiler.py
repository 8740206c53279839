"""Which set-ups are tried, and what is remembered of them."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from sightsmith_inference.models import Processor
from sightsmith_inference.profiler import batch_sizes_of, splits_of
from sightsmith_inference.profiles import Profile, Trial, profile_of, profile_to_json
from sightsmith_inference.setups import Setup, plain_setup


@given(st.integers(1, 256))
def test_no_way_to_divide_cores_takes_more_than_there_are(cores: int) -> None:
    splits = splits_of(Processor.CPU, cores)
    assert splits[0] == plain_setup(Processor.CPU)
    assert len(set(splits)) == len(splits)
    assert all(0 < split.instances * split.threads <= cores for split in splits[1:])


def test_splits_and_batches() -> None:
    assert splits_of(Processor.CPU, 1) == [Setup(2), Setup(1, 1)]
    assert splits_of(Processor.CPU, 6) == [Setup(2), Setup(1, 6), Setup(2, 3), Setup(4, 1)]
    assert splits_of(Processor.GPU, 1) == [Setup(1), Setup(2), Setup(3), Setup(4)]
    assert batch_sizes_of(8) == [1, 2, 4]
    assert batch_sizes_of(1) == []


def test_a_profile_is_read_as_it_was_stored() -> None:
    trials = (Trial(Setup(), 100.0, 0.07), Trial(Setup(2, 1), 180.0, 0.05), Trial(Setup(2, 1, 4), 180.0, 0.04))
    profile = Profile(trials, datetime(2026, 11, 23, tzinfo=UTC))
    assert profile_of(profile_to_json(profile)) == profile
    # Of equal ones the first, which is the simpler one.
    assert profile.best.setup == Setup(2, 1)
