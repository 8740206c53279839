"""Trainings as the engine leaves them, published by the worker's own publisher."""

import hashlib
import io
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import json_format
from PIL import Image

from sightsmith.api.labeling.v1.dataset_pb2 import Split
from sightsmith.api.labeling.v1.snapshot_pb2 import Snapshot, SnapshotEntry
from sightsmith.database import Database
from sightsmith.objects import Objects, image_key, thumbnail_key
from sightsmith.output_places import OutputPlaces
from sightsmith_training.due_outputs import DueOutputs
from sightsmith_training.engine.contract import (
    Candidate,
    ExportedFile,
    ExportFormat,
    ModelVariant,
    Parity,
    Recommendation,
    TrainingResult,
)
from sightsmith_training.engine.evaluation_result import ImagePrediction
from sightsmith_training.engine.specification import SpecEntry, TrainingOptions, TrainingSpec
from sightsmith_training.jobs import TrainingJobs
from sightsmith_training.leases import Leases
from sightsmith_training.models import Model
from sightsmith_training.publishing import Publisher
from sightsmith_training.report_outputs import ReportOutputs
from sightsmith_training.report_publishing import ReportPublishing
from sightsmith_training.snapshots import TrainableSnapshot
from tests.integration.training.neighbours import Neighbours
from tests.integration.training.trained_model import Answers

VARIANTS = [
    ModelVariant(format="onnx_fp16", kept=False, reason="it cannot be made: for want of memory"),
    ModelVariant(
        format="onnx_int8",
        kept=True,
        reason="its figure is 0.890 where the full model's is 0.895",
        recipe="all convolutions in eight bits",
        full_figure=0.895,
        figure=0.89,
        agreement=0.99,
        full_milliseconds=5.0,
        milliseconds=3.0,
        images=100,
    ),
]
RECOMMENDATIONS = [
    Recommendation(runtime="onnxruntime-cpu", format="onnx_int8", reason="3.0 ms an image instead of 5.0"),
    Recommendation(runtime="onnxruntime-cuda", format="onnx", reason="no fp16 variant loses little enough"),
]
_UNREADABLE = "the header says JPEG, but the pixel data ends early"


def jpeg(width: int, height: int, colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "JPEG")
    return file.getvalue()


