"""How images are cut into what the inference server is asked at once."""

from hypothesis import given
from hypothesis import strategies as st

from sightsmith_inference.predictor import chunks_of


@given(st.integers(0, 200), st.integers(1, 32), st.integers(1, 16))
def test_chunks_hold_every_image_once_and_none_is_too_large(count: int, largest: int, workers: int) -> None:
    images = [(bytes([number]), f"images[{number}]") for number in range(count)]
    chunks = list(chunks_of(images, largest, workers))
    assert [image for chunk in chunks for image in chunk] == images
    assert all(0 < len(chunk) <= largest for chunk in chunks)


@given(st.integers(2, 200), st.integers(1, 32), st.integers(2, 16))
def test_workers_end_together(count: int, largest: int, workers: int) -> None:
    sizes = [len(chunk) for chunk in chunks_of([(b"", "")] * count, largest, workers)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == (1 if count > largest else count)


def test_a_lone_worker_gets_full_chunks() -> None:
    assert [len(chunk) for chunk in chunks_of([(b"", "")] * 20, 8, 1)] == [8, 8, 4]
