"""Whether the exported files of a detector find what the trained network finds."""

from collections.abc import Callable

import numpy as np

from sightsmith_training.engine.contract import EXPORT_PATHS, FullFormat, Parity
from sightsmith_training.engine.detection.detecting import Answers, Finder, network_finder, onnx_finder
from sightsmith_training.engine.exports import load_traced
from sightsmith_training.engine.job import Job
from sightsmith_training.engine.parity import require_equal
from sightsmith_training.engine.samples import Pixels

_COMPARED_SCORE = 0.05  # Below this, which of two nearly equal boxes survives is a matter of rounding.
_SAME_BOX = 0.01  # A share of the image's sides.
# A graph whose batch was fixed by accident fails at once; so does one that is right for a single image only.
_BATCHES = (1, 5, 4)


def check_detector_exports(expected: Finder, pixels: Pixels, job: Job, advance: Callable[[float], None]) -> Parity:
    """Runs both exported files over images and compares what they find with what the trained network finds.

    Args:
        expected: runs the trained network.
        pixels: images, shape [images, side, side, 3]; at least one.
        job: in whose output folder the exported files lie.
        advance: called with the share of the work that is done.

    Raises:
        TrainingError: EXPORT_MISMATCH if the score of a box differs by more than the tolerance, or one of a hundred
            boxes is not there.
    """
    batches = [pixels[start:stop] for start, stop in _spans(len(pixels))]
    wanted = [expected(np.ascontiguousarray(batch)) for batch in batches]
    differences: dict[FullFormat, float] = {}
    agreements: list[float] = []
    for export_format, path in EXPORT_PATHS.items():
        file = job.spec.output_dir / path
        find = onnx_finder(file.read_bytes(), 1) if export_format == "onnx" else network_finder(load_traced(file))
        found = [find(np.ascontiguousarray(batch)) for batch in batches]
        pairs = [_differences(*pair) for pair in zip(wanted, found, strict=True)]
        every = np.concatenate([np.empty(0), *pairs])
        agreements.append(float(np.isfinite(every).mean()) if every.size else 1.0)
        differences[export_format] = float(every[np.isfinite(every)].max(initial=0.0))
        advance(len(differences) / len(EXPORT_PATHS))
    parity = Parity(
        onnx=differences["onnx"],
        torchscript=differences["torchscript"],
        label_agreement=min(agreements),
        images=len(pixels),
        tolerance=job.spec.parity_tolerance,
    )
    require_equal(parity, least_agreement=0.99)
    return parity


def _spans(images: int) -> list[tuple[int, int]]:
    ends = np.minimum(np.cumsum(_BATCHES), images).tolist()
    return [(start, stop) for start, stop in zip([0, *ends], [*ends, images], strict=False) if stop > start]


def _differences(wanted: Answers, found: Answers) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """For each box of the first the difference of its score, or infinity where it is not among the second."""
    differences = []
    for image in range(len(wanted[0])):
        boxes, scores, labels = (part[image] for part in found)
        for box, score, label in zip(*(part[image] for part in wanted), strict=True):
            if score < _COMPARED_SCORE:
                continue
            same = (labels == label) & (np.abs(boxes - box).max(axis=1) <= _SAME_BOX)
            differences.append(float(np.abs(scores[same] - score).min()) if same.any() else np.inf)
    return np.array(differences, np.float64)
