import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sightsmith import shrinking
from sightsmith.shrinking import fitted_size, shrunk

sides = st.integers(1, 400)


def noise(mode: str, width: int, height: int, seed: int = 0) -> Image.Image:
    """Of middle greys: beyond black and white each filter cuts off in its own order what it overshoots."""
    shape = (height, width, 3) if mode == "RGB" else (height, width)
    return Image.fromarray(np.random.default_rng(seed).integers(80, 176, shape, dtype=np.uint8))


def difference(one: Image.Image, other: Image.Image) -> int:
    return int(np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16)).max())


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["RGB", "L"]), sides, sides, st.integers(1, 300), st.integers(0, 9))
def test_a_shrunk_picture_is_the_one_that_pillow_makes(mode: str, width: int, height: int, side: int, seed: int):
    picture = noise(mode, width, height, seed)
    size = fitted_size(picture.size, side)
    smaller = shrunk(picture, size)
    assert (smaller.mode, smaller.size) == (mode, size)
    assert difference(smaller, picture.resize(size, Image.Resampling.BICUBIC)) <= 2


def test_where_the_quick_filter_is_not_installed_pillow_is_used(monkeypatch: pytest.MonkeyPatch):
    picture = noise("RGB", 300, 200)
    quick = shrunk(picture, (150, 100))
    monkeypatch.setattr(shrinking, "Resizer", None)
    assert difference(shrunk(picture, (150, 100)), quick) <= 2


def test_a_picture_that_is_used_on_is_left_as_it_is():
    picture = noise("RGB", 300, 200)
    before = picture.copy()
    shrunk(picture, (64, 43))
    assert difference(picture, before) == 0


@given(sides, sides, sides)
def test_a_picture_keeps_its_proportions(width: int, height: int, side: int):
    fitted = fitted_size((width, height), side)
    assert min(fitted) >= 1
    assert max(fitted) == min(side, max(width, height))
    scale = max(fitted) / max(width, height)
    assert fitted[0] == pytest.approx(width * scale, abs=1)
    assert fitted[1] == pytest.approx(height * scale, abs=1)
