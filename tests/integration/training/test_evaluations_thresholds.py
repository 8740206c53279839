"""Thresholds are changed without a training, and everything that is told of the model follows."""

from collections.abc import Awaitable, Callable
from math import nan

import numpy as np
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from sklearn.metrics import precision_recall_fscore_support

from sightsmith.api.training.v1 import model_service_pb2 as pb
from sightsmith.api.training.v1.evaluation_pb2 import EvaluatedImage
from sightsmith.api.training.v1.model_pb2 import LabelThreshold, Model
from sightsmith.client import Client, SightsmithError
from sightsmith.client.calls import calling
from sightsmith_training.engine.evaluation_result import Advice
from tests.integration.training.judged_answers import LABELS, boxes, judged, one_label, several_labels
from tests.integration.training.trained_model import Answers

PublishModel = Callable[..., Awaitable[str]]
NewProject = Callable[[], str]
OTHER = {"bee": 0.7, "cat": 0.65, "dog": 0.35}
KINDS = {"one label": one_label(1), "several labels": several_labels(2), "boxes": boxes(3)}


@pytest.fixture(params=KINDS)
def answers(request: pytest.FixtureRequest) -> Answers:
    return KINDS[request.param]


@pytest.fixture
async def name(publish_model: PublishModel, new_project: NewProject, answers: Answers) -> str:
    return await publish_model(new_project(), {"onnx": b"onnx"}, judged=answers)


def change(client: Client, name: str, *thresholds: tuple[str, float]) -> Model:
    told = [LabelThreshold(label=label, threshold=threshold) for label, threshold in thresholds]
    request = pb.UpdateModelRequest(
        model=Model(name=name, thresholds=told), update_mask=FieldMask(paths=["thresholds"])
    )
    with calling():
        return client.models.stub.UpdateModel(request)


async def test_a_change_is_as_if_the_model_had_been_trained_with_it(
    client: Client, name: str, answers: Answers, publish_model: PublishModel, new_project: NewProject
) -> None:
    changed = client.models.set_thresholds(name, OTHER)
    same = judged(answers.task, LABELS, answers.images, list(OTHER.values()))
    from_the_first = await publish_model(new_project(), {"onnx": b"onnx"}, judged=same)
    assert {held.label: held.threshold for held in changed.thresholds} == OTHER
    told, expected = client.evaluation(name), client.evaluation(from_the_first)
    for message in (told, expected):  # but for whose it is, and since when
        for field in ("name", "snapshot", "create_time"):
            message.ClearField(field)
    assert told == expected
    assert list(client.evaluated_images(name)) == list(client.evaluated_images(from_the_first))
    assert changed == client.model(name)
    assert changed.evaluation == told.summary


async def test_what_does_not_depend_on_thresholds_stays(client: Client, name: str) -> None:
    before = client.evaluation(name)
    client.models.set_thresholds(name, OTHER)
    after = client.evaluation(name)
    assert after.summary.macro_f1 != before.summary.macro_f1
    assert after.detection == before.detection
    assert after.mean_average_precision == before.mean_average_precision
    assert after.calibration_error == before.calibration_error
    for now, then in zip(after.label_metrics, before.label_metrics, strict=True):
        assert now.average_precision == then.average_precision
        assert now.threshold == OTHER[now.label]


@pytest.mark.parametrize("answers", [KINDS["several labels"]])
async def test_figures_are_those_of_scikit_learn(client: Client, name: str, answers: Answers) -> None:
    client.models.set_thresholds(name, OTHER)
    truth = np.array([[label in answer.true_labels for label in LABELS] for answer in answers.images])
    said = np.array([answer.scores for answer in answers.images]) >= list(OTHER.values())
    precision, recall, f1, _ = precision_recall_fscore_support(truth, said)
    told = client.evaluation(name)
    assert [label.precision for label in told.label_metrics] == pytest.approx(precision)
    assert [label.recall for label in told.label_metrics] == pytest.approx(recall)
    assert told.summary.macro_f1 == pytest.approx(f1.mean())


async def test_a_change_is_a_change_of_the_model(client: Client, name: str) -> None:
    read = client.model(name)
    changed = client.models.set_thresholds(name, OTHER, read.etag)
    assert changed.etag != read.etag
    assert changed.update_time.ToDatetime() > read.update_time.ToDatetime()
    assert client.models.set_thresholds(name, OTHER, changed.etag) == changed, "nothing was changed"
    with pytest.raises(SightsmithError) as raised:
        client.models.set_thresholds(name, dict.fromkeys(LABELS, 0.5), read.etag)
    assert raised.value.reason == "ETAG_MISMATCH"
    assert client.models.describe(name, "new", changed.etag).thresholds == changed.thresholds