@dataclass(frozen=True)
class Workshop:
    """Publishes trainings into the stack of the tests."""

    database: Database
    objects: Objects
    object_store_url: str
    neighbours: Neighbours
    folder: Path
    report_images: int = 300
    output_roots: Sequence[str] = ()

    async def publish(self, project: str, answers: Answers, output_prefix: str = "") -> Model:
        """Publishes a training of which this came."""
        entries = await self._entries(answers.images)
        snapshot = await self._snapshot(project, entries)
        leases = Leases(self.database, lease_seconds=60, max_attempts=2)
        options = TrainingOptions(output_prefix=output_prefix)
        await TrainingJobs(self.database).create(project, snapshot, 7, None, options)
        lease = await leases.claim()
        assert lease is not None
        outputs = ReportOutputs(OutputPlaces(self.output_roots, self.object_store_url), timeout_seconds=10)
        reports = ReportPublishing(self.objects, outputs, self.report_images)
        publisher = Publisher(self.database, self.objects, leases, reports)
        model = await publisher.publish(lease, self._result(answers, entries), self._spec(entries, options))
        await self.due_outputs().write()
        return model

    def due_outputs(self, patience_seconds: float = 60) -> DueOutputs:
        """What writes the result files."""
        outputs = ReportOutputs(OutputPlaces(self.output_roots, self.object_store_url), timeout_seconds=10)
        return DueOutputs(self.database, self.objects, outputs, self.folder / "due", patience_seconds)

    async def _entries(self, images: Sequence[ImagePrediction]) -> list[SpecEntry]:
        """A training image and an unreadable one, and the judged images: every other has a thumbnail."""
        learned = [self._entry(f"{images[0].image}-{name}", images[0], "train") for name in ("learned", "unread")]
        judged = [self._entry(image.image, image, "test") for image in images]
        for number, entry in enumerate(judged):
            colour = f"#{number:02x}80c0"
            await self.objects.put(entry.key, jpeg(entry.width, entry.height, colour))
            if number % 2:
                await self.objects.put(thumbnail_key(entry.sha256), jpeg(64, 48, colour))
        return [*learned, *judged]

    def _entry(self, name: str, image: ImagePrediction, split: str) -> SpecEntry:
        # Of the name, not of the bytes: each has an object of its own, as no other test has it.
        sha256 = hashlib.sha256(f"{self.folder}/{name}".encode()).hexdigest()
        return SpecEntry(
            image=name,
            sha256=sha256,
            key=image_key(sha256),
            split=split,
            labels=[] if image.true_boxes else image.true_labels,
            source=f"s3://shop/pictures/{name.rpartition('/')[2]}.jpg",
            boxes=image.true_boxes,
            width=image.width,
            height=image.height,
        )

    async def _snapshot(self, project: str, entries: Sequence[SpecEntry]) -> TrainableSnapshot:
        name, key = f"projects/{project}/snapshots/1", f"snapshots/{project}/{uuid.uuid4().hex}.jsonl"
        lines = [
            json_format.MessageToJson(
                SnapshotEntry(
                    image=entry.image,
                    sha256=entry.sha256,
                    key=entry.key,
                    split=Split.Value(f"SPLIT_{entry.split.upper()}"),
                ),
                indent=None,
            )
            for entry in entries
        ]
        manifest = "\n".join(lines).encode()
        await self.objects.put(key, manifest)
        sha256 = hashlib.sha256(manifest).hexdigest()
        self.neighbours.snapshots[name] = Snapshot(name=name, manifest_key=key, manifest_sha256=sha256)
        return TrainableSnapshot(name, key, sha256)

    def _spec(self, entries: Sequence[SpecEntry], options: TrainingOptions) -> TrainingSpec:
        return TrainingSpec(
            entries=list(entries),
            object_store_url=self.object_store_url,
            checkpoint_prefix="checkpoints",
            backbone_prefix="backbones",
            output_dir=self.folder,
            seed=7,
            options=options,
        )

    def _export(self, export_format: ExportFormat) -> ExportedFile:
        path, data = f"{export_format}/1/model.onnx", uuid.uuid4().bytes
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        return ExportedFile(path=path, format=export_format, sha256=digest, size_bytes=len(data))

    def _result(self, answers: Answers, entries: Sequence[SpecEntry]) -> TrainingResult:
        assert answers.evaluation is not None
        tried = [
            Candidate(
                backbones=["efficientnet-lite0"],
                strength=strength,
                scores=[score],
                score_mean=score,
                score_std=0.0,
                log_loss=0.2,
                milliseconds_per_image=5.0,
                dropped=dropped,
            )
            for strength, score, dropped in ((1.0, 0.9, ""), (3.0, 0.8, "less accurate"))
        ]
        return TrainingResult(
            task=answers.task,
            labels=list(answers.labels),
            thresholds=list(answers.thresholds),
            image_side=8,
            chosen=tried[0],
            candidates=tried,
            seed=7,
            training_images=1,
            test_images=len(answers.images),
            ignored_images=0,
            unusable_images=[{"field": entries[1].image, "description": f"cannot be used: {_UNREADABLE}"}],
            task_reason="It was asked for.",
            library_versions={"numpy": "2.4.0"},
            artifacts=[self._export("onnx"), self._export("onnx_int8")],
            parity=Parity(onnx=1e-6, torchscript=2e-6, label_agreement=1.0, images=4, tolerance=1e-4),
            variants=VARIANTS,
            recommendations=RECOMMENDATIONS,
            evaluation=answers.evaluation,
            predictions=list(answers.images),
            phase_seconds={"reading": 3.0, "searching": 4.0},
        )
