"""Judging models by other images: through the service, by the part of the worker that does it."""

import asyncio
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from google.protobuf import json_format

from sightsmith.api.labeling.v1.annotation_pb2 import BoundingBox
from sightsmith.api.labeling.v1.dataset_pb2 import Split
from sightsmith.api.labeling.v1.snapshot_pb2 import LabelledBox, Snapshot, SnapshotEntry, SnapshotLabelCount
from sightsmith.api.training.v1 import model_service_pb2 as pb
from sightsmith.api.training.v1.evaluation_job_pb2 import EvaluationJob
from sightsmith.api.training.v1.evaluation_pb2 import Evaluation
from sightsmith.api.training.v1.finding_pb2 import Finding
from sightsmith.client import Client, SightsmithError
from sightsmith.client.calls import calling
from sightsmith.database import Database
from sightsmith.errors import AlreadyExistsError, NotFoundError
from sightsmith.heartbeat import LeaseLostError
from sightsmith.names import EvaluationJobName, ModelName, TrainingJobName
from sightsmith.objects import Objects, image_key
from sightsmith.settings import Settings
from sightsmith_training.evaluation_jobs import EvaluationJobs
from sightsmith_training.evaluation_worker import EvaluationWorker
from sightsmith_training.evaluations.selection import WantedImages
from sightsmith_training.jobs import TrainingJobs
from sightsmith_training.leases import EvaluationLeases
from sightsmith_training.settings import TrainingSettings
from sightsmith_training.snapshots import FrozenSnapshot, TrainableSnapshot
from tests.integration.training.judged_answers import boxes, one_label
from tests.integration.training.neighbours import Neighbours
from tests.integration.training.trained_model import Answers
from tests.tiny_models import COLOURS, SIDE, colour_classifier, picture, red_half_detector

PublishModel = Callable[..., Awaitable[str]]
CLASSIFIER = Answers("classification", COLOURS, [], evaluation=one_label(1).evaluation)
DETECTOR = Answers("detection", COLOURS, [], (0.5, 0.5, 0.5), evaluation=boxes(3).evaluation)
RIGHT_HALF = LabelledBox(label="red", box=BoundingBox(left=32, top=0, width=32, height=48))


@dataclass(frozen=True)
class Pictures:
    """Takes snapshots of pictures, as labeling would."""

    objects: Objects
    neighbours: Neighbours
    project: str

    async def snapshot(
        self, pictures: Sequence[tuple[bytes, Sequence[str] | Sequence[LabelledBox]]], number: int = 1
    ) -> FrozenSnapshot:
        """A snapshot of pictures with labels or boxes; every third is a test image."""
        entries = [await self._entry(place, *given) for place, given in enumerate(pictures)]
        manifest = "\n".join(json_format.MessageToJson(entry, indent=None) for entry in entries).encode()
        key = f"snapshots/{uuid.uuid4().hex}.jsonl"
        await self.objects.put(key, manifest)
        labels = {label for entry in entries for label in (*entry.labels, *(box.label for box in entry.boxes))}
        snapshot = Snapshot(
            name=f"projects/{self.project}/snapshots/{number}",
            manifest_key=key,
            manifest_sha256=hashlib.sha256(manifest).hexdigest(),
            label_counts=[SnapshotLabelCount(label=label) for label in sorted(labels)],
        )
        self.neighbours.snapshots[snapshot.name] = snapshot
        return FrozenSnapshot(snapshot.name, key, snapshot.manifest_sha256)

    async def _entry(self, place: int, data: bytes, labels: Sequence[str] | Sequence[LabelledBox]) -> SnapshotEntry:
        sha256, is_test = hashlib.sha256(data).hexdigest(), place % 3 == 2
        await self.objects.put(image_key(sha256), data)
        return SnapshotEntry(
            image=f"projects/{self.project}/datasets/{'test' if is_test else 'train'}/images/i-{place}",
            sha256=sha256,
            key=image_key(sha256),
            split=Split.SPLIT_TEST if is_test else Split.SPLIT_TRAIN,
            labels=[label for label in labels if isinstance(label, str)],
            boxes=[box for box in labels if isinstance(box, LabelledBox)],
            source=f"{place}.png",
            width=64,
            height=48,
        )


