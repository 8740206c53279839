"""What is asked of evaluations of 10,000 images with ten boxes each: `python -m tests.perf.evaluations [IMAGES]`.

Two detectors are made up and judged by the same images. Processor seconds are those of the training service; on a busy
machine the wall time tells more of the machine. Not part of `make bench`: making the answers takes minutes.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import SecretStr

from sightsmith.api.training.v1 import model_service_pb2 as pb
from sightsmith.api.training.v1.finding_pb2 import Finding
from sightsmith.client import Client, Connection
from sightsmith.database import Database, migrate
from sightsmith.errors import SightsmithError
from sightsmith.objects import Objects, open_object_store
from sightsmith.settings import Settings
from sightsmith.stack import Stack, StackSettings
from sightsmith_training.engine.evaluation_result import DetectedBox, Evaluation, ImagePrediction
from sightsmith_training.engine.specification import SpecBox
from sightsmith_training.evaluations.figures import evaluate_again
from sightsmith_training.evaluations.matching import Rules, match
from sightsmith_training.tables import MIGRATIONS, SCHEMA
from tests.integration.training.trained_model import Answers, publish
from tests.integration.training.training_server import TrainingServer

_IMAGES = 10_000
_BOXES = 10
_LABELS = tuple(f"label-{number:02}" for number in range(20))
_WIDTH, _HEIGHT = 1280, 960
_TOKEN = "a token"
_UNJUDGED = Evaluation(
    evaluated_on="test",
    accuracy=0,
    macro_precision=0,
    macro_recall=0,
    macro_f1=0,
    per_label=[],
    confusion_matrix=[],
)


def answers(images: int, seed: int, skill: float) -> Answers:
    """What a detector says of images whose boxes depend on nothing but their numbers."""
    random = np.random.default_rng(seed)
    told = [_answer(number, random, skill) for number in range(images)]
    thresholds = [0.5] * len(_LABELS)
    evaluation = evaluate_again(_UNJUDGED, match(Rules.of("detection", _LABELS, thresholds), told))
    return Answers("detection", _LABELS, told, thresholds, evaluation)


def _answer(number: int, random: np.random.Generator, skill: float) -> ImagePrediction:
    truth = _boxes(np.random.default_rng(number), _BOXES)
    found = [_shaken(box, random) for box in truth if random.random() < skill]
    invented = [
        DetectedBox(**box.model_dump(), confidence=round(float(random.random()) ** 2, 5))
        for box in _boxes(random, _BOXES - len(found))
    ]
    return ImagePrediction(
        image=f"projects/shop/datasets/test/images/i-{number:06}",
        source=f"{number}.jpg",
        true_labels=sorted({box.label for box in truth}),
        predicted_labels=[],
        confidence=0,
        scores=[],
        width=_WIDTH,
        height=_HEIGHT,
        true_boxes=truth,
        detections=sorted([*found, *invented], key=lambda box: -box.confidence),
    )


def _boxes(random: np.random.Generator, count: int) -> list[SpecBox]:
    sides = random.integers((0, 0, 20, 20), (1000, 700, 280, 260), (count, 4)).tolist()
    labels = random.integers(len(_LABELS), size=count).tolist()
    return [
        SpecBox(label=_LABELS[label], left=left, top=top, width=width, height=height)
        for label, (left, top, width, height) in zip(labels, sides, strict=True)
    ]


def _shaken(box: SpecBox, random: np.random.Generator) -> DetectedBox:
    left, top = (np.array([box.left, box.top]) + random.integers(0, 12, 2)).tolist()
    confidence = round(0.3 + 0.7 * float(random.random()), 5)
    return DetectedBox(**{**box.model_dump(), "left": left, "top": top}, confidence=confidence)


class _Clock:
    """Tells what each call takes of the service."""

    def __init__(self, process: int) -> None:
        self._status = Path(f"/proc/{process}/status")
        self._stat = Path(f"/proc/{process}/stat")
        self._reset = Path(f"/proc/{process}/clear_refs")

    @contextmanager
    def measure(self, what: str) -> Any:
        self._reset.write_text("5")  # The peak of memory begins anew: proc(5).
        memory, seconds, began = self._kilobytes("VmRSS"), self._seconds(), time.perf_counter()
        yield
        wall, processor = time.perf_counter() - began, self._seconds() - seconds
        grown = max(0, self._kilobytes("VmHWM") - memory) / 1024
        print(f"{what:<58} {wall:7.2f} s wall {processor:7.2f} s processor {grown:7.0f} MB more", flush=True)  # noqa: T201

    def _seconds(self) -> float:
        fields = self._stat.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def _kilobytes(self, name: str) -> int:
        return next(int(line.split()[1]) for line in self._status.read_text().splitlines() if line.startswith(name))


def ask(client: Client, names: Sequence[str], clock: _Clock) -> None:
    """Asks everything once the service is warm."""
    first, second = names
    with clock.measure("GetEvaluation, the first one"):
        client.evaluation(first)
    with clock.measure("GetEvaluation"):
        client.evaluation(first)
    lists: dict[str, dict[str, Any]] = {
        "all": {},
        "a label": {"label": _LABELS[3]},
        "false positives": {"outcome": Finding.OUTCOME_FALSE_POSITIVE},
        "a label's false negatives": {"label": _LABELS[3], "outcome": Finding.OUTCOME_FALSE_NEGATIVE},
    }
    for told, wanted in lists.items():
        for size in (50, 1000):
            request = pb.ListEvaluatedImagesRequest(parent=f"{first}/evaluation", page_size=size)
            for field, value in wanted.items():
                setattr(request.filter, field, value)
            with clock.measure(f"ListEvaluatedImages, {told}: first page of {size}"):
                client.models.stub.ListEvaluatedImages(request)
    with clock.measure("ListEvaluatedImages, all: every page of 1000"):
        count = sum(1 for _ in client.evaluations.images(first))
    print(f"({count} images)")  # noqa: T201
    for told in ("GetEvaluationCurves, the first ones", "GetEvaluationCurves"):
        with clock.measure(told):
            client.models.stub.GetEvaluationCurves(pb.GetEvaluationCurvesRequest(name=f"{first}/evaluation/curves"))
    for told in ("CompareModels, the first one", "CompareModels"):
        with clock.measure(told):
            client.models.stub.CompareModels(pb.CompareModelsRequest(baseline=first, candidate=second))
    with clock.measure("UpdateModel, one threshold"):
        client.models.set_thresholds(first, dict.fromkeys(_LABELS, 0.5) | {_LABELS[0]: 0.6})
    with clock.measure("UpdateModel, all thresholds"):
        client.models.set_thresholds(first, dict.fromkeys(_LABELS, 0.7))


async def _made(settings: Settings, images: int) -> list[str]:
    url = settings.database_url.get_secret_value()
    await asyncio.to_thread(migrate, url, SCHEMA, MIGRATIONS)
    database, objects = Database(url), Objects(open_object_store(settings.object_store_url))
    names = []
    for seed, skill in ((1, 0.8), (2, 0.82)):
        judged = answers(images, seed, skill)
        began = time.perf_counter()
        names.append(await publish(database, objects, "shop", {"onnx": b"onnx"}, judged=judged))
        print(f"a model is written in {time.perf_counter() - began:.1f} s")  # noqa: T201
    await database.close()
    return names


def main(images: int) -> None:
    """Makes two models, and measures what is asked of them."""
    with tempfile.TemporaryDirectory(prefix="sightsmith-evaluations-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL's own user must get in.
        with Stack(StackSettings(data_dir=Path(folder), free_ports=True), parts=["postgres", "nats"]) as stack:
            ends = stack.endpoints
            assert ends.nats_token_file is not None
            settings = Settings(
                token=SecretStr(_TOKEN),
                database_url=SecretStr(ends.database_url),
                nats_url=ends.nats_url,
                nats_token=SecretStr(ends.nats_token_file.read_text().strip()),
                object_store_url=ends.object_store_url,
            )
            names = asyncio.run(_made(settings, images))
            server = TrainingServer(settings, "127.0.0.1:1", Path(folder) / "log.jsonl")
            server.start()
            try:
                nowhere = "127.0.0.1:1"
                with Client(Connection(nowhere, server.target, nowhere, SecretStr(_TOKEN))) as client:
                    assert server._process is not None
                    ask(client, names, _Clock(server._process.pid))
            except SightsmithError:
                print((Path(folder) / "log.jsonl").read_text()[-4000:])  # noqa: T201
                raise
            finally:
                server.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else _IMAGES)
