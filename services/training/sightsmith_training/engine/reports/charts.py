"""Pictures of figures as SVG inside a page; colours and fonts are the page's own, by class."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

_WIDTH, _HEIGHT = 360, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 12, 42
_TINY = 1e-9
_NOTHING = Markup("")

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        title: what it shows, with the unit.
        least: at its beginning.
        most: at its end; more than `least`.
    """

    title: str
    least: float = 0.0
    most: float = 1.0

    @property
    def ticks(self) -> list[float]:
        """Two to six round numbers on it."""
        step = _round_step((self.most - self.least) / 5)
        first, last = math.ceil(self.least / step - _TINY), math.floor(self.most / step + _TINY)
        return [number * step for number in range(first, last + 1)]

    def share(self, value: float) -> float:
        """How far along the axis a value lies, 0 to 1; beyond its ends at the end."""
        return min(max((value - self.least) / (self.most - self.least), 0.0), 1.0)


@dataclass(frozen=True)
class Plot:
    """Two axes, on which marks are put."""

    across: Axis
    up: Axis

    def place(self, across: float, up: float) -> tuple[float, float]:
        """Where a value lies in the picture."""
        return (
            _LEFT + self.across.share(across) * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - self.up.share(up) * (_HEIGHT - _TOP - _BOTTOM),
        )

    def line(self, points: Points, style: str) -> Markup:
        """A line through points."""
        places = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self.place(*point) for point in points))
        return Markup('<polyline class="{}" points="{}"/>').format(style, places)

    def dots(self, points: Iterable[tuple[float, float, str]], style: str, radius: float = 4) -> Markup:
        """Dots, each with words that show when it is pointed at."""
        dot = Markup('<circle class="{}" cx="{}" cy="{}" r="{}"><title>{}</title></circle>')
        return _NOTHING.join(
            dot.format(style, f"{x:.1f}", f"{y:.1f}", radius, words)
            for (x, y), words in ((self.place(across, up), words) for across, up, words in points)
        )

    def words(self, across: float, up: float, text: str) -> Markup:
        """A word beside a dot, on the side where there is room."""
        x, y = self.place(across, up)
        anchor, shift = ("end", -7) if x > (_LEFT + _WIDTH) / 2 else ("start", 7)
        return Markup('<text class="note" x="{}" y="{}" text-anchor="{}">{}</text>').format(
            f"{x + shift:.1f}", f"{max(y - 6, _TOP + 8):.1f}", anchor, text
        )

    def bars(self, bars: Iterable[tuple[float, float, float, str]], style: str) -> Markup:
        """Bars from the bottom: from, to, height, and words that show when it is pointed at."""
        bar = Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>')
        marks = []
        for start, end, height, words in bars:
            (left, top), (right, bottom) = self.place(start, height), self.place(end, self.up.least)
            sizes = (f"{number:.1f}" for number in (left + 1, top, right - left - 2, bottom - top))
            marks.append(bar.format(style, *sizes, words))
        return _NOTHING.join(marks)

    def picture(self, title: str, *marks: Markup) -> Markup:
        """The finished picture; `title` says in words what it shows."""
        return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}{}{}</svg>').format(
            _WIDTH, _HEIGHT, title, self._across(), self._up(), _NOTHING.join(marks), self._titles()
        )

    def _across(self) -> Markup:
        bottom = _HEIGHT - _BOTTOM
        line = Markup('<line class="grid" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>')
        number = Markup('<text class="tick" x="{}" y="{}">{}</text>')
        places = ((f"{self.place(value, self.up.least)[0]:.1f}", f"{value:g}") for value in self.across.ticks)
        return _NOTHING.join(line.format(x, _TOP, bottom) + number.format(x, bottom + 16, text) for x, text in places)

    def _up(self) -> Markup:
        line = Markup('<line class="grid" y1="{0}" y2="{0}" x1="{1}" x2="{2}"/>')
        number = Markup('<text class="tick end" x="{}" y="{}" dy="4">{}</text>')
        places = ((f"{self.place(self.across.least, value)[1]:.1f}", f"{value:g}") for value in self.up.ticks)
        return _NOTHING.join(
            line.format(y, _LEFT, _WIDTH - _RIGHT) + number.format(_LEFT - 6, y, text) for y, text in places
        )

    def _titles(self) -> Markup:
        across = Markup('<text class="axis" x="{}" y="{}">{}</text>')
        up = Markup('<text class="axis" transform="translate(11 {}) rotate(-90)">{}</text>')
        middle = (_LEFT + _WIDTH - _RIGHT) / 2, (_TOP + _HEIGHT - _BOTTOM) / 2
        return across.format(middle[0], _HEIGHT - 6, self.across.title) + up.format(middle[1], self.up.title)


def _round_step(least: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power: float = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= least * (1 - _TINY))