@pytest.fixture
def pictures(objects: Objects, neighbours: Neighbours, new_project: Callable[[], str]) -> Pictures:
    return Pictures(objects, neighbours, new_project())


@pytest.fixture
def worker(server_settings: Settings, database: Database, tmp_path: Path) -> EvaluationWorker:
    settings = TrainingSettings(
        **server_settings.model_dump(), work_dir=tmp_path / "work", poll_seconds=0.1, heartbeat_seconds=0.1
    )
    return EvaluationWorker(settings, database)


@pytest.fixture
async def working(worker: EvaluationWorker) -> AsyncIterator[asyncio.Task[None]]:
    """The worker at work, beside the test: clients are to be asked in another thread."""
    task = asyncio.create_task(worker.run())
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def classifier(publish_model: PublishModel, new_project: Callable[[], str]) -> str:
    return await publish_model(new_project(), {"onnx": colour_classifier()}, judged=CLASSIFIER, side=SIDE)


def colours(*given: str, first_shade: int = 0) -> list[tuple[bytes, list[str]]]:
    """Pictures `COLOUR=LABEL`; the label is the colour if it is left out."""
    pairs = [one.partition("=") for one in given]
    return [
        (picture("lime" if colour == "green" else colour, shade=shade), [label or colour])
        for shade, (colour, _, label) in enumerate(pairs, first_shade)
    ]


async def judged(client: Client, model: str, snapshot: FrozenSnapshot, **wanted: Any) -> Evaluation:
    job = await asyncio.to_thread(client.evaluation_jobs.begin, model, snapshot.name, **wanted)
    ended = await asyncio.wait_for(asyncio.to_thread(client.evaluation_jobs.wait, job.name), 60)
    return await asyncio.to_thread(client.evaluations.get, ended.evaluation)


@pytest.mark.usefixtures("working")
async def test_a_classifier_is_judged_by_another_project_s_images(
    client: Client, classifier: str, pictures: Pictures
) -> None:
    given = colours("red", "green", "blue", "red=blue", "green=green", "white=elk", "red=elk")
    snapshot = await pictures.snapshot([*given, (picture("red", shade=70), []), (picture("red", shade=71), COLOURS)])
    told = await judged(client, classifier, snapshot)
    assert told.name.startswith(f"{classifier}/evaluations/e-")
    assert (told.basis, told.snapshot, told.image_count) == (Evaluation.BASIS_UNSEEN, snapshot.name, 7)
    assert told.summary.accuracy == pytest.approx(4 / 7), "what is not known to the model is never right"
    counts = {
        label.label: (label.true_positive_count, label.false_positive_count, label.false_negative_count)
        for label in told.label_metrics
    }
    assert counts["green"] == (2, 0, 0)
    assert counts["red"][0] == 1
    assert counts["red"][1] >= 2, "one that is blue and one that is an elk"
    assert counts["blue"][2] == 1
    assert [(unknown.label, unknown.image_count) for unknown in told.unknown_labels] == [("elk", 2)]
    assert told.left_out.ignored_image_count == 2
    own = client.evaluation(classifier)
    assert own.basis == Evaluation.BASIS_TEST
    assert not own.HasField("left_out")


