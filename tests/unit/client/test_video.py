"""Frames of videos."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from sightsmith.client.video import VideoError, VideoLimits, sampled_frames

RATE, SECONDS = 10, 3
SIDE = 64


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds at ten frames a second, each frame a little brighter than the one before."""
    path = tmp_path_factory.mktemp("videos") / "brighter.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), RATE, (SIDE, SIDE))
    for number in range(RATE * SECONDS):
        writer.write(np.full((SIDE, SIDE, 3), _brightness(number), np.uint8))
    writer.release()
    return path


def _brightness(number: int) -> int:
    return 8 * number


@pytest.mark.parametrize(
    ("every", "numbers"),
    [
        (1.0, [0, 10, 20]),
        (0.5, [0, 5, 10, 15, 20, 25]),
        (0.25, [0, 3, 5, 8, 10, 13, 15, 18, 20, 23, 25, 28]),
        (0.1, list(range(30))),
        (0.001, list(range(30))),
        (100.0, [0]),
    ],
)
def test_the_first_frame_of_each_interval(video: Path, every: float, numbers: list[int]) -> None:
    frames = list(sampled_frames(video, every))
    assert [frame.number for frame in frames] == numbers
    assert [frame.seconds for frame in frames] == pytest.approx([number / RATE for number in numbers], abs=1e-3)
    for frame in frames:
        picture = Image.open(io.BytesIO(frame.jpeg))
        assert picture.size == (SIDE, SIDE)
        assert np.asarray(picture).mean() == pytest.approx(_brightness(frame.number), abs=3)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (VideoLimits(seconds=2.5), "longer than the 2.5 seconds allowed"),
        (VideoLimits(frames=2), "more than 2 frames"),
        (VideoLimits(pixels=64 * 63), "frames of 64 × 64, more pixels than the 4032 allowed"),
    ],
)
def test_limits(video: Path, limits: VideoLimits, said: str) -> None:
    with pytest.raises(VideoError, match=said):
        list(sampled_frames(video, 1.0, limits))


@pytest.mark.parametrize("content", [b"", b"no video at all"])
def test_what_is_no_video(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "some.mp4"
    file.write_bytes(content)
    with pytest.raises(VideoError, match="is not a video that can be read"):
        list(sampled_frames(file, 1.0))


@pytest.mark.parametrize("name", ["http://127.0.0.1:1/video.mp4", "nothing.mp4", "0"])
def test_only_files_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError):
        list(sampled_frames(Path(name), 1.0))


@pytest.mark.parametrize("every", [0.0, -1.0, float("nan"), float("inf")])
def test_no_time_between_frames(video: Path, every: float) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        list(sampled_frames(video, every))
