"""A picture of one image with what was labelled and what was predicted drawn on it."""

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from PIL import Image, ImageDraw, ImageFont

from sightsmith.images import DEFAULT_LIMITS, ImageLimits, inspect_and_shrink
from sightsmith_training.engine.reports.image_outcomes import Box, Judged
from sightsmith_training.engine.reports.words import LOOKS, percent

_LONGEST_SIDE = 2048
_SHORTEST_SIDE = 480  # Smaller images are enlarged, so that words fit on them.
_PAPER = "#ffffff"
_HALO = "#000000"

# Pillow's own font has the letters of English only. These are tried where a text needs more.
_WIDE_FONTS = ("NotoSansCJK-Regular.ttc", "DejaVuSans.ttf", "Arial Unicode.ttf", "arial.ttf")

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw_overlay(
    image: bytes,
    width: int,
    height: int,
    judged: Sequence[Judged],
    labels: Sequence[str],
    limits: ImageLimits = DEFAULT_LIMITS,
) -> bytes:
    """Draws boxes and labels on an image.

    Labelled boxes are solid and predicted ones dashed; the colour and the words tell the outcome. Labels of the whole
    image stand under it. Small images are enlarged and large ones shrunk, so that the words can be read.

    Args:
        image: encoded bytes; decoded as the model saw them.
        width: of the upright image in the pixels in which the boxes are given; 0 will do where there are none.
        height: the same.
        judged: what became of everything on the image; see `ImageOutcomes`.
        labels: names, in the order of the model.
        limits: what is accepted.

    Returns:
        A PNG.

    Raises:
        ImageError: if the bytes are no image within the limits.
    """
    picture = _readable(image, limits)
    scale = picture.width / max(width, 1), picture.height / max(height, 1)
    canvas = _Canvas(ImageDraw.Draw(picture), picture.size)
    for one in judged:
        if one.labelled:
            canvas.box(_scaled(one.labelled, scale), LOOKS[one.outcome].colour, dashed=False)
        if one.predicted and one.confidence:
            canvas.box(_scaled(one.predicted, scale), LOOKS[one.outcome].colour, dashed=True)
    for one in judged:  # After all boxes, so that no line runs through a word.
        if box := one.labelled or one.predicted:
            canvas.tag(_scaled(box, scale), _words(one, labels), LOOKS[one.outcome].colour)
    whole = [one for one in judged if not one.labelled and not one.predicted]
    return _png(_with_lines_below(picture, whole, labels, canvas.text_size) if whole else picture)


@dataclass(frozen=True)
class _Canvas:
    draw: ImageDraw.ImageDraw
    size: tuple[int, int]

    @property
    def line(self) -> int:
        return max(2, round(math.hypot(*self.size) / 350))

    @property
    def text_size(self) -> int:
        return max(14, round(min(self.size) / 28))

    def box(self, box: Box, colour: str, *, dashed: bool) -> None:
        """Outlines a box over a dark halo, which shows it on a picture of its own colour."""
        left, top, right, bottom = box
        corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
        for start, end in pairwise(corners):
            pieces = list(_dashes(start, end, 5 * self.line)) if dashed else [(start, end)]
            for piece in pieces:
                self.draw.line(piece, fill=_HALO, width=self.line + 2)
            for piece in pieces:
                self.draw.line(piece, fill=colour, width=self.line)

    def tag(self, box: Box, words: str, colour: str) -> None:
        """Writes above a box or, where there is no room, inside it."""
        font = _font(self.text_size, words)
        padding = self.text_size // 4
        width = self.draw.textlength(words, font=font) + 2 * padding
        height = self.text_size + 2 * padding
        left = max(0, min(box[0], self.size[0] - width))
        top = box[1] - height if box[1] >= height else box[1]
        self.draw.rectangle((left, top, left + width, top + height), fill=colour, outline=_HALO)
        self.draw.text(
            (left + padding, top + padding), words, font=font, fill=_PAPER, stroke_width=1, stroke_fill=_HALO
        )


def _readable(data: bytes, limits: ImageLimits) -> Image.Image:
    """The upright image in a size in which words can be read on it."""
    _, picture = inspect_and_shrink(data, _LONGEST_SIDE, limits)
    factor = min(_LONGEST_SIDE / max(picture.size), max(1.0, _SHORTEST_SIDE / min(picture.size)))
    if factor == 1:
        return picture
    width, height = (max(1, round(side * factor)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def _with_lines_below(
    picture: Image.Image, judged: Sequence[Judged], labels: Sequence[str], text_size: int
) -> Image.Image:
    line, margin = round(text_size * 1.5), text_size // 2
    sheet = Image.new("RGB", (picture.width, picture.height + len(judged) * line + 2 * margin), _PAPER)
    sheet.paste(picture, (0, 0))
    draw = ImageDraw.Draw(sheet)
    for number, one in enumerate(judged):
        words = f"{_words(one, labels)} · {LOOKS[one.outcome].name}"
        place = (margin, picture.height + margin + number * line)
        draw.text(place, words, font=_font(text_size, words), fill=LOOKS[one.outcome].colour)
    return sheet


def _words(one: Judged, labels: Sequence[str]) -> str:
    return f"{LOOKS[one.outcome].short} {' '.join(labels[one.label].split())} {percent(one.confidence)}"


def _scaled(box: Box, scale: tuple[float, float]) -> Box:
    across, down = scale
    return box[0] * across, box[1] * down, box[2] * across, box[3] * down


_Point = tuple[float, float]


def _dashes(start: _Point, end: _Point, length: float) -> Iterator[tuple[_Point, _Point]]:
    """Pieces of a line, with gaps of about half their length between them."""
    distance = math.dist(start, end)
    count = max(1, round(distance / (1.5 * length)))
    for number in range(count):
        yield _between(start, end, number / count), _between(start, end, (number + 2 / 3) / count)


def _between(start: _Point, end: _Point, share: float) -> _Point:
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])


@lru_cache(maxsize=64)
def _named_font(name: str, size: int) -> _Font | None:
    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None


def _font(size: int, text: str) -> _Font:
    wide = (_named_font(name, size) for name in _WIDE_FONTS) if not text.isascii() else ()
    return next((font for font in wide if font), None) or ImageFont.load_default(size=size)


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
