"""Whether a served model says of an image what its trained network said of it."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from sightsmith_inference.findings import Findings
from sightsmith_inference.models import Runtime, ServableModel
from sightsmith_inference.recorded_answers import RecordedAnswer, RecordedObject

# The largest difference of a score. Trainings hold full exports to 1e-4 on the machine that trained; other processors
# and their mathematics (TF32) stray further. Files of fewer bits may lose a little: trainings keep those that lose so
# little over all images, and single images may differ more.
_TOLERANCES = {Runtime.ONNX: 0.02, Runtime.TORCHSCRIPT: 0.02, Runtime.ONNX_FP16: 0.05, Runtime.ONNX_INT8: 0.25}
_DIFFERING_SHARES = {Runtime.ONNX_INT8: 0.25}
# Boxes that overlap by less are of different places (intersection over union).
_SAME_PLACE = 0.7
# Which of two nearly equal boxes survives is a matter of rounding.
_MISSING_SHARE = 0.1


def may_differ(runtime: Runtime, images: int) -> int:
    """Of how many images a model may say something else."""
    return int(images * _DIFFERING_SHARES.get(runtime, 0.0))


def difference(model: ServableModel, recorded: RecordedAnswer, findings: Findings) -> str | None:
    """What a model says otherwise of an image than was recorded, in plain words; None if it is within tolerance."""
    tolerance = _TOLERANCES[model.runtime]
    if recorded.scores:
        return _difference_of_scores(model, recorded.scores, findings, tolerance)
    return _difference_of_objects(model, recorded.objects, findings, tolerance)


def _difference_of_scores(
    model: ServableModel, recorded: tuple[float, ...], findings: Findings, tolerance: float
) -> str | None:
    if len(recorded) != len(model.labels):
        return f"{len(model.labels)} scores where {len(recorded)} were recorded"
    scores = np.zeros(len(model.labels))
    scores[findings.labels] = findings.confidences
    differences = np.abs(scores - np.array(recorded))
    worst = int(differences.argmax())
    if differences[worst] <= tolerance:
        return None
    return f"{scores[worst]:.3f} for {model.labels[worst]!r} where {recorded[worst]:.3f} was recorded"


def _difference_of_objects(
    model: ServableModel, recorded: tuple[RecordedObject, ...], findings: Findings, tolerance: float
) -> str | None:
    missing = [thing for thing in recorded if not _is_found(model, thing, findings, tolerance)]
    if len(missing) <= _MISSING_SHARE * len(recorded):
        return None
    first = missing[0]
    place = ", ".join(f"{side:.3f}" for side in first.box)
    return (
        f"{len(missing)} of {len(recorded)} recorded objects are not found again, such as {first.label!r} with "
        f"{first.confidence:.3f} at {place}"
    )


def _is_found(model: ServableModel, thing: RecordedObject, findings: Findings, tolerance: float) -> bool:
    if findings.boxes is None or thing.label not in model.labels:
        return False
    is_alike = findings.labels == model.labels.index(thing.label)
    is_alike &= np.abs(findings.confidences - thing.confidence) <= tolerance
    return bool((_overlaps(findings.boxes[is_alike], thing.box) >= _SAME_PLACE).any())


def _overlaps(boxes: npt.NDArray[np.float32], box: Iterable[float]) -> npt.NDArray[np.float64]:
    """Intersection over union of each of the boxes [n, 4] with one more; 0 where both have no area."""
    left, top, right, bottom = boxes.astype(np.float64).T
    one_left, one_top, one_right, one_bottom = box
    widths = np.clip(np.minimum(right, one_right) - np.maximum(left, one_left), 0, None)
    heights = np.clip(np.minimum(bottom, one_bottom) - np.maximum(top, one_top), 0, None)
    shared = widths * heights
    areas = (right - left) * (bottom - top) + (one_right - one_left) * (one_bottom - one_top) - shared
    overlaps: npt.NDArray[np.float64] = np.divide(shared, areas, out=np.zeros_like(shared), where=areas > 0)
    return overlaps
