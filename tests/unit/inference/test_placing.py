"""Replicas are spread evenly, and few of them move."""

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from sightsmith_inference.models import Runtime, ServableModel
from sightsmith_inference.placing import Need, place
from sightsmith_inference.profiles import Profile, Trial
from sightsmith_inference.setups import Setup

servers = st.sets(st.text("abcdef:0123456789", min_size=1, max_size=12), min_size=1, max_size=8)
MODEL = ServableModel("farm.v1.onnx.0123456789ab", "projects/farm/models/v1", Runtime.ONNX, ("hen", "cow"), 8, 8)


@given(st.text(max_size=20), st.integers(1, 40), servers)
def test_none_has_two_more_than_another(model: str, replicas: int, among: set[str]) -> None:
    placed = place(model, replicas, among)
    counts = [placed.get(server, 0) for server in among]
    assert sum(counts) == replicas
    assert max(counts) - min(counts) <= 1
    assert placed == place(model, replicas, sorted(among, reverse=True))


@given(st.text(max_size=20), st.integers(1, 8), servers)
def test_what_stands_elsewhere_stays_when_a_server_goes(model: str, replicas: int, among: set[str]) -> None:
    gone = min(among)
    before, after = place(model, replicas, among), place(model, replicas, among - {gone})
    if replicas <= len(among) - 1:
        assert set(before) - {gone} <= set(after)


def test_without_servers_there_are_none() -> None:
    assert place("any", 3, ()) == {}


def test_what_is_enough_for_two_deployments() -> None:
    plain, tuned = Setup(2), Setup(instances=4, threads=1)
    measured = replace(MODEL, profile=Profile((Trial(tuned, 100.0, 0.1),), datetime(2026, 11, 23, tzinfo=UTC)))
    few, many = Need(measured, 1, tuned), Need(measured, 3, plain)
    assert few | many == many | few == Need(measured, 3, tuned)
