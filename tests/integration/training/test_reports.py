"""The report that comes out of a training."""

import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result
from google.rpc import code_pb2
from PIL import Image

from sightsmith.api.training.v1 import report_service_pb2 as pb
from sightsmith.client import Client, SightsmithError
from sightsmith.client.calls import calling
from sightsmith.names import ModelName
from tests.integration.training.finished_training import Workshop
from tests.integration.training.judged_answers import boxes, one_label, several_labels
from tests.integration.training.neighbours import Neighbours
from tests.integration.training.trained_model import Answers

NewProject = Callable[[], str]
KINDS = [one_label(1), several_labels(2), boxes(3)]
RESULT_FILES = (
    "ManifestSummary",
    "TrainingManifestWithValidation",
    "TestingManifestWithValidation",
    "TrainingGroundTruth",
    "TestingGroundTruth",
    "EvaluationResultSummary",
)


@pytest.fixture
async def name(workshop: Workshop, new_project: NewProject) -> str:
    """A published model that finds boxes."""
    return str((await workshop.publish(new_project(), KINDS[2])).name)


def download(client: Client, name: str, folder: Path) -> dict[str, Path]:
    """The files by their names without project and version."""
    folder.mkdir(exist_ok=True)
    found = {}
    for file in client.model(name).report_files:
        client.reports.download(name, file, folder / file.path)
        found[file.path.partition("-")[0]] = folder / file.path
    return found


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def counted(snapshot: list[dict]) -> Counter:
    """How often each label came out in each way, by the snapshot of the evaluation."""
    counts: Counter = Counter()
    for line in snapshot:
        for label, details in told(line):
            counts.update((label, outcome) for outcome in ("true-positive", "false-positive", "false-negative")
                          if details[f"is-{outcome}"])  # fmt: skip
    return counts


def told(line: dict) -> list[tuple[str, dict]]:
    prefix, details = "rekognition-custom-labels-evaluation", "rekognition-custom-labels-evaluation-details"
    if boxed := line.get(f"{prefix}-metadata"):
        labels = [boxed["class-map"][str(box["class_id"])] for box in line[prefix]["annotations"]]
        return [(label, one[details]) for label, one in zip(labels, boxed["objects"], strict=True)]
    metadata = [value for key, value in line.items() if re.fullmatch(rf"{prefix}-\d+-metadata", key)]
    return [(one["class-name"], one[details]) for one in metadata]


@pytest.mark.parametrize("answers", KINDS, ids=lambda answers: answers.task)
async def test_every_training_leaves_a_report_of_its_own_figures(
    client: Client, workshop: Workshop, new_project: NewProject, answers: Answers, tmp_path: Path
) -> None:
    model = await workshop.publish(new_project(), answers)
    name, evaluation = str(model.name), answers.evaluation
    files = download(client, name, tmp_path / "report")
    version = f"-{model.name.project}-v1.json"
    assert [file.path for file in client.model(name).report_files] == [
        *(f"{kind}{version}" for kind in RESULT_FILES),
        "report.html",
    ]
    (summary,) = read(files["EvaluationResultSummary"])
    assert summary["EvaluationDetails"]["ProjectVersionArn"] == name
    assert summary["EvaluationDetails"]["NumberOfTrainingImages"] == 1
    aggregated = summary["AggregatedEvaluationResults"]
    assert aggregated["F1Score"] == evaluation.macro_f1
    if evaluation.detection is not None:
        assert aggregated["AveragePrecision"] == evaluation.detection.map_50
    by_label = {one["Label"]: one["Metrics"] for one in summary["LabelEvaluationResults"]}
    counts = counted(read(files["TestingGroundTruth"]))
    page = files["report.html"].read_text()
    for label in evaluation.per_label:
        metrics = by_label[label.label]
        assert (metrics["Precision"], metrics["Recall"], metrics["F1Score"], metrics["Threshold"]) == (
            label.precision,
            label.recall,
            label.f1,
            label.threshold,
        )
        outcomes = [counts[label.label, kind] for kind in ("true-positive", "false-positive", "false-negative")]
        assert outcomes == [label.true_positives, label.false_positives, label.false_negatives]
        assert "".join(f"<td>{count}</td>" for count in outcomes) in page
    assert f'<p class="value">{evaluation.macro_f1:.3f}</p>' in page
    assert page.count("data-tags=") == page.count("<img ") == len(answers.images)


async def test_what_was_wrong_with_images_is_told(
    client: Client, workshop: Workshop, new_project: NewProject, tmp_path: Path
) -> None:
    model = await workshop.publish(new_project(), KINDS[0])
    files = download(client, str(model.name), tmp_path / "report")
    statistics = read(files["ManifestSummary"])[0]["statistics"]
    assert [statistics[split]["valid_json_lines"] for split in ("training", "testing")] == [1, 60]
    assert statistics["training"]["error_json_line_indices"] == [2]
    learned, unread = read(files["TrainingManifestWithValidation"])
    assert "errors" not in learned
    assert unread["errors"][0]["code"] == "ERROR_INVALID_IMAGE"
    assert [line["source-ref"] for line in read(files["TrainingGroundTruth"])] == [learned["source-ref"]]


async def test_media_types_are_those_of_the_content(client: Client, name: str) -> None:
    types = {file.path.partition("-")[0]: file.media_type for file in client.model(name).report_files}
    assert types.pop("report.html") == "text/html; charset=utf-8"
    assert {kind for kind, media_type in types.items() if media_type == "application/json"} == {
        "ManifestSummary",
        "EvaluationResultSummary",
    }
    assert set(types.values()) == {"application/json", "application/x-ndjson"}


