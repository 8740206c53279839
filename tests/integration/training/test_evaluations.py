"""How good a model is, through the service: figures, curves, and what became of every label and box."""

import itertools
from collections import Counter
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from sightsmith.api.training.v1 import model_service_pb2 as pb
from sightsmith.api.training.v1.evaluation_pb2 import EvaluatedImage, Evaluation
from sightsmith.api.training.v1.finding_pb2 import Finding
from sightsmith.client import Client, SightsmithError
from sightsmith.client.calls import calling
from sightsmith_training.engine.judging.answers import Detections, LabelledImage
from sightsmith_training.engine.specification import SpecBox
from tests.integration.training.judged_answers import DATASET, LABELS, boxes, one_label, several_labels
from tests.integration.training.trained_model import Answers
from tests.unit.training_engine.judging.coco import coco_evaluation

PublishModel = Callable[..., Awaitable[str]]
NewProject = Callable[[], str]
KINDS = {"one label": one_label(1), "several labels": several_labels(2), "boxes": boxes(3)}
OUTCOMES = (Finding.OUTCOME_TRUE_POSITIVE, Finding.OUTCOME_FALSE_POSITIVE, Finding.OUTCOME_FALSE_NEGATIVE)


@pytest.fixture(params=KINDS)
def answers(request: pytest.FixtureRequest) -> Answers:
    return KINDS[request.param]


@pytest.fixture
async def name(publish_model: PublishModel, new_project: NewProject, answers: Answers) -> str:
    return await publish_model(new_project(), {"onnx": b"onnx"}, judged=answers)


def counts(images: list[EvaluatedImage]) -> Counter[tuple[str, Finding.Outcome.ValueType]]:
    return Counter((finding.label, finding.outcome) for image in images for finding in image.findings)


async def test_findings_and_figures_count_the_same(client: Client, name: str, answers: Answers) -> None:
    told, images = client.evaluation(name), list(client.evaluated_images(name))
    assert {image.image for image in images} == {answer.image for answer in answers.images}
    found = counts(images)
    for metrics in told.label_metrics:
        of_figures = (metrics.true_positive_count, metrics.false_positive_count, metrics.false_negative_count)
        assert of_figures == tuple(found[metrics.label, outcome] for outcome in OUTCOMES)
    assert sum(found.values()) > len(answers.images) / 2, "there is something to be counted"
    assert told.summary.accuracy == pytest.approx(np.mean([image.is_right for image in images]))
    assert client.model(name).evaluation == told.summary


async def test_images_that_are_written_in_pieces_are_all_there(
    client: Client, publish_model: PublishModel, new_project: NewProject
) -> None:
    many = one_label(5, images=450)
    name = await publish_model(new_project(), {"onnx": b"onnx"}, judged=many)
    found = {image.image: image.confidence for image in client.evaluated_images(name)}
    assert found == pytest.approx({answer.image: max(answer.scores) for answer in many.images})


async def test_the_most_confident_mistakes_come_first(client: Client, name: str) -> None:
    images = list(client.evaluated_images(name))
    wrong = [image for image in images if not image.is_right]
    assert images[: len(wrong)] == wrong
    surest = [
        max((f.confidence for f in image.findings if f.outcome == Finding.OUTCOME_FALSE_POSITIVE), default=0.0)
        for image in wrong
    ]
    assert surest == sorted(surest, reverse=True)
    assert surest[0] > surest[-1] >= 0


async def test_images_are_found_by_label_and_outcome(client: Client, name: str) -> None:
    everything = list(client.evaluated_images(name))
    for label, outcome in itertools.product(["", *LABELS], [Finding.OUTCOME_UNSPECIFIED, *OUTCOMES]):
        wanted = [
            image
            for image in everything
            if (not label and not outcome)
            or any(label in ("", f.label) and outcome in (0, f.outcome) for f in image.findings)
        ]
        assert list(client.evaluations.images(name, label, outcome)) == wanted
        assert list(client.evaluations.images(name, label, outcome, page_size=17)) == wanted, "also page by page"