@pytest.mark.usefixtures("working")
async def test_all_that_is_told_of_a_model_s_own_evaluation_is_told_of_this_one(
    client: Client, classifier: str, pictures: Pictures
) -> None:
    snapshot = await pictures.snapshot(colours("red", "green", "blue", "red=blue", "white=elk"))
    told = await judged(client, classifier, snapshot)
    name = told.name
    images = list(client.evaluations.images(name))
    assert [image.source for image in images if not image.is_right][:1] == ["3.png"], "the most confident mistake first"
    (missed,) = client.evaluations.images(name, "blue", Finding.OUTCOME_FALSE_NEGATIVE)
    assert (list(missed.true_labels), list(missed.predicted_labels)) == (["blue"], ["red"])
    (elk,) = [image for image in images if "elk" in image.true_labels]
    assert [finding.outcome for finding in elk.findings] == [Finding.OUTCOME_FALSE_POSITIVE]
    curves = client.evaluations.curves(name)
    assert curves.name == f"{name}/curves"
    assert [drawn.label for drawn in curves.label_curves] == list(COLOURS)
    assert client.reports.draw(name, missed.image).startswith(b"\x89PNG")
    assert [each.name for each in client.evaluation_jobs.evaluations(classifier)] == [name]

    strict = client.models.set_thresholds(classifier, dict.fromkeys(COLOURS, 1.0))
    assert all(label.threshold == 1 for label in strict.thresholds)
    assert client.evaluations.get(name).summary.macro_recall == 0, "it follows the thresholds of the model"

    client.evaluation_jobs.delete_evaluation(name)
    assert list(client.evaluation_jobs.evaluations(classifier)) == []
    for ask in (lambda: client.evaluations.get(name), lambda: client.evaluation_jobs.delete_evaluation(name)):
        with pytest.raises(SightsmithError) as raised:
            ask()
        assert raised.value.reason == "NOT_FOUND"
    with pytest.raises(SightsmithError, match="own evaluation"):
        client.evaluation_jobs.delete_evaluation(f"{classifier}/evaluation")


@pytest.mark.usefixtures("working")
async def test_a_detector_is_judged_by_boxes(
    client: Client, publish_model: PublishModel, new_project: Callable[[], str], pictures: Pictures
) -> None:
    model = await publish_model(new_project(), {"onnx": red_half_detector()}, judged=DETECTOR, side=SIDE)
    flaw = LabelledBox(label="red", box=BoundingBox(left=90, top=0, width=5, height=5))
    tree = LabelledBox(label="tree", box=BoundingBox(left=1, top=1, width=20, height=40))
    snapshot = await pictures.snapshot(
        [
            (picture("black", "red"), [RIGHT_HALF]),
            (picture("black", "red", shade=1), [RIGHT_HALF, tree]),
            (picture("red", "black"), [RIGHT_HALF]),
            (picture("black"), []),
            (picture("white"), []),
            (picture("black", "red", shade=2), ["red"]),
            (picture("black", "red", shade=3), [flaw]),
        ]
    )
    told = await judged(client, model, snapshot)
    red = told.label_metrics[COLOURS.index("red")]
    assert (red.true_positive_count, red.false_positive_count, red.false_negative_count) == (2, 1, 1)
    assert told.image_count == 5
    assert 0 < told.detection.map_50 < 1
    assert [(unknown.label, unknown.image_count) for unknown in told.unknown_labels] == [("tree", 1)]
    assert (told.left_out.ignored_image_count, told.left_out.unusable_image_count) == (1, 1)
    assert "lies outside its image" in told.left_out.unusable_images[0].problem


@pytest.mark.usefixtures("working")
async def test_only_what_is_asked_for_and_new_to_the_model_counts(
    client: Client,
    database: Database,
    publish_model: PublishModel,
    pictures: Pictures,
    neighbours: Neighbours,
) -> None:
    learned = await pictures.snapshot(colours(*COLOURS * 3), number=1)
    job = await TrainingJobs(database).create(
        pictures.project, TrainableSnapshot(learned.name, learned.manifest_key, learned.manifest_sha256), 0, None
    )
    model = await publish_model(
        pictures.project, {"onnx": colour_classifier()}, judged=CLASSIFIER, side=SIDE, training_job=job.id
    )
    later = await pictures.snapshot([*colours(*COLOURS * 3), *colours(*COLOURS, first_shade=100)], number=2)
    everything = await judged(client, model, later)
    assert (everything.image_count, everything.left_out.learned_image_count) == (12 - 6, 6)
    train = await judged(client, model, later, split=EvaluationJob.SPLIT_TRAIN)
    assert (train.image_count, train.left_out.learned_image_count) == (2, 6)
    test = await judged(client, model, later, datasets=[f"projects/{pictures.project}/datasets/test"])
    assert (test.image_count, test.left_out.learned_image_count) == (4, 0)
    with pytest.raises(SightsmithError, match="6 were learned from") as raised:
        await judged(client, model, learned, split=EvaluationJob.SPLIT_TRAIN)
    assert raised.value.reason == "NOT_ENOUGH_DATA"


