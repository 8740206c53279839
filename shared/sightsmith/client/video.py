"""Frames of a video file, sampled at even times. Needs OpenCV, which the extra `video` brings."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

_JPEG_QUALITY = 95
# Times of frames are whole milliseconds or fractions such as 1/30 s: one that is due by less than this is taken.
_TOLERANCE_SECONDS = 0.002


class VideoError(ValueError):
    """A file that is no video that can be read, or one beyond the limits."""


@dataclass(frozen=True)
class VideoLimits:
    """What a video may be at most.

    Attributes:
        seconds: its length.
        frames: how many are sampled.
        pixels: width × height of a frame.
    """

    seconds: float = 4 * 3600.0
    frames: int = 20_000
    pixels: int = 50_000_000


@dataclass(frozen=True)
class Frame:
    """A frame of a video.

    Attributes:
        number: of the frame in the file, from 0.
        seconds: when it is shown, from the beginning.
        jpeg: the upright picture, encoded.
    """

    number: int
    seconds: float
    jpeg: bytes


DEFAULT_LIMITS = VideoLimits()


def sampled_frames(path: Path, every: float, limits: VideoLimits = DEFAULT_LIMITS) -> Iterator[Frame]:
    """Reads a video and yields the first frame of each interval; one frame is in memory at a time.

    Args:
        path: a file on this machine; never taken for an address or a device.
        every: length of the intervals in seconds, above 0. With less than the time of a frame, all frames are taken.
        limits: what is accepted.

    Raises:
        VideoError: if the file is no video that can be read, or once it proves to be beyond the limits.
        OSError: if the file cannot be opened.
    """
    if not (every > 0 and math.isfinite(every)):
        raise ValueError(f"the time between frames must be above 0 seconds, not {every}")
    with path.open("rb"):
        opencv = _opencv()
    capture = opencv.VideoCapture(str(path.resolve()), opencv.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            raise VideoError(f"{path} is not a video that can be read")
        _check_header(path, opencv, capture, limits)
        yield from _sampled(path, opencv, capture, every, limits)
    finally:
        capture.release()


def _opencv() -> ModuleType:
    # What is wrong with a video is told by an error; what OpenCV and its FFmpeg write beside that is noise. They look
    # when they are imported; whoever sets these hears everything.
    for name, quiet in (("OPENCV_LOG_LEVEL", "SILENT"), ("OPENCV_FFMPEG_LOGLEVEL", "-8")):
        os.environ.setdefault(name, quiet)
    try:
        import cv2
    except ImportError:
        raise VideoError("videos are read by OpenCV, which is not installed: pip install 'sightsmith[video]'") from None
    return cv2


def _check_header(path: Path, opencv: ModuleType, capture: Any, limits: VideoLimits) -> None:
    """What the header says may be wrong, but a video that is too long by it need not be begun."""
    width, height = capture.get(opencv.CAP_PROP_FRAME_WIDTH), capture.get(opencv.CAP_PROP_FRAME_HEIGHT)
    if width * height > limits.pixels:
        limit = f"more pixels than the {limits.pixels} allowed"
        raise VideoError(f"{path} has frames of {width:.0f} × {height:.0f}, {limit}")
    frames, rate = capture.get(opencv.CAP_PROP_FRAME_COUNT), capture.get(opencv.CAP_PROP_FPS)
    if rate > 0 and frames / rate > limits.seconds:
        raise _too_long(path, limits)


def _sampled(path: Path, opencv: ModuleType, capture: Any, every: float, limits: VideoLimits) -> Iterator[Frame]:
    number, taken, due = 0, 0, 0.0
    while capture.grab():
        seconds = max(capture.get(opencv.CAP_PROP_POS_MSEC) / 1000, 0.0)
        if seconds > limits.seconds:
            raise _too_long(path, limits)
        if seconds >= due - _TOLERANCE_SECONDS:
            if taken == limits.frames:
                raise VideoError(f"{path} gives more than {limits.frames} frames: take fewer, or allow more")
            yield Frame(number, seconds, _jpeg(path, opencv, capture))
            taken += 1
            due = (math.floor((seconds + _TOLERANCE_SECONDS) / every) + 1) * every
        number += 1
    if number == 0:
        raise VideoError(f"{path} has no frame that can be read")


def _jpeg(path: Path, opencv: ModuleType, capture: Any) -> bytes:
    is_read, picture = capture.retrieve()
    if not is_read:
        raise VideoError(f"{path} has a frame that cannot be read")
    is_encoded, jpeg = opencv.imencode(".jpg", picture, (opencv.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))
    if not is_encoded:
        raise VideoError(f"{path} has a frame that is too large for a JPEG")
    return bytes(jpeg)


def _too_long(path: Path, limits: VideoLimits) -> VideoError:
    return VideoError(f"{path} is longer than the {limits.seconds:g} seconds allowed")
