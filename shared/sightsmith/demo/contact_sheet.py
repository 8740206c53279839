"""One picture of all held-out images with what the model said of them, so that a person can judge it at a glance."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from sightsmith.demo.atomic_file import write_atomically

# Sides in pixels of a thumbnail by the number of tiles: many images are still one picture that a viewer opens.
_THUMBNAIL_SIDES = ((24, 200), (150, 160), (math.inf, 128))

_MARGIN = 32
_GAP = 14
_FRAME = 4  # thickness of a wrong tile's frame; a right one's is half of it
_PADDING = 8
_HEADER_HEIGHT = 92
_MARK_SIDE = 24

_PAPER = "#fafaf8"
_CARD = "#ffffff"
_MAT = "#f0f0ec"
_INK = "#22262b"
_QUIET_INK = "#70767d"
_RIGHT = "#a5c8ab"
_WRONG = "#c62828"

# Pillow's own font has the letters of English only. These are tried where a text needs more.
_WIDE_FONTS = ("NotoSansCJK-Regular.ttc", "DejaVuSans.ttf", "Arial Unicode.ttf", "arial.ttf")

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Tile:
    """One held-out image: its encoded bytes, its true label, and the label predicted with a confidence of 0 to 1."""

    image: bytes
    true_label: str
    predicted_label: str
    confidence: float

    @property
    def is_right(self) -> bool:
        """Whether the prediction is the true label."""
        return self.predicted_label == self.true_label


@dataclass(frozen=True)
class _Layout:
    """Where things stand, in pixels."""

    columns: int
    rows: int
    thumbnail: int

    @property
    def text_size(self) -> int:
        return max(13, self.thumbnail // 11)

    @property
    def line_height(self) -> int:
        return self.text_size + 5

    @property
    def card(self) -> tuple[int, int]:
        return self.thumbnail + 2 * _PADDING, self.thumbnail + 2 * self.line_height + 2 * _PADDING + 4

    @property
    def sheet(self) -> tuple[int, int]:
        width, height = self.card
        return (
            2 * _MARGIN + self.columns * (width + _GAP) - _GAP,
            2 * _MARGIN + _HEADER_HEIGHT + self.rows * (height + _GAP) - _GAP,
        )

    def corner(self, index: int) -> tuple[int, int]:
        """The top left corner of the tile with that index, row by row."""
        row, column = divmod(index, self.columns)
        width, height = self.card
        return _MARGIN + column * (width + _GAP), _MARGIN + _HEADER_HEIGHT + row * (height + _GAP)


def write_contact_sheet(path: Path, tiles: Sequence[Tile], title: str, columns: int | None = None) -> None:
    """Writes a sheet of all tiles, as PNG or, where `path` ends in `.jpg` or `.jpeg`, as JPEG.

    Mistakes come first, the surest and so the worst of them leading; then the right ones, the least sure leading. A
    wrong tile has a red frame, a cross and its true label in red; a right one has a quiet green frame. An image that
    Pillow cannot read is shown as an empty tile.

    Args:
        path: the file to write; its folder is made.
        tiles: at least one.
        title: the headline.
        columns: tiles in a row; by default as many as make a sheet somewhat wider than high.

    Raises:
        ValueError: there are no tiles, or `columns` is not positive.
        OSError: the file cannot be written.
    """
    if not tiles:
        raise ValueError("tiles: a contact sheet needs one image or more")
    if columns is not None and columns < 1:
        raise ValueError(f"columns: must be 1 or more, is {columns}")
    layout = _layout(len(tiles), columns)
    sheet = Image.new("RGB", layout.sheet, _PAPER)
    draw = ImageDraw.Draw(sheet)
    _draw_header(draw, layout, title, tiles)
    for index, tile in enumerate(sorted(tiles, key=_order)):
        _draw_tile(sheet, draw, layout, layout.corner(index), tile)
    write_atomically(path, _encode(sheet, path.suffix))


def _order(tile: Tile) -> tuple[bool, float]:
    return tile.is_right, tile.confidence if tile.is_right else -tile.confidence


def _layout(count: int, columns: int | None) -> _Layout:
    thumbnail = next(side for limit, side in _THUMBNAIL_SIDES if count <= limit)
    columns = columns or max(4, math.ceil(math.sqrt(1.6 * count)))
    return _Layout(columns, math.ceil(count / columns), thumbnail)


def _draw_header(draw: ImageDraw.ImageDraw, layout: _Layout, title: str, tiles: Sequence[Tile]) -> None:
    right = sum(tile.is_right for tile in tiles)
    wrong = len(tiles) - right
    summary = f"{right} of {len(tiles)} right ({right / len(tiles):.1%})"
    if wrong:
        summary += f"; the {wrong} marked with a cross come first" if wrong > 1 else "; the mistake comes first"
    width = layout.sheet[0] - 2 * _MARGIN
    _draw_text(draw, (_MARGIN, _MARGIN - 6), title, 30, _INK, width)
    _draw_text(draw, (_MARGIN, _MARGIN + 36), summary, 18, _QUIET_INK, width)


def _draw_tile(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, layout: _Layout, corner: tuple[int, int], tile: Tile
) -> None:
    x, y = corner
    width, height = layout.card
    frame, thickness = (_RIGHT, _FRAME // 2) if tile.is_right else (_WRONG, _FRAME)
    draw.rounded_rectangle((x, y, x + width - 1, y + height - 1), radius=6, fill=_CARD, outline=frame, width=thickness)
    sheet.paste(_thumbnail(tile.image, layout.thumbnail), (x + _PADDING, y + _PADDING))
    if not tile.is_right:
        _draw_cross(draw, x + width - _PADDING - _MARK_SIDE - 4, y + _PADDING + 4)
    _draw_caption(draw, layout, (x + _PADDING + 2, y + _PADDING + layout.thumbnail + 4), tile)


def _draw_caption(draw: ImageDraw.ImageDraw, layout: _Layout, corner: tuple[int, int], tile: Tile) -> None:
    """Two lines: the prediction with its confidence at the right edge, and the true label."""
    x, y = corner
    width = layout.thumbnail - 4
    confidence = f"{tile.confidence:.0%}"
    confidence_width = math.ceil(draw.textlength(confidence, font=_font(layout.text_size, confidence)))
    label_width = width - confidence_width - 6
    _draw_text(draw, (x, y), tile.predicted_label, layout.text_size, _INK, label_width)
    _draw_text(draw, (x + width - confidence_width, y), confidence, layout.text_size, _QUIET_INK, confidence_width)
    ink = _QUIET_INK if tile.is_right else _WRONG
    _draw_text(draw, (x, y + layout.line_height), f"is: {tile.true_label}", layout.text_size, ink, width)


def _draw_cross(draw: ImageDraw.ImageDraw, x: int, y: int) -> None:
    """A white cross on a red disc, so that a mistake shows without seeing colours."""
    near, far = 7, _MARK_SIDE - 7
    draw.ellipse((x, y, x + _MARK_SIDE, y + _MARK_SIDE), fill=_WRONG, outline="white", width=2)
    draw.line((x + near, y + near, x + far, y + far), fill="white", width=3)
    draw.line((x + near, y + far, x + far, y + near), fill="white", width=3)


def _draw_text(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, size: int, ink: str, max_width: int
) -> None:
    font = _font(size, text)
    draw.text(corner, _shortened(draw, text, font, max_width), font=font, fill=ink)


def _shortened(draw: ImageDraw.ImageDraw, text: str, font: _Font, max_width: int) -> str:
    """The text on one line, cut with an ellipsis where it is wider than `max_width` pixels."""
    text = " ".join(text.split())
    if draw.textlength(text, font=font) <= max_width:
        return text
    kept = next(
        (
            length
            for length in range(len(text) - 1, 0, -1)
            if draw.textlength(f"{text[:length]}…", font=font) <= max_width
        ),
        0,
    )
    return f"{text[:kept].rstrip()}…"


def _font(size: int, text: str) -> _Font:
    return _wide_font(size) if not text.isascii() else _plain_font(size)


@lru_cache
def _plain_font(size: int) -> _Font:
    return ImageFont.load_default(size=size)


@lru_cache
def _wide_font(size: int) -> _Font:
    for name in _WIDE_FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return _plain_font(size)


def _thumbnail(data: bytes, side: int) -> Image.Image:
    """The whole image, upright, in its own proportions, on a square of `side` pixels."""
    square = Image.new("RGB", (side, side), _MAT)
    try:
        with Image.open(io.BytesIO(data)) as opened:
            opened.draft("RGB", (2 * side, 2 * side))  # JPEGs are decoded at a fraction of their size.
            image = ImageOps.exif_transpose(opened).convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return square
    image = ImageOps.contain(image, (side, side), Image.Resampling.LANCZOS)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2), mask=image)
    return square


def _encode(sheet: Image.Image, suffix: str) -> bytes:
    buffer = io.BytesIO()
    if suffix.lower() in {".jpg", ".jpeg"}:
        sheet.save(buffer, "JPEG", quality=90)
    else:
        sheet.save(buffer, "PNG")
    return buffer.getvalue()
