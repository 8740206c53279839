"""Validations of datasets and manifests by a real worker."""

import json
import uuid

import grpc
import numpy as np
import pytest
from PIL import Image, ImageFilter

from sightsmith.api.labeling.v1 import job_pb2
from sightsmith.api.labeling.v1 import validation_service_pb2 as pb
from sightsmith.api.labeling.v1.dataset_pb2 import SPLIT_TEST
from sightsmith.api.labeling.v1.job_pb2 import JobFinding
from sightsmith.api.labeling.v1.validation_job_pb2 import ValidationJob, ValidationResult
from sightsmith.database import Database
from sightsmith.settings import Settings
from sightsmith_labeling.embeddings.store import DEFAULT_BACKBONE, NewEmbedding, keep

from .labeling_client import Failure, LabelingClient, Sample
from .sample_images import encode, jpeg, noise
from .transfer_client import TransferClient, manifest, manifest_line
from .validation_client import SUMMARY, TESTING, TRAINING, ValidationClient, counts

pytestmark = pytest.mark.usefixtures("worker")
Manifest = ValidationJob.Manifest


@pytest.fixture
def transfers(client: LabelingClient) -> TransferClient:
    return TransferClient(client)


@pytest.fixture
def validations(client: LabelingClient) -> ValidationClient:
    return ValidationClient(client)


def scene(seed: int) -> Image.Image:
    """A picture with large shapes, which stays itself when it is scaled or saved again."""
    return noise(seed, 9, 8).resize((288, 256), Image.Resampling.BICUBIC)


def photo(seed: int, quality: int = 90) -> bytes:
    """A scene with grain."""
    grain = Image.blend(scene(seed), noise(seed, 288, 256), 0.15)
    return encode(grain, "JPEG", quality=quality)


async def test_sound_datasets_pass(client: LabelingClient, validations: ValidationClient) -> None:
    project = await client.new_project()
    train = await client.new_dataset(project)
    test = await client.new_dataset(project, "test", SPLIT_TEST)
    for dataset, begin, end in ((train, 0, 24), (test, 24, 30)):
        samples = [Sample(f"{seed}.jpg", photo(seed), ("cat" if seed % 2 else "dog",)) for seed in range(begin, end)]
        await client.upload(dataset, samples)
    job = await validations.validate(project)
    result = job.result
    assert result.trainable
    assert result.use_case == ValidationResult.USE_CASE_IMAGE_LEVEL_LABELS
    assert (result.train.total_count, result.train.valid_count, result.test.valid_count) == (24, 24, 6)
    assert counts(job) == {}
    assert await validations.findings(job) == []
    summary = json.loads(await validations.file(job, SUMMARY))
    assert summary["statistics"]["training"]["valid_json_lines"] == 24
    assert summary["errors"] == []
    assert len(await validations.lines(job, TRAINING)) == 24
    assert len(await validations.lines(job, TESTING)) == 6


