"""How often answers are right, estimated from a sample: against what is true of all of them, and a library."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from sightsmith_labeling.review.item import Reason
from sightsmith_labeling.review.precision import SampledAnswer, estimate, wilson_interval

CAT, DOG = frozenset({"cat"}), frozenset({"dog"})


def answer(reason: Reason, weight: float, truth: frozenset[str] | None) -> SampledAnswer:
    return SampledAnswer(reason, weight, CAT, truth)


@given(st.integers(0, 50), st.integers(1, 50))
def test_the_interval_is_wilsons(right: int, more: int) -> None:
    count = right + more
    ours = wilson_interval(right / count, count)
    theirs = binomtest(right, count).proportion_ci(method="wilson")
    assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_a_plain_sample_counts_alike() -> None:
    found = estimate([answer(Reason.RANDOM, 10, CAT)] * 8 + [answer(Reason.RANDOM, 10, DOG)] * 2)
    assert found.precision is not None
    assert (found.precision.value, found.precision.effective_count) == (pytest.approx(0.8), pytest.approx(10))
    (stratum,) = found.strata
    assert (stratum.sampled, stratum.reviewed, stratum.corrected, stratum.population) == (10, 10, 2, 100)
    assert found.covered == 1


def test_what_is_not_reviewed_yet_is_stood_for_by_its_own_reason() -> None:
    # Of the unsure ones half are wrong and all are reviewed; of the others, which are many more, one in ten is.
    unsure = [answer(Reason.LOW_CONFIDENCE, 1, CAT)] * 50 + [answer(Reason.LOW_CONFIDENCE, 1, DOG)] * 50
    plain = [answer(Reason.RANDOM, 10, CAT)] * 9 + [answer(Reason.RANDOM, 10, None)] * 81
    found = estimate([*unsure, *plain])
    assert found.precision is not None
    assert found.precision.value == pytest.approx((50 + 900) / 1000)


def test_reasons_without_a_known_probability_do_not_count() -> None:
    found = estimate([answer(Reason.RANDOM, 5, CAT)] * 4 + [answer(Reason.DRIFT, 0, DOG)] * 40)
    assert found.precision is not None
    assert found.precision.value == 1
    assert [(stratum.reason, stratum.corrected) for stratum in found.strata] == [(Reason.RANDOM, 0), (Reason.DRIFT, 40)]
    assert estimate([answer(Reason.DRIFT, 0, DOG)]).precision is None
    assert estimate([]).precision is None


def test_what_nothing_is_reviewed_of_is_told() -> None:
    found = estimate([answer(Reason.RANDOM, 30, None), answer(Reason.LOW_CONFIDENCE, 10, CAT)])
    assert found.covered == pytest.approx(0.25)


def test_an_answer_of_nothing_is_neither_right_nor_wrong() -> None:
    nothing = SampledAnswer(Reason.RANDOM, 1, frozenset(), DOG)
    assert estimate([nothing]).precision is None
    found = estimate([nothing, answer(Reason.RANDOM, 1, CAT)])
    assert found.precision is not None
    assert found.precision.value == 1


def test_it_is_unbiased_and_its_interval_holds_what_it_says() -> None:
    """Many samples of one production: unsure predictions are often wrong and always picked, the rest rarely."""
    random = np.random.default_rng(7)
    sure = random.random(4000) < 0.85
    is_right = random.random(4000) < np.where(sure, 0.95, 0.4)
    probability = np.where(sure, 0.05, 1 - 0.95 * 0.5)
    values, held = [], 0
    for _ in range(100):
        picked = random.random(4000) < probability
        found = estimate(
            answer(
                Reason.RANDOM if sure[place] else Reason.LOW_CONFIDENCE,
                1 / probability[place],
                CAT if is_right[place] else DOG,
            )
            for place in np.flatnonzero(picked)
        ).precision
        assert found is not None
        values.append(found.value)
        held += found.lower <= is_right.mean() <= found.upper
    assert np.mean(values) == pytest.approx(is_right.mean(), abs=0.01)
    # 95 % as it is called; the effective count of weights errs on the safe side.
    assert held >= 90
