"""Laws that the parts of the engine keep."""

from collections.abc import Mapping

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import classification_report
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sightsmith_training.engine.batches import run_in_batches
from sightsmith_training.engine.contract import Candidate, Phase, Progress, SpecEntry
from sightsmith_training.engine.evaluation import describe_predictions, evaluate
from sightsmith_training.engine.heads import Features, fit_heads
from sightsmith_training.engine.progress import ProgressMeter
from sightsmith_training.engine.search import Trial, choose, designs, search


def clouds(labels: int, images: int, features: int) -> tuple[Features, np.ndarray]:
    random = np.random.default_rng(3)
    targets = np.arange(images) % labels
    centres = random.normal(size=(labels, features))
    return (np.abs(centres[targets] + random.normal(size=(images, features)))).astype(np.float32), targets


@pytest.mark.parametrize("labels", [2, 5])
@pytest.mark.parametrize(("images", "features"), [(40, 300), (200, 20)])
def test_a_head_is_logistic_regression_on_standardised_features(labels: int, images: int, features: int) -> None:
    inputs, targets = clouds(labels, images, features)
    for strength, head in zip((0.03, 1.0), fit_heads(inputs, targets, (0.03, 1.0)), strict=True):
        oracle = make_pipeline(
            StandardScaler(), LogisticRegression(C=strength, class_weight="balanced", tol=1e-8, max_iter=5000)
        )
        oracle.fit(inputs.astype(np.float64), targets)
        np.testing.assert_allclose(head.predict(inputs), oracle.predict_proba(inputs), atol=0.02)


def test_search_is_repeatable_whatever_the_threads() -> None:
    inputs, targets = clouds(3, 45, 60)
    features = {"a": inputs, "b": inputs[:, ::-1] ** 2}
    first, second = (search(features, targets, 1, threads, lambda share, best: None) for threads in (1, 2))
    assert [trial.candidate for trial in first] == [trial.candidate for trial in second]
    other_seed = search(features, targets, 2, 1, lambda share, best: None)
    assert [trial.candidate for trial in first] != [trial.candidate for trial in other_seed]


def test_search_never_sees_an_image_it_predicts() -> None:
    """Features without any meaning: only a model that had seen the labels would do better than chance."""
    random = np.random.default_rng(0)
    targets = np.arange(120) % 4
    noise = np.abs(random.normal(size=(120, 200))).astype(np.float32)
    trials = search({"noise": noise}, targets, 0, 1, lambda share, best: None)
    assert max(trial.candidate.score_mean for trial in trials) < 0.4


def test_designs() -> None:
    assert designs(["a"]) == [("a",)]
    assert designs(["a", "b"]) == [("a",), ("b",), ("a", "b")]


def trial(backbones: list[str], score: float, log_loss: float) -> Trial:
    candidate = Candidate(
        backbones=backbones, strength=1, scores=[score], score_mean=score, score_std=0, log_loss=log_loss
    )
    return Trial(candidate, np.zeros((0, 2)), standard_error=0.02)


def test_the_cheapest_of_the_best_is_chosen_and_of_those_the_surest() -> None:
    costs = {"a": 1.0, "b": 2.0}
    best, cheap = trial(["b"], 0.80, 0.2), trial(["a"], 0.79, 0.3)
    assert choose([best, cheap], costs) is cheap
    assert choose([best, trial(["a"], 0.77, 0.1)], costs) is best
    surer = trial(["a"], 0.785, 0.2)
    assert choose([best, cheap, surer], costs) is surer


def test_evaluation_agrees_with_scikit_learn() -> None:
    random = np.random.default_rng(0)
    targets, scores = random.integers(0, 4, 200), random.random((200, 4))
    labels = ["a", "b", "c", "d"]
    ours = evaluate(labels, targets, scores, "test")
    oracle = classification_report(targets, scores.argmax(1), target_names=labels, output_dict=True)
    assert ours.accuracy == pytest.approx(oracle["accuracy"])
    assert ours.macro_f1 == pytest.approx(oracle["macro avg"]["f1-score"])
    for row in ours.per_label:
        assert row.f1 == pytest.approx(oracle[row.label]["f1-score"])
        assert row.images == oracle[row.label]["support"]


def test_a_label_without_images_does_not_enter_the_means() -> None:
    scores = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]])
    evaluation = evaluate(["a", "b", "c"], np.array([0, 1]), scores, "test")
    assert evaluation.macro_f1 == evaluation.macro_recall == 1
    assert evaluation.per_label[2].images == 0
    assert evaluation.confusion_matrix == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_predictions_carry_their_image() -> None:
    entry = SpecEntry(image="i", sha256="0" * 64, key="k", split="test", labels=["b"], source="s")
    (prediction,) = describe_predictions(["a", "b"], [entry], np.array([[0.75, 0.25]]))
    assert (prediction.image, prediction.source, prediction.true_label) == ("i", "s", "b")
    assert (prediction.predicted_label, prediction.confidence, prediction.scores) == ("a", 0.75, [0.75, 0.25])


@pytest.mark.parametrize("images", [1, 4, 5, 6, 30])
def test_batches_keep_the_order(images: int) -> None:
    pixels = np.arange(images, dtype=np.uint8).reshape(images, 1, 1, 1)
    sizes: list[int] = []

    def score(batch: np.ndarray) -> np.ndarray:
        sizes.append(len(batch))
        return batch.reshape(-1, 1).astype(np.float32)

    assert run_in_batches(score, pixels, 1, first=(1, 5)).ravel().tolist() == list(range(images))
    assert sizes[0] == 1
    assert sizes[1:2] == ([min(5, images - 1)] if images > 1 else [])


def test_progress_never_goes_back_and_ends_at_the_end() -> None:
    sent: list[Progress] = []
    costs: Mapping[Phase, float] = {"reading": 1.0, "embedding": 3.0}
    meter = ProgressMeter(costs, sent.append)
    meter.enter("reading")
    meter.advance(0.5)
    meter.enter("embedding")
    meter.advance(0.5, best_score=0.4)
    meter.advance(0.2)
    meter.finish()
    percents = [message.percent for message in sent]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert sent[-1].best_score == 0.4
    assert list(meter.seconds) == ["reading", "embedding"]
