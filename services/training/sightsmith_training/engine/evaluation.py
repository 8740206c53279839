"""What the scores of images say about a model."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from sightsmith_training.engine.contract import EvaluatedOn, Evaluation, ImagePrediction, LabelEvaluation, SpecEntry


def evaluate(
    labels: Sequence[str],
    targets: npt.NDArray[np.intp],
    scores: npt.NDArray[np.floating],
    evaluated_on: EvaluatedOn,
) -> Evaluation:
    """Compares the most likely label of each image with the true one.

    A label that no image here carries has no recall; it is listed with zeros but does not enter the means. A ratio
    whose denominator is zero is 0, as in scikit-learn.

    Args:
        labels: sorted names.
        targets: shape [images]; position of the true label, at least one image.
        scores: shape [images, labels].
        evaluated_on: which images these are.
    """
    positions = np.arange(len(labels))
    predicted = scores.argmax(axis=1)
    precision, recall, f1, images = precision_recall_fscore_support(
        targets, predicted, labels=positions, zero_division=0
    )
    present = images > 0
    return Evaluation(
        evaluated_on=evaluated_on,
        accuracy=float((predicted == targets).mean()),
        macro_precision=float(precision[present].mean()),
        macro_recall=float(recall[present].mean()),
        macro_f1=float(f1[present].mean()),
        per_label=[
            LabelEvaluation(
                label=label,
                precision=float(precision[position]),
                recall=float(recall[position]),
                f1=float(f1[position]),
                images=int(images[position]),
            )
            for position, label in enumerate(labels)
        ],
        confusion_matrix=confusion_matrix(targets, predicted, labels=positions).tolist(),
    )


def describe_predictions(
    labels: Sequence[str], entries: Sequence[SpecEntry], scores: npt.NDArray[np.floating]
) -> list[ImagePrediction]:
    """One prediction for each entry; `scores` has shape [entries, labels]."""
    return [
        ImagePrediction(
            image=entry.image,
            source=entry.source,
            true_label=entry.labels[0],
            predicted_label=labels[int(row.argmax())],
            confidence=min(1.0, float(row.max())),
            scores=row.tolist(),
        )
        for entry, row in zip(entries, scores, strict=True)
    ]