async def test_back_and_forth_is_as_before(client: Client, name: str, answers: Answers) -> None:
    def told() -> tuple[object, list[EvaluatedImage]]:
        return client.evaluation(name), list(client.evaluated_images(name))

    before = told()
    client.models.set_thresholds(name, OTHER)
    assert told() != before
    client.models.set_thresholds(name, dict(zip(LABELS, answers.thresholds, strict=False)))
    assert told() == before


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ([("bee", 0.5), ("cat", 0.5)], "'dog' has none"),
        ([("bee", 0.5), ("cat", 0.5), ("dog", 0.5), ("elk", 0.5)], "'elk' is not a label"),
        ([("bee", 0.5), ("cat", 0.5), ("dog", 0.5), ("dog", 0.6)], "'dog' has 2"),
        ([("bee", 0.5), ("cat", 0.5), ("dog", 1.01)], "from 0 to 1, not 1.01"),
        ([("bee", 0.5), ("cat", -0.1), ("dog", 0.5)], "from 0 to 1, not -0.1"),
        ([("bee", nan), ("cat", 0.5), ("dog", 0.5)], "from 0 to 1, not nan"),
    ],
)
@pytest.mark.parametrize("answers", [KINDS["boxes"]])
async def test_thresholds_that_make_no_sense_are_refused(
    client: Client, name: str, wanted: list[tuple[str, float]], problem: str
) -> None:
    before = client.model(name)
    with pytest.raises(SightsmithError) as raised:
        change(client, name, *wanted)
    (violation,) = raised.value.violations
    assert violation.field == "model.thresholds"
    assert problem in violation.description
    assert client.model(name) == before


async def test_only_a_model_of_one_label_an_image_does_without(client: Client, name: str, answers: Answers) -> None:
    client.models.set_thresholds(name, OTHER)
    if answers.task == "classification":
        assert not client.models.set_thresholds(name, {}).thresholds
    else:
        with pytest.raises(SightsmithError, match="must have one for each label"):
            client.models.set_thresholds(name, {})


async def test_a_threshold_that_nothing_reaches_leaves_nothing(client: Client, name: str) -> None:
    client.models.set_thresholds(name, dict.fromkeys(LABELS, 1.0))
    told = client.evaluation(name)
    assert [label.true_positive_count for label in told.label_metrics] == [0, 0, 0]
    assert all(not image.predicted_labels for image in client.evaluated_images(name))


@pytest.mark.parametrize("answers", [KINDS["one label"]])
async def test_advice_about_the_training_stays_and_the_rest_follows(
    client: Client, publish_model: PublishModel, new_project: NewProject, answers: Answers
) -> None:
    assert answers.evaluation is not None
    more = Advice(code="MORE_IMAGES", text="Take more pictures of bees.", labels=["bee"])
    late = Advice(code="BUDGET_EXCEEDED", text="The training took 90 s where its budget is 60 s.")
    evaluation = answers.evaluation.model_copy(update={"advice": [more, late, *answers.evaluation.advice]})
    trained = Answers(answers.task, LABELS, answers.images, evaluation=evaluation)
    name = await publish_model(new_project(), {"onnx": b"onnx"}, judged=trained)
    client.models.set_thresholds(name, dict.fromkeys(LABELS, 0.9))
    advice = client.evaluation(name).advice
    for said in (more, late):
        assert [piece.text for piece in advice if piece.code == said.code] == [said.text]
    assert [piece.labels for piece in advice if piece.code == "LOWER_THRESHOLD"]


@pytest.mark.parametrize("answers", [KINDS["boxes"]])
async def test_a_copy_keeps_its_own_thresholds(client: Client, name: str, new_project: NewProject) -> None:
    copy = client.models.copy(name, new_project())
    before = client.evaluation(copy.name)
    client.models.set_thresholds(name, OTHER)
    assert client.model(copy.name) == copy
    assert client.evaluation(copy.name) == before
    client.models.set_thresholds(copy.name, OTHER)
    assert list(client.evaluated_images(copy.name)) == list(client.evaluated_images(name))