async def test_a_copy_keeps_the_report_when_the_original_goes(
    client: Client, name: str, new_project: NewProject, store: Path, tmp_path: Path
) -> None:
    copy = client.models.copy(name, new_project())
    files = client.model(name).report_files
    assert list(copy.report_files) == list(files)
    client.models.delete(name)
    assert "report.html" in download(client, copy.name, tmp_path / "report")
    client.models.delete(copy.name)
    assert not any((store / file.key).exists() for file in files)


@pytest.mark.parametrize("offset", [0, 1, "size - 1", "size"])
async def test_a_file_comes_from_any_offset(client: Client, name: str, store: Path, offset: int | str) -> None:
    file = client.model(name).report_files[-1]
    begin = {"size - 1": file.size_bytes - 1, "size": file.size_bytes}.get(str(offset), offset)
    first, *parts = client.reports._stub.DownloadReportFile(
        pb.DownloadReportFileRequest(name=name, path=file.path, offset=begin)
    )
    assert first.report_file == file
    data = (store / file.key).read_bytes()
    assert hashlib.sha256(data).hexdigest() == file.sha256
    assert b"".join(part.chunk for part in parts) == data[begin:]


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"path": "../report.html"}, code_pb2.NOT_FOUND),
        ({"path": ""}, code_pb2.INVALID_ARGUMENT),
        ({"offset": -1}, code_pb2.INVALID_ARGUMENT),
        ({"offset": 1 << 40}, code_pb2.OUT_OF_RANGE),
        ({"name": "projects/gone/models/v1"}, code_pb2.NOT_FOUND),
    ],
)
async def test_what_is_not_there_is_refused(client: Client, name: str, wanted: dict, code: int) -> None:
    request = pb.DownloadReportFileRequest(**{"name": name, "path": "report.html", **wanted})
    assert code_of(lambda: list(client.reports._stub.DownloadReportFile(request))) == code


def code_of(call: Callable[[], object]) -> int:
    with pytest.raises(SightsmithError) as raised, calling():
        call()
    return raised.value.code


async def test_a_page_shows_so_many_images_as_it_is_told_to(
    client: Client, workshop: Workshop, new_project: NewProject, tmp_path: Path
) -> None:
    model = await replace(workshop, report_images=7).publish(new_project(), KINDS[0])
    page = download(client, str(model.name), tmp_path / "report")["report.html"].read_text()
    assert page.count("<img ") == 7
    assert "7 of 60 images are shown" in page


async def test_a_judged_image_is_drawn_by_the_thresholds_of_now(client: Client, name: str) -> None:
    image = next(image for image in client.evaluations.images(name) if len(image.findings) > 1)
    before = client.reports.draw(name, image.image)
    with Image.open(io.BytesIO(before)) as picture:
        assert (picture.format, picture.size) == ("PNG", (640, 480))
    assert client.reports.draw(name, image.image) == before
    client.models.set_thresholds(name, dict.fromkeys(client.model(name).labels, 1.0))
    assert client.reports.draw(name, image.image) != before


async def test_a_classified_image_has_its_labels_below_it(
    client: Client, workshop: Workshop, new_project: NewProject
) -> None:
    name = str((await workshop.publish(new_project(), KINDS[0])).name)
    image = next(client.evaluations.images(name))
    with Image.open(io.BytesIO(client.reports.draw(name, image.image))) as picture:
        width, height = picture.size
        assert width == 640
        assert height > 480


async def test_images_that_cannot_be_drawn_are_refused(
    client: Client, name: str, store: Path, neighbours: Neighbours
) -> None:
    image = next(client.evaluations.images(name)).image
    assert code_of(lambda: client.reports.draw(name, f"{image}0")) == code_pb2.NOT_FOUND
    assert code_of(lambda: client.reports.draw(f"{name}0", image)) == code_pb2.NOT_FOUND
    project = ModelName.parse(name).project
    snapshot = neighbours.snapshots[f"projects/{project}/snapshots/1"]
    manifest = [json.loads(line) for line in (store / snapshot.manifest_key).read_bytes().splitlines()]
    (store / next(entry["key"] for entry in manifest if entry["image"] == image)).unlink()
    assert code_of(lambda: client.reports.draw(name, image)) == code_pb2.FAILED_PRECONDITION
    del neighbours.snapshots[snapshot.name]
    assert code_of(lambda: client.reports.draw(name, image)) == code_pb2.FAILED_PRECONDITION


async def test_the_command_writes_a_folder(run: Callable[..., Result], name: str, tmp_path: Path) -> None:
    model, folder = ModelName.parse(name), tmp_path / "report"
    result = run("models", "report", model.project, "-o", folder, "--pictures", 3, "--json")
    assert result.exit_code == 0, result.output
    written = [Path(path) for path in json.loads(result.stdout)["files"]]
    assert len(written) == 7 + 3
    assert {path.parent.name for path in written[7:]} == {"images"}
    assert sorted(written) == sorted(path for path in folder.rglob("*") if path.is_file())


async def test_the_command_says_that_models_of_old_have_no_report(
    run: Callable[..., Result], publish_model: Callable[..., Awaitable[str]], new_project: NewProject, tmp_path: Path
) -> None:
    project = ModelName.parse(await publish_model(new_project())).project
    result = run("models", "report", project, "v1", "-o", tmp_path / "report")
    assert result.exit_code == 1
    assert "has no report" in result.stderr
    assert not (tmp_path / "report").exists()
