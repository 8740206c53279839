import io
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from sightsmith.demo import contact_sheet
from sightsmith.demo.contact_sheet import Tile, write_contact_sheet


def encoded(size: tuple[int, int] = (60, 40), colour: str = "#3366cc", image_format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, image_format)
    return buffer.getvalue()


def tile(true_label: str, predicted_label: str, confidence: float, image: bytes | None = None) -> Tile:
    return Tile(image or encoded(), true_label, predicted_label, confidence)


def colours(image: Image.Image) -> set[object]:
    return {colour for _, colour in image.getcolors(maxcolors=1 << 24) or []}


RED = (0xC6, 0x28, 0x28)
GREEN = (0xA5, 0xC8, 0xAB)


@pytest.mark.parametrize("count", [1, 12, 88, 400])
def test_writes_a_sheet_of_any_size(tmp_path: Path, count: int) -> None:
    path = tmp_path / "new" / "sheet.png"
    write_contact_sheet(path, [tile("a", "a" if index % 5 else "b", index / count) for index in range(count)], "Demo")
    with Image.open(path) as sheet:
        assert sheet.format == "PNG"
        assert max(sheet.size) < 6000
        assert {RED, GREEN} & colours(sheet)
    assert [file.name for file in path.parent.iterdir()] == ["sheet.png"]


def test_mistakes_come_first_and_the_surest_of_them_leads() -> None:
    tiles = [tile("a", "a", 0.9), tile("a", "b", 0.4), tile("b", "b", 0.3), tile("b", "a", 0.8)]
    ordered = sorted(tiles, key=contact_sheet._order)
    assert [(one.is_right, one.confidence) for one in ordered] == [(False, 0.8), (False, 0.4), (True, 0.3), (True, 0.9)]


def test_only_wrong_tiles_are_red(tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    write_contact_sheet(path, [tile("a", "a", 1.0)], "Demo")
    with Image.open(path) as sheet:
        assert GREEN in colours(sheet)
        assert RED not in colours(sheet)
    write_contact_sheet(path, [tile("a", "b", 1.0)], "Demo")
    with Image.open(path) as sheet:
        assert RED in colours(sheet)
        assert GREEN not in colours(sheet)


@pytest.mark.parametrize("size", [(400, 100), (100, 400), (3, 2), (1, 1)])
def test_thumbnails_keep_their_proportions(size: tuple[int, int]) -> None:
    thumbnail = contact_sheet._thumbnail(encoded(size), 120)
    mask = Image.eval(thumbnail.getchannel("B"), lambda value: 255 if value == 0xCC else 0)
    left, top, right, bottom = mask.getbbox() or (0, 0, 0, 0)
    assert (right - left) / (bottom - top) == pytest.approx(size[0] / size[1], rel=0.05)
    assert max(right - left, bottom - top) == 120


@pytest.mark.parametrize("image", [b"", b"no image", encoded()[:40], encoded((600, 400), image_format="JPEG")[:300]])
def test_an_unreadable_image_gives_an_empty_tile(image: bytes, tmp_path: Path) -> None:
    write_contact_sheet(tmp_path / "sheet.png", [Tile(image, "a", "b", 0.5)], "Demo")
    assert colours(contact_sheet._thumbnail(image, 50)) == {(0xF0, 0xF0, 0xEC)}


@pytest.mark.parametrize(
    "label", ["a label so long that no tile is wide enough for it", "Großmütterchen" * 4, "日本" * 20]
)
def test_long_labels_are_cut_with_an_ellipsis(label: str) -> None:
    draw = ImageDraw.Draw(Image.new("RGB", (10, 10)))
    font = contact_sheet._font(14, label)
    short = contact_sheet._shortened(draw, label, font, 120)
    assert short.endswith("…")
    assert draw.textlength(short, font=font) <= 120
    assert contact_sheet._shortened(draw, "cat\nor dog", font, 120) == "cat or dog"


def test_jpeg_by_suffix_and_columns_by_wish(tmp_path: Path) -> None:
    narrow, wide = tmp_path / "narrow.jpg", tmp_path / "wide.jpg"
    write_contact_sheet(narrow, [tile("a", "a", 1.0)] * 6, "Demo", columns=2)
    write_contact_sheet(wide, [tile("a", "a", 1.0)] * 6, "Demo", columns=6)
    with Image.open(narrow) as first, Image.open(wide) as second:
        assert first.format == second.format == "JPEG"
        assert first.width < second.width


def test_impossible_wishes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tiles"):
        write_contact_sheet(tmp_path / "sheet.png", [], "Demo")
    with pytest.raises(ValueError, match="columns"):
        write_contact_sheet(tmp_path / "sheet.png", [tile("a", "a", 1.0)], "Demo", columns=0)
