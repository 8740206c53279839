"""Boxes around what is no upright box: turned rectangles, polygons, ellipses."""

import math
from collections.abc import Iterable, Sequence

Point = tuple[float, float]
Sides = tuple[float, float, float, float]


def around(points: Iterable[Point], frame: Point | None = None) -> Sides:
    """The upright box around points, as left, top, width and height; what is outside the frame is cut off.

    Raises:
        ValueError: if there are no points.
    """
    xs, ys = zip(*points, strict=True)
    left, right, top, bottom = min(xs), max(xs), min(ys), max(ys)
    if frame is not None:
        left, right = max(left, 0.0), min(right, frame[0])
        top, bottom = max(top, 0.0), min(bottom, frame[1])
    return left, top, right - left, bottom - top


def turned(points: Iterable[Point], pivot: Point, degrees: float) -> Sequence[Point]:
    """Points turned around another, clockwise as they are seen, with y downwards."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [
        (
            pivot[0] + (x - pivot[0]) * cosine - (y - pivot[1]) * sine,
            pivot[1] + (x - pivot[0]) * sine + (y - pivot[1]) * cosine,
        )
        for x, y in points
    ]


def corners(left: float, top: float, width: float, height: float) -> Sequence[Point]:
    """The corners of an upright rectangle."""
    return [(left, top), (left + width, top), (left + width, top + height), (left, top + height)]


def around_ellipse(centre: Point, radius_x: float, radius_y: float, degrees: float, frame: Point | None) -> Sides:
    """The upright box around an ellipse that is turned around its centre."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    half_width = math.hypot(radius_x * cosine, radius_y * sine)
    half_height = math.hypot(radius_x * sine, radius_y * cosine)
    x, y = centre
    return around([(x - half_width, y - half_height), (x + half_width, y + half_height)], frame)