@pytest.mark.usefixtures("working")
async def test_two_versions_are_compared_on_the_same_other_images(
    client: Client, classifier: str, publish_model: PublishModel, pictures: Pictures, run: Callable[..., Result]
) -> None:
    project = classifier.split("/")[1]
    # The other version knows elks in place of red things.
    other = Answers("classification", ("blue", "elk", "green"), [], evaluation=one_label(1).evaluation)
    second = await publish_model(project, {"onnx": colour_classifier()}, judged=other, side=SIDE)
    snapshot = await pictures.snapshot(colours("red", "green=elk", "blue", "red", "blue"))
    first_told, second_told = await judged(client, classifier, snapshot), await judged(client, second, snapshot)
    comparison = client.evaluations.compare(first_told.name, second_told.name)
    assert (comparison.baseline, comparison.candidate) == (classifier, second)
    assert (comparison.image_count, list(comparison.differing_labels)) == (5, ["elk", "red"])
    assert (comparison.both_right_count, comparison.baseline_right_count, comparison.candidate_right_count) == (2, 2, 1)
    arguments = ("models", "compare", project, "v1", "v2", "--on", pictures.project)
    shown = await asyncio.to_thread(run, *arguments, "--snapshot", 1)
    assert shown.exit_code == 0, shown.output
    assert "on 5 images" in shown.output
    missing = await asyncio.to_thread(run, *arguments, "--snapshot", 9)
    assert missing.exit_code == 1
    assert "run 'sightsmith models evaluate' first" in missing.output
    of_another = pb.CompareModelsRequest(baseline=second, candidate=second, baseline_evaluation=first_told.name)
    with pytest.raises(SightsmithError, match="baseline_evaluation"), calling():
        client.models.stub.CompareModels(of_another)


async def test_the_command_line_tells_everything(
    classifier: str, pictures: Pictures, run: Callable[..., Result], working: asyncio.Task[None]
) -> None:
    project = classifier.split("/")[1]
    await pictures.snapshot(colours("red", "green", "blue", "red=blue", "white=elk"))
    arguments = ("models", "evaluate", project, "v1", "--on", pictures.project, "--snapshot", 1)
    told = await asyncio.to_thread(run, *arguments)
    assert told.exit_code == 0, told.output
    words = " ".join(told.output.split())
    assert "judged by 5 images that it did not learn from" in words
    assert "labels that the model does not know, which count as nothing there: elk (on 1 image)" in words
    listed = await asyncio.to_thread(run, "models", "evaluations", project, "v1", "--json")
    (name,) = (evaluation["name"] for evaluation in json.loads(listed.output)["evaluations"])
    id_ = name.rpartition("/")[2]
    for command in ("evaluation", "mistakes"):
        shown = await asyncio.to_thread(run, "models", command, project, "v1", "--evaluation", id_)
        assert shown.exit_code == 0, shown.output
    assert "3.png" in shown.output
    deleted = await asyncio.to_thread(run, "models", "delete-evaluation", project, "v1", id_)
    assert f"deleted: {name}" in deleted.output.replace("\n", "")


async def test_a_request_that_makes_no_sense_is_refused(client: Client, classifier: str, pictures: Pictures) -> None:
    snapshot = await pictures.snapshot(colours("white=elk"))
    with pytest.raises(SightsmithError, match=r"there are 'elk', and the model knows 'blue', 'green', 'red'") as raised:
        client.evaluation_jobs.begin(classifier, snapshot.name)
    assert raised.value.reason == "NOT_ENOUGH_DATA"
    known = (await pictures.snapshot(colours("red"), number=2)).name
    for model, other, wanted, problem in (
        (f"{classifier}0", known, {}, f"{classifier}0"),
        (classifier, f"{known}0", {}, f"{known}0"),
        (classifier, known, {"split": 9}, "evaluation_job.split"),
        (classifier, known, {"datasets": ["projects/other/datasets/d"]}, "evaluation_job.datasets"),
    ):
        with pytest.raises(SightsmithError, match=problem):
            client.evaluation_jobs.begin(model, other, **wanted)


