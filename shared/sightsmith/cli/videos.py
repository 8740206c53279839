"""What is in a video, frame by frame."""

import json
import re
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer

from sightsmith.api.inference.v1.prediction_service_pb2 import StreamPredictResponse
from sightsmith.cli.output import fields_of
from sightsmith.client import Client
from sightsmith.client.video import Frame, VideoLimits, sampled_frames
from sightsmith.rpc.status import from_status

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?|\.\d+)(ms|s|m|h)?")


def seconds_of(text: str) -> float:
    """Reads a time such as `1s`, `500ms`, `2m`, `1.5h` or, in seconds, `0.5`.

    Raises:
        typer.BadParameter: if it is none, or nothing.
    """
    found = _DURATION.fullmatch(text.strip())
    seconds = float(found[1]) * _UNITS[found[2] or "s"] if found else 0.0
    if not seconds > 0:
        raise typer.BadParameter(f"must be a time above 0, such as 1s, 500ms or 2m, not {text[:80]!r}")
    return seconds


def predict_video(
    client: Client, project: str, deployment: str, video: Path, every: float, limits: VideoLimits, **wish: Any
) -> bool:
    """Prints a line of JSON for each sampled frame as soon as it is answered.

    Args:
        client: asks.
        project: id of the project.
        deployment: id of the deployment.
        video: the file.
        every: seconds between frames.
        limits: what the video may be.
        wish: which labels are wanted, as `Client.predict_stream` takes it.

    Returns:
        Whether every frame was answered.
    """
    frames = _Sent(sampled_frames(video, every, limits))
    is_whole = True
    for answer in client.predict_stream(project, deployment, frames, **wish):
        typer.echo(json.dumps(_line(frames.next_answered(), answer), ensure_ascii=False))
        is_whole &= not answer.HasField("error")
    return is_whole


class _Sent:
    """The frames on their way, and when those are shown that are not answered yet: no more than the stream holds."""

    def __init__(self, frames: Iterator[Frame]) -> None:
        self._frames = frames
        self._shown: deque[tuple[int, float]] = deque()

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        for frame in self._frames:
            self._shown.append((frame.number, frame.seconds))
            yield str(frame.number), frame.jpeg

    def next_answered(self) -> tuple[int, float]:
        """Number and seconds of the frame that is answered next."""
        return self._shown.popleft()


def _line(frame: tuple[int, float], answer: StreamPredictResponse) -> dict[str, Any]:
    number, seconds = frame
    line: dict[str, Any] = {"time": time_code(seconds), "seconds": round(seconds, 3), "frame": number}
    if answer.HasField("error"):
        error = from_status(answer.error)
        return {**line, "error": {"reason": error.reason, "message": error.message}}
    return {**line, "labels": _labels(answer), "model": answer.model, "alias": answer.alias}


def _labels(answer: StreamPredictResponse) -> Sequence[dict[str, Any]]:
    return [fields_of(prediction) for prediction in answer.predictions]


def time_code(seconds: float) -> str:
    """Hours, minutes, seconds and milliseconds, as in `00:01:02.500`."""
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}.{rest % 1000:03d}"
