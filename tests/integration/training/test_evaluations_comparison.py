"""Two models on the same images: which is better, and can that be chance."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from sightsmith.api.training.v1.model_comparison_pb2 import ModelComparison
from sightsmith.client import Client, SightsmithError
from tests.integration.training.judged_answers import LABELS, boxes, judged, one_label, several_labels
from tests.integration.training.trained_model import Answers

PublishModel = Callable[..., Awaitable[str]]
Compare = Callable[[Answers, Answers], Awaitable[ModelComparison]]
POOR, GOOD = one_label(1, images=200, skill=0.8), one_label(2, images=200, skill=4.0)


@pytest.fixture
def compare(client: Client, publish_model: PublishModel, new_project: Callable[[], str]) -> Compare:
    async def publish_and_compare(baseline: Answers, candidate: Answers) -> ModelComparison:
        project = new_project()
        names = [await publish_model(project, {"onnx": b"onnx"}, judged=one) for one in (baseline, candidate)]
        comparison = client.evaluations.compare(*names)
        assert [comparison.baseline, comparison.candidate] == names
        return comparison

    return publish_and_compare


def said(answers: Answers) -> list[str]:
    return [LABELS[int(np.argmax(answer.scores))] for answer in answers.images]


def truth(answers: Answers) -> list[str]:
    return [answer.true_labels[0] for answer in answers.images]


async def test_a_clearly_better_classifier_is_called_better(compare: Compare) -> None:
    comparison = await compare(POOR, GOOD)
    figures = {figure.figure: figure for figure in comparison.figures}
    macro_f1, accuracy = figures["macro-F1"], figures["accuracy"]
    assert macro_f1.baseline == pytest.approx(f1_score(truth(POOR), said(POOR), average="macro"))
    assert macro_f1.candidate == pytest.approx(f1_score(truth(GOOD), said(GOOD), average="macro"))
    assert accuracy.difference == pytest.approx(accuracy.candidate - accuracy.baseline)
    for figure in (macro_f1, accuracy):
        assert figure.significant
        assert 0 < figure.interval.lower < figure.difference < figure.interval.upper
        assert figure.statement.startswith(f"{comparison.candidate} is better than {comparison.baseline}: ")
    assert comparison.image_count == 200
    right = [np.array(said(answers)) == np.array(truth(answers)) for answers in (POOR, GOOD)]
    only = [int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())]
    assert [comparison.baseline_right_count, comparison.candidate_right_count] == only
    assert comparison.both_right_count == (right[0] & right[1]).sum()
    assert comparison.mcnemar_p_value == pytest.approx(binomtest(only[0], sum(only)).pvalue)


async def test_images_that_only_one_gets_right_are_shown(compare: Compare) -> None:
    comparison = await compare(POOR, GOOD)
    baseline, candidate = (
        {answer.image: label for answer, label in zip(answers.images, said(answers), strict=True)}
        for answers in (POOR, GOOD)
    )
    assert len(comparison.candidate_right) == min(comparison.candidate_right_count, 100)
    for image in comparison.candidate_right:
        assert list(image.candidate_labels) == list(image.true_labels) == [candidate[image.image]]
        assert list(image.baseline_labels) == [baseline[image.image]] != list(image.true_labels)
        assert image.source.endswith(".jpg")
    surest = [max(answer.scores) for name in (i.image for i in comparison.candidate_right)
              for answer in POOR.images if answer.image == name]  # fmt: skip
    assert surest == sorted(surest, reverse=True), "the baseline's most confident mistakes first"


async def test_equally_good_models_are_told_apart_by_nothing(compare: Compare) -> None:
    comparison = await compare(one_label(3), one_label(4))
    for figure in comparison.figures:
        assert not figure.significant
        assert figure.statement.startswith("no difference between ")
    same = await compare(POOR, POOR)
    assert [(figure.difference, figure.p_value) for figure in same.figures] == [(0, 1), (0, 1)]
    assert (same.baseline_right_count, same.candidate_right_count, same.mcnemar_p_value) == (0, 0, 1)


async def test_detectors_are_compared_by_mean_average_precision(compare: Compare) -> None:
    poor, good = boxes(5, images=80, seen=0.3), boxes(6, images=80, seen=1.0)
    comparison = await compare(poor, good)
    assert [figure.figure for figure in comparison.figures] == ["mAP50", "mAP75"]
    for figure, answers in (("baseline", poor), ("candidate", good)):
        assert answers.evaluation is not None
        assert answers.evaluation.detection is not None
        assert getattr(comparison.figures[0], figure) == pytest.approx(answers.evaluation.detection.map_50)
    assert comparison.figures[0].significant
    assert not comparison.HasField("mcnemar_p_value")


async def test_only_common_images_count(compare: Compare) -> None:
    comparison = await compare(replace(GOOD, images=GOOD.images[:150]), replace(POOR, images=POOR.images[100:]))
    counts = (
        comparison.image_count,
        comparison.baseline_only_image_count,
        comparison.candidate_only_image_count,
    )
    assert counts == (50, 100, 50)
    expected = f1_score(truth(GOOD)[100:150], said(GOOD)[100:150], average="macro")
    assert comparison.figures[0].baseline == pytest.approx(expected)


async def test_what_the_candidate_was_judged_by_is_the_truth(compare: Compare) -> None:
    relabelled = [
        answer.model_copy(update={"true_labels": ["cat"]}) if place % 3 == 0 else answer
        for place, answer in enumerate(GOOD.images)
    ]
    comparison = await compare(POOR, replace(GOOD, images=relabelled))
    assert comparison.relabelled_image_count == 67
    expected = f1_score([answer.true_labels[0] for answer in relabelled], said(POOR), average="macro",
                        labels=["cat", "dog"])  # fmt: skip
    assert comparison.figures[0].baseline == pytest.approx(expected), "there are no bees any more"


async def test_a_label_that_only_one_model_knows_is_missed_by_the_other(compare: Compare) -> None:
    two_labels = [
        answer.model_copy(update={"scores": answer.scores[:2], "true_labels": ["bee"]}) for answer in GOOD.images
    ]
    comparison = await compare(judged("classification", LABELS[:2], two_labels), GOOD)
    assert list(comparison.differing_labels) == ["dog"]
    old = [LABELS[int(np.argmax(answer.scores))] for answer in two_labels]
    assert comparison.figures[0].baseline == pytest.approx(f1_score(truth(GOOD), old, average="macro"))


async def test_one_label_and_several_can_be_compared(compare: Compare) -> None:
    comparison = await compare(one_label(1), several_labels(2))
    assert comparison.image_count == 60
    assert not comparison.HasField("mcnemar_p_value")


async def test_what_cannot_be_compared_is_refused(compare: Compare) -> None:
    with pytest.raises(SightsmithError, match="only one is a detector") as raised:
        await compare(POOR, boxes(3))
    assert [violation.field for violation in raised.value.violations] == ["candidate"]
    apart = replace(POOR, images=POOR.images[:50]), replace(GOOD, images=GOOD.images[50:])
    with pytest.raises(SightsmithError, match=r"by 50 and .* by 150 images, none of both") as raised:
        await compare(*apart)
    assert raised.value.reason == "INVALID_FIELD"