async def test_pages_end_where_the_list_ends(client: Client, name: str, answers: Answers) -> None:
    def page(token: str, size: int) -> pb.ListEvaluatedImagesResponse:
        request = pb.ListEvaluatedImagesRequest(parent=f"{name}/evaluation", page_size=size, page_token=token)
        with calling():
            return client.models.stub.ListEvaluatedImages(request)

    first = page("", len(answers.images) - 1)
    assert len(page(first.next_page_token, 5).evaluated_images) == 1
    assert page("", len(answers.images)).next_page_token == ""
    models = pb.ListModelsRequest(parent=name.rpartition("/models")[0])
    with calling():
        assert client.models.stub.ListModels(models).next_page_token == ""
    for token in ("bm9uc2Vuc2U=", first.next_page_token[:-4], "WyJ4L3kiXQ=="):
        with pytest.raises(SightsmithError, match="page_token"):
            page(token, 5)


async def test_a_label_or_outcome_that_is_not_known_is_refused(client: Client, name: str) -> None:
    for label, outcome, field in (("elk", 0, "filter.label"), ("", 9, "filter.outcome")):
        with pytest.raises(SightsmithError) as raised:
            list(client.evaluations.images(name, label, outcome))
        assert [violation.field for violation in raised.value.violations] == [field]


@pytest.mark.parametrize("answers", [KINDS["one label"], KINDS["several labels"]])
async def test_figures_of_classifiers_are_those_of_scikit_learn(client: Client, name: str, answers: Answers) -> None:
    told = {image.image: image for image in client.evaluated_images(name)}
    truth = np.array([[label in answer.true_labels for label in LABELS] for answer in answers.images])
    said = np.array([[label in told[answer.image].predicted_labels for label in LABELS] for answer in answers.images])
    precision, recall, f1, images = precision_recall_fscore_support(truth, said, zero_division=0)
    metrics = client.evaluation(name).label_metrics
    assert [label.precision for label in metrics] == pytest.approx(precision)
    assert [label.recall for label in metrics] == pytest.approx(recall)
    assert [label.f1 for label in metrics] == pytest.approx(f1)
    assert [label.image_count for label in metrics] == images.tolist()


@pytest.mark.parametrize("answers", [KINDS["boxes"]])
async def test_figures_of_detectors_are_those_of_pycocotools(client: Client, name: str, answers: Answers) -> None:
    told = client.evaluation(name)
    coco = coco_evaluation(*as_coco(answers), len(LABELS))
    assert told.detection.iou == 0.5
    assert told.detection.map_50_95 == pytest.approx(coco.stats[0])
    assert told.detection.map_50 == pytest.approx(coco.stats[1])
    assert told.detection.average_recall == pytest.approx(coco.stats[8])
    assert told.summary.map_50 == told.detection.map_50 == told.mean_average_precision
    assert told.detection.map_interval.lower < told.detection.map_50 < told.detection.map_interval.upper


def as_coco(answers: Answers) -> tuple[list[LabelledImage], list[Detections]]:
    def corners(found: list[SpecBox]) -> np.ndarray:
        return np.reshape([(b.left, b.top, b.left + b.width, b.top + b.height) for b in found], (-1, 4))

    def places(found: list[SpecBox]) -> np.ndarray:
        return np.array([LABELS.index(box.label) for box in found], np.intp)

    images = [
        LabelledImage(answer.image, "", answer.width, answer.height, np.array([]), corners(boxes), places(boxes))
        for answer in answers.images
        for boxes in (answer.true_boxes,)
    ]
    found = [
        Detections(corners(boxes), places(boxes), np.array([box.confidence for box in boxes]))
        for boxes in (answer.detections for answer in answers.images)
    ]
    return images, found


@pytest.mark.parametrize("answers", [KINDS["boxes"]])
async def test_the_confusions_of_a_detector_have_a_background(client: Client, name: str) -> None:
    told = client.evaluation(name)
    assert [row.label for row in told.confusion_matrix] == [*LABELS, ""]
    matrix = np.array([row.predicted_counts for row in told.confusion_matrix])
    metrics = told.label_metrics
    assert matrix.diagonal()[:-1].tolist() == [label.true_positive_count for label in metrics]
    boxes = [label.true_positive_count + label.false_negative_count for label in metrics]
    assert matrix.sum(axis=1)[:-1].tolist() == boxes
    assert matrix[-1, -1] == 0, "nothing is rightly found to be nothing"
    assert matrix[-1].sum() > 0