async def test_a_job_goes_on_with_another_worker_when_one_is_lost(
    client: Client, database: Database, classifier: str, pictures: Pictures, worker: EvaluationWorker
) -> None:
    snapshot = await pictures.snapshot(colours(*COLOURS))
    begun = client.evaluation_jobs.begin(classifier, snapshot.name)
    lost = await EvaluationLeases(database, lease_seconds=-1, max_attempts=2).claim()
    assert lost is not None
    assert str(lost.name) == begun.name
    task = asyncio.create_task(worker.run())
    job = await asyncio.wait_for(asyncio.to_thread(client.evaluation_jobs.wait, begun.name), 60)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (job.attempt, job.state) == (2, EvaluationJob.STATE_SUCCEEDED)
    with pytest.raises(LeaseLostError):
        await EvaluationLeases(database, 60, 2).heartbeat(lost, None)
    changes = list(client.evaluation_jobs.watch(begun.name))
    assert [change.revision for change in changes] == list(range(1, job.revision + 1))
    assert len(list(client.evaluation_jobs.evaluations(classifier))) == 1
    assert begun.name in {listed.name for listed in client.evaluation_jobs.list(classifier.split("/")[1])}


async def test_jobs_are_cancelled_waiting_and_running(
    client: Client, classifier: str, pictures: Pictures, worker: EvaluationWorker, run: Callable[..., Result]
) -> None:
    snapshot = await pictures.snapshot(colours(*COLOURS * 200))
    project = classifier.split("/")[1]
    waiting = client.evaluation_jobs.begin(classifier, snapshot.name)
    stopped = await asyncio.to_thread(run, "models", "cancel-evaluation", project, waiting.name)
    assert "is cancelled" in stopped.output.replace("\n", " ")
    running = client.evaluation_jobs.begin(classifier, snapshot.name)
    task = asyncio.create_task(worker.run())
    async with asyncio.timeout(30):
        while client.evaluation_jobs.get(running.name).state == EvaluationJob.STATE_QUEUED:
            await asyncio.sleep(0.05)
        # In a thread: the worker may hold the row that this waits for, and goes on in this loop alone.
        await asyncio.to_thread(client.evaluation_jobs.cancel, running.name)
        async with asyncio.timeout(5):
            while client.evaluation_jobs.get(running.name).state != EvaluationJob.STATE_CANCELLED:
                await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert list(client.evaluation_jobs.evaluations(classifier)) == []


async def test_jobs_of_other_kinds_are_others(
    client: Client, database: Database, classifier: str, pictures: Pictures
) -> None:
    snapshot = await pictures.snapshot(colours(*COLOURS))
    name, request_id = ModelName.parse(classifier), uuid.uuid4()
    trainings, evaluations = TrainingJobs(database), EvaluationJobs(database)
    made = [await evaluations.create(name, snapshot, WantedImages(), request_id) for _ in range(2)]
    assert made[0] == made[1], "the same request makes one job"
    for again in (
        evaluations.create(name, snapshot, WantedImages(split="test"), request_id),
        trainings.create(
            name.project, TrainableSnapshot(snapshot.name, snapshot.manifest_key, "0" * 64), 0, request_id
        ),
    ):
        with pytest.raises(AlreadyExistsError) as raised:
            await again
        assert raised.value.reason == "REQUEST_ID_REUSED"
    with pytest.raises(NotFoundError):
        await trainings.get(TrainingJobName(name.project, made[0].id))
    assert list(client.training_jobs(name.project)) == []
    assert await evaluations.cancel(EvaluationJobName.parse(made[0].name)) == await evaluations.get(
        EvaluationJobName.parse(made[0].name)
    )


@pytest.mark.usefixtures("working")
async def test_images_that_are_gone_fail_a_job_that_has_too_many_of_them(
    client: Client, classifier: str, pictures: Pictures, store: Path
) -> None:
    given = colours(*COLOURS * 2, first_shade=900)
    snapshot = await pictures.snapshot(given)
    for data, _ in given[:2]:
        (store / image_key(hashlib.sha256(data).hexdigest())).unlink()
    with pytest.raises(SightsmithError) as raised:
        await judged(client, classifier, snapshot)
    assert raised.value.reason == "TOO_MANY_UNUSABLE_IMAGES"
    assert len(raised.value.violations) == 2
