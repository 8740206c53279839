"""How the model versions behind one name share its traffic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightsmith_inference.models import RECOMMENDED
from sightsmith_inference.releases import LIVE, MAX_ALIASES, Release, Target, targets_of, violations_of

MODEL = "projects/shop/models/v1"


def _target(alias: str, share: float, *, is_shadow: bool = False) -> Target:
    return Target(alias, MODEL, RECOMMENDED, share, is_shadow)


def _release(*others: Target) -> Release:
    return Release(1, targets_of(MODEL, RECOMMENDED, others))


@given(st.lists(st.integers(0, 25), max_size=4), st.integers(0, 99))
def test_each_gets_its_share_and_live_the_rest(percents: list[int], chance: int) -> None:
    others = [_target(f"a{index}", percent / 100) for index, percent in enumerate(percents)]
    release = _release(*others)
    counts = {target.alias: 0 for target in release.targets}
    for step in range(100):
        counts[release.pick((step + 0.5) / 100).alias] += 1
    assert [counts[target.alias] for target in others] == percents
    assert counts[LIVE] == 100 - sum(percents)
    assert sum(target.share for target in release.targets) == pytest.approx(1)
    assert release.find(release.pick(chance / 100).alias) is not None


def test_a_shadow_answers_nobody_and_takes_nothing() -> None:
    release = _release(_target("next", 1.0, is_shadow=True), _target("canary", 0.5))
    assert release.live.share == 0.5
    assert {release.pick(chance / 10).alias for chance in range(10)} == {LIVE, "canary"}
    assert release.find("next") is None
    assert [target.alias for target in release.shadows] == ["next"]


@pytest.mark.parametrize(
    ("others", "fields"),
    [
        ([_target("a", 0.1), _target("b", 0.2), _target("c", 0.7)], []),
        ([_target("a", 0.7), _target("b", 1.0, is_shadow=True)], []),
        ([_target("live", 0.1)], ["deployment.aliases[0].alias"]),
        ([_target("a", 0.1), _target("a", 0.1)], ["deployment.aliases[1].alias"]),
        ([_target("a", -0.1)], ["deployment.aliases[0].share"]),
        ([_target("a", float("nan"))], ["deployment.aliases[0].share"]),
        ([_target("a", 0.7), _target("b", 0.4)], ["deployment.aliases"]),
        ([_target(f"a{index}", 0.0) for index in range(MAX_ALIASES + 1)], ["deployment.aliases"]),
    ],
)
def test_what_cannot_be_shared(others: list[Target], fields: list[str]) -> None:
    assert [violation.field for violation in violations_of(others)] == fields