@pytest.mark.parametrize("answers", [KINDS["boxes"]])
async def test_findings_of_a_detector_have_their_boxes(client: Client, name: str, answers: Answers) -> None:
    labelled = {answer.image: answer.true_boxes for answer in answers.images}
    for image in client.evaluated_images(name):
        assert (image.width, image.height, list(image.scores)) == (640, 480, [])
        for finding in image.findings:
            has_labelled = finding.outcome != Finding.OUTCOME_FALSE_POSITIVE
            assert finding.HasField("labelled_box") == has_labelled
            if has_labelled:
                box = finding.labelled_box
                rectangle = (finding.label, box.left, box.top, box.width, box.height)
                assert rectangle in [(b.label, b.left, b.top, b.width, b.height) for b in labelled[image.image]]
            if finding.outcome == Finding.OUTCOME_TRUE_POSITIVE:
                assert 0.5 <= finding.iou <= 1
            if finding.outcome != Finding.OUTCOME_FALSE_NEGATIVE:
                assert finding.HasField("predicted_box")
                assert finding.confidence >= dict(zip(LABELS, answers.thresholds, strict=True))[finding.label]


async def test_curves_pass_through_the_figures(client: Client, name: str) -> None:
    curves, told = client.evaluations.curves(name), client.evaluation(name)
    assert curves.name == f"{name}/evaluation/curves"
    for drawn, metrics in zip(curves.label_curves, told.label_metrics, strict=True):
        assert drawn.label == metrics.label
        at = {round(point.threshold, 2): point for point in drawn.by_threshold}[round(metrics.threshold, 2)]
        figures = (metrics.precision, metrics.recall, metrics.f1)
        assert (at.precision, at.recall, at.f1) == pytest.approx(figures)
        recalls = [point.recall for point in drawn.precision_recall]
        assert recalls == sorted(recalls)
        assert len(recalls) <= 101
        assert len(drawn.by_threshold) <= 101
        assert all(a.threshold < b.threshold for a, b in itertools.pairwise(drawn.by_threshold))
    count = sum(bin_.count for bin_ in curves.reliability)
    error = sum(bin_.count * abs(bin_.confidence - bin_.accuracy) for bin_ in curves.reliability) / count
    assert error == pytest.approx(told.calibration_error)


async def test_a_model_without_judged_images_has_empty_curves(
    client: Client, publish_model: PublishModel, new_project: NewProject
) -> None:
    empty = Answers("classification", LABELS, [], evaluation=KINDS["one label"].evaluation)
    name = await publish_model(new_project(), {"onnx": b"onnx"}, judged=empty)
    assert list(client.evaluated_images(name)) == []
    assert [len(drawn.precision_recall) for drawn in client.evaluations.curves(name).label_curves] == [0, 0, 0]


async def test_what_is_not_there_is_not_found(client: Client, new_project: NewProject) -> None:
    name = f"projects/{new_project()}/models/v1"
    for ask in (
        lambda: client.evaluations.get(name),
        lambda: client.evaluations.curves(name),
        lambda: list(client.evaluations.images(name)),
        lambda: client.evaluations.compare(name, name),
    ):
        with pytest.raises(SightsmithError) as raised:
            ask()
        assert raised.value.reason == "NOT_FOUND"


async def test_advice_and_intervals_come_with_the_figures(client: Client, name: str) -> None:
    told: Evaluation = client.evaluation(name)
    assert told.macro_f1_interval.lower < told.summary.macro_f1 < told.macro_f1_interval.upper
    assert all(label.f1_interval.lower <= label.f1 <= label.f1_interval.upper for label in told.label_metrics)
    assert told.advice
    assert all(image.startswith(DATASET) for piece in told.advice for image in piece.images)