async def test_everything_odd_in_datasets_is_found(
    client: LabelingClient, transfers: TransferClient, validations: ValidationClient
) -> None:
    project = await client.new_project()
    train = await client.new_dataset(project)
    test = await client.new_dataset(project, "test", SPLIT_TEST)
    samples = [Sample(f"{seed}.jpg", photo(seed), ("dog",)) for seed in range(10)]
    samples += [
        Sample("blank.png", encode(Image.new("RGB", (64, 64), (120, 120, 120)), "PNG"), ("Dog",)),
        Sample("blurred.png", encode(scene(50).filter(ImageFilter.GaussianBlur(12)), "PNG"), ("dog",)),
        Sample("dark.png", encode(Image.eval(scene(51), lambda value: value // 6), "PNG"), ("dog",)),
        Sample("copy.jpg", photo(0, quality=60), ("dog",)),
        Sample("unlabelled.jpg", photo(60), ()),
    ]
    await client.upload(train, samples)
    await client.upload(test, [Sample("leak.jpg", photo(1), ("dog",)), Sample("near.jpg", photo(2, 60), ("dog",))])
    lines = [
        manifest_line("s3://b/100.jpg", "dog", boxes=[("dog", 1, 2, 30, 20), ("dog", 1, 2, 30, 20)]),
        manifest_line("s3://b/101.jpg", boxes=[("dog", 600, 2, 300, 20)]),
    ]
    await transfers.import_bytes(project, "a.manifest", manifest(lines), dataset=train, max_rejected_fraction=1)
    job = await validations.validate(project)
    found = {(finding.code, name_of(finding)): finding for finding in await validations.findings(job)}
    sources = {image.name: image.source for dataset in (train, test) for image in await transfers.images(dataset)}
    told = {(code, sources.get(name, name)) for code, name in found}
    assert {
        ("WARNING_BLANK_IMAGE", "blank.png"),
        ("WARNING_BLURRED_IMAGE", "blurred.png"),
        ("WARNING_DARK_IMAGE", "dark.png"),
        ("WARNING_UNANNOTATED_RECORD", "unlabelled.jpg"),
        ("WARNING_DUPLICATE_ACROSS_SPLITS", "leak.jpg"),
        ("WARNING_NEAR_DUPLICATE_ACROSS_SPLITS", "near.jpg"),
        ("WARNING_SIMILAR_LABELS", "Dog"),
        ("WARNING_FEW_IMAGES_OF_LABEL", "Dog"),
        ("ERROR_INVALID_BOUNDING_BOX", "s3://b/101.jpg"),
    } <= told
    assert pairs(found, sources, "WARNING_DUPLICATE_ACROSS_SPLITS") == [{"leak.jpg", "1.jpg"}]
    assert pairs(found, sources, "WARNING_NEAR_DUPLICATE_ACROSS_SPLITS") == [{"near.jpg", "2.jpg"}]
    assert pairs(found, sources, "WARNING_NEAR_DUPLICATE_IMAGE") == [{"copy.jpg", "0.jpg"}]
    assert job.result.unmeasured_image_count == 2
    assert job.result.train.total_count == 17
    only = await validations.findings(job, code="WARNING_BLANK_IMAGE")
    assert [finding.code for finding in only] == ["WARNING_BLANK_IMAGE"]
    errors = await validations.findings(job, severity=JobFinding.SEVERITY_ERROR)
    assert {finding.code for finding in errors} >= {"ERROR_INVALID_BOUNDING_BOX"}


def pairs(found: dict[tuple[str, str], JobFinding], sources: dict[str, str], code: str) -> list[set[str]]:
    """The images of each pair; images of one upload come in any order."""
    of_code = [finding for (found_code, _), finding in found.items() if found_code == code]
    return [{sources[finding.resource], sources[finding.details["other_image"]]} for finding in of_code]


def name_of(finding: JobFinding) -> str:
    return finding.resource or finding.details["label"]


async def test_nothing_to_train_with_is_terminal(client: LabelingClient, validations: ValidationClient) -> None:
    project = await client.new_project()
    empty = await validations.validate(project)
    assert not empty.result.trainable
    assert "ERROR_EMPTY_MANIFEST" in counts(empty)
    dataset = await client.new_dataset(project)
    await client.upload(dataset, [Sample(f"{seed}.jpg", jpeg(seed=seed), ("dog",)) for seed in range(3)])
    job = await validations.validate(project)
    assert not job.result.trainable
    (terminal,) = await validations.findings(job, severity=JobFinding.SEVERITY_TERMINAL)
    assert terminal.code == "ERROR_MANIFEST_TOO_FEW_LABELS"


async def test_wrong_labels_are_found_by_embeddings(
    client: LabelingClient, validations: ValidationClient, server_settings: Settings
) -> None:
    dataset = await client.new_dataset()
    labels = ["cat" if seed % 2 else "dog" for seed in range(200, 240)]
    given = ["dog" if place == 7 else label for place, label in enumerate(labels)]
    samples = [Sample(f"{place}.jpg", jpeg(seed=2000 + place), (label,)) for place, label in enumerate(given)]
    images = [answer.image for answer in await client.upload(dataset, samples)]
    chance = np.random.default_rng(0)
    database = Database(server_settings.database_url.get_secret_value())
    embeddings = [
        NewEmbedding(image.sha256, (chance.random(1280) + (np.arange(1280) % 2 == (label == "cat"))).astype(np.float32))
        for image, label in zip(images, labels, strict=True)
    ]
    async with database.transaction() as session:
        await keep(session, DEFAULT_BACKBONE, embeddings, searchable=True)
    await database.close()
    job = await validations.validate(dataset.partition("/datasets/")[0])
    (found,) = await validations.findings(job, code="WARNING_SUSPECT_LABEL")
    assert job.result.judged_image_count == 40
    assert found.resource == images[7].name
    assert (found.details["label"], found.details["suggested_label"]) == ("dog", "cat")
    assert float(found.details["margin"]) > 0.5


async def test_lines_of_the_other_use_case_are_told_of(
    client: LabelingClient, transfers: TransferClient, validations: ValidationClient
) -> None:
    project = await client.new_project()
    labelled = [manifest_line(f"s3://b/{number}.jpg", "cat" if number % 2 else "dog") for number in range(6)]
    boxed = [manifest_line(f"s3://b/box-{number}.jpg", boxes=[("cat", 1, 2, 30, 20)]) for number in range(2)]
    both = manifest_line("s3://b/both.jpg", "dog", boxes=[("cat", 1, 2, 30, 20)])
    file = await transfers.upload(project, "mixed.manifest", manifest([*boxed, *labelled, both]))
    job = await validations.validate(project, train_manifest=Manifest(uploaded_file=file.name))
    assert job.result.trainable
    assert job.result.use_case == ValidationResult.USE_CASE_IMAGE_LEVEL_LABELS
    lines = job.result.train
    assert (lines.total_count, lines.valid_count, lines.invalid_count, lines.ignored_count) == (9, 7, 0, 2)
    (finding,) = await validations.findings(job)
    assert (finding.severity, finding.code) == (JobFinding.SEVERITY_WARNING, "WARNING_OTHER_USE_CASE")
    assert (finding.file, finding.line) == ("training.manifest", 0)


async def test_manifests_are_judged_without_being_imported(
    client: LabelingClient, transfers: TransferClient, validations: ValidationClient
) -> None:
    project = await client.new_project()
    train = [manifest_line(f"s3://b/{number}.jpg", "cat" if number % 2 else "dog") for number in range(8)]
    train += ["not json", manifest_line("s3://b/0.jpg", "cat"), '{"source-ref":"https://b/x.jpg"}']
    test = [manifest_line("s3://b/1.jpg", "cat"), manifest_line("s3://b/90.jpg", "cat")]
    files = [await transfers.upload(project, name, manifest(lines)) for name, lines in (("a", train), ("b", test))]
    job = await validations.validate(
        project,
        train_manifest=Manifest(uploaded_file=files[0].name),
        test_manifest=Manifest(uploaded_file=files[1].name),
    )
    lines = job.result.train
    assert (lines.total_count, lines.valid_count, lines.invalid_count, lines.ignored_count) == (11, 8, 3, 0)
    assert not job.result.trainable
    assert counts(job)["ERROR_TOO_MANY_INVALID_ROWS_IN_MANIFEST"] == 1
    assert counts(job)["WARNING_DUPLICATE_ACROSS_SPLITS"] == 1
    summary = json.loads(await validations.file(job, SUMMARY))
    assert summary["statistics"]["training"]["error_json_line_indices"] == [9, 10, 11]
    annotated = await validations.lines(job, TRAINING)
    assert [line["errors"][0]["code"] for line in annotated[8:]] == [
        "ERROR_INVALID_JSON_LINE",
        "ERROR_DUPLICATE_SOURCE_REF",
        "ERROR_INVALID_SOURCE_REF_FORMAT",
    ]
    assert all("errors" not in line for line in annotated[:8])
    places = {finding.code: finding.line for finding in await validations.findings(job)}
    assert places["ERROR_INVALID_JSON_LINE"] == 9


async def test_the_rules_of_custom_labels_can_be_asked_for(
    client: LabelingClient, transfers: TransferClient, validations: ValidationClient
) -> None:
    project = await client.new_project()
    boxes = [("bolt", float(10 * number), 0.0, 8.0, 8.0) for number in range(51)]
    file = await transfers.upload(project, "a", manifest([manifest_line("s3://b/1.jpg", boxes=boxes)] * 1))
    source = Manifest(uploaded_file=file.name)
    ours = await validations.validate(project, train_manifest=source)
    theirs = await validations.validate(project, train_manifest=source, rule_set=ValidationJob.RULE_SET_CUSTOM_LABELS)
    assert "ERROR_TOO_MANY_BOUNDING_BOXES" not in counts(ours)
    assert counts(theirs)["ERROR_TOO_MANY_BOUNDING_BOXES"] == 1


async def test_stored_images_can_keep_the_rules_of_custom_labels(
    client: LabelingClient, validations: ValidationClient
) -> None:
    project = await client.new_project()
    train = await client.new_dataset(project)
    samples = [Sample(f"{seed}.jpg", photo(seed), ("cat" if seed % 2 else "dog",)) for seed in range(4)]
    await client.upload(train, [*samples, Sample("s3://elsewhere/9.jpg", photo(9), ("cat",))])
    job = await validations.validate(project, rule_set=ValidationJob.RULE_SET_CUSTOM_LABELS)
    assert job.result.train.valid_count == 5
    assert not [code for code in counts(job) if code.startswith("ERROR")]


async def test_requests_that_make_no_sense_are_refused(
    client: LabelingClient, transfers: TransferClient, validations: ValidationClient
) -> None:
    project, other = await client.new_project(), await client.new_project()
    file = await transfers.upload(other, "a", b"x")
    for fields, field in (
        ({"test_manifest": Manifest(uploaded_file=file.name)}, "validation_job.train_manifest"),
        ({"train_manifest": Manifest(uploaded_file=file.name)}, "validation_job.train_manifest.uploaded_file"),
        ({"train_manifest": Manifest()}, "validation_job.train_manifest.source"),
        ({"train_manifest": Manifest(url="file:///etc/passwd")}, "validation_job.train_manifest.url"),
        ({"rule_set": 9}, "validation_job.rule_set"),
    ):
        with Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
            await validations.begin(project, **fields)
        assert failure.fields == [field]
    with Failure(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        await validations.begin("projects/none-such")


async def test_a_validation_is_found_listed_and_made_once(
    client: LabelingClient, validations: ValidationClient
) -> None:
    project = await client.new_project()
    request_id = str(uuid.uuid4())
    first, again = [await validations.begin(project, request_id) for _ in range(2)]
    assert first.name == again.name
    request = pb.ListValidationJobsRequest(parent=project)
    listed = await validations.stub.ListValidationJobs(request, metadata=validations.metadata)
    assert [job.name for job in listed.validation_jobs] == [first.name]
    await validations.stub.CancelValidationJob(
        pb.CancelValidationJobRequest(name=first.name), metadata=validations.metadata
    )
    last = first
    watch = pb.WatchValidationJobRequest(name=first.name)
    async for change in validations.stub.WatchValidationJob(watch, metadata=validations.metadata, timeout=30):
        last = change.validation_job if change.HasField("validation_job") else last
    assert last.state in (job_pb2.JOB_STATE_CANCELLED, job_pb2.JOB_STATE_SUCCEEDED)
