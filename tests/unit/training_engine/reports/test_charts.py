import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightsmith_training.engine.reports.charts import Axis, Plot
from sightsmith_training.engine.reports.pictures import TriedCandidate, candidates_picture

numbers = st.floats(-1e6, 1e6)
lengths = st.floats(1e-3, 1e6)


@given(least=numbers, length=lengths)
def test_ticks_are_a_few_numbers_on_the_axis(least: float, length: float) -> None:
    ticks = Axis("x", least, least + length).ticks
    assert 1 <= len(ticks) <= 7
    assert ticks == sorted(ticks)
    assert all(least - length * 1e-3 <= tick <= least + length * 1.001 for tick in ticks)


@given(lengths)
def test_ticks_from_zero_are_round(most: float) -> None:
    ticks = Axis("x", 0, most).ticks
    assert ticks[0] == 0
    assert len(ticks) >= 3
    assert all(len(f"{tick:.2e}".rstrip("0").split("e")[0].replace(".", "").rstrip("0")) <= 2 for tick in ticks)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=20))
def test_everything_is_drawn_within_the_picture(points) -> None:
    svg = Plot(Axis("x", 0, 10), Axis("y")).line(points, "line")
    places = [tuple(map(float, place.split(","))) for place in re.search(r'points="([^"]*)"', svg)[1].split()]
    assert all(0 <= x <= 360 and 0 <= y <= 260 for x, y in places)


def test_larger_values_are_further_right_and_up() -> None:
    plot = Plot(Axis("x"), Axis("y"))
    (left, low), (right, high) = plot.place(0.1, 0.1), plot.place(0.9, 0.9)
    assert left < right
    assert low > high


def test_words_cannot_become_part_of_the_picture() -> None:
    plot = Plot(Axis("<b>"), Axis("y"))
    svg = plot.picture('"<title>', plot.dots([(0, 0, "<script>")], "dot"), plot.words(0.5, 0.5, "a & b"))
    assert "&lt;b&gt;" in svg
    assert "&#34;&lt;title&gt;" in svg
    assert "&lt;script&gt;" in svg
    assert "a &amp; b" in svg
    assert "<script>" not in svg


def test_candidates_that_no_other_beats_are_named_and_joined() -> None:
    tried = [
        TriedCandidate("quick", 0.7, 2.0, False),
        TriedCandidate("beaten", 0.6, 3.0, False),
        TriedCandidate("chosen", 0.8, 4.0, True),
        TriedCandidate("best", 0.9, 20.0, False),
        TriedCandidate("not timed", 0.95, None, False),
    ]
    svg = str(candidates_picture(tried, "macro-F1"))
    named = re.findall(r'<text class="note"[^>]*>([^<]*)', svg)
    assert sorted(named) == ["best", "quick", "★ chosen"]
    assert svg.count("<circle") == 4
    front = re.search(r'<polyline class="line now" points="([^"]*)"', svg)[1].split()
    assert len(front) == 3


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_candidates_at_the_ends_of_the_scale(score: float) -> None:
    svg = candidates_picture([TriedCandidate("only", score, 0.0, True)], "macro-F1")
    assert "★ only" in svg
