"""Whether the exported files say what the trained network says."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from sightsmith_training.engine.batches import Outputs, Scorer, run_in_batches
from sightsmith_training.engine.contract import EXPORT_PATHS, FullFormat, Parity
from sightsmith_training.engine.embeddings import session_scorer
from sightsmith_training.engine.errors import TrainingError
from sightsmith_training.engine.exports import load_traced
from sightsmith_training.engine.network import score_with_network
from sightsmith_training.engine.samples import Pixels

# A graph whose batch was fixed by accident fails at once; so does one that is right for a single image only.
_FIRST_BATCHES = (1, 5)


def compare_exports(
    expected: Outputs,
    pixels: Pixels,
    output_dir: Path,
    tolerance: float,
    threads: int,
    advance: Callable[[float], None],
) -> Parity:
    """Runs both exported files over images and compares their scores with those of the trained network.

    Args:
        expected: scores of the trained network, shape [images, labels].
        pixels: the same images, shape [images, side, side, 3].
        output_dir: where the exported files lie.
        tolerance: the largest allowed absolute difference of a score.
        threads: cores to use.
        advance: called with the share of the work that is done.
    """
    differences: dict[FullFormat, float] = {}
    agreements: list[float] = []
    for export_format, path in EXPORT_PATHS.items():
        scorer = _open(export_format, output_dir / path)
        actual = run_in_batches(scorer, pixels, threads, first=_FIRST_BATCHES)
        differences[export_format] = float(np.abs(actual - expected).max())
        agreements.append(float((actual.argmax(axis=1) == expected.argmax(axis=1)).mean()))
        advance(len(differences) / len(EXPORT_PATHS))
    return Parity(
        onnx=differences["onnx"],
        torchscript=differences["torchscript"],
        label_agreement=min(agreements),
        images=len(pixels),
        tolerance=tolerance,
    )


def are_equal(parity: Parity, least_agreement: float = 1.0) -> bool:
    """Whether the exports say what the network says, within the tolerance."""
    # One by one, so that a difference that is not a number fails too.
    near = all(difference <= parity.tolerance for difference in (parity.onnx, parity.torchscript))
    return near and parity.label_agreement >= least_agreement


def require_equal(parity: Parity, least_agreement: float = 1.0) -> None:
    """Checks that the exports may be used.

    Raises:
        TrainingError: EXPORT_MISMATCH.
    """
    if are_equal(parity, least_agreement):
        return
    largest = max(parity.onnx, parity.torchscript)
    raise TrainingError(
        "EXPORT_MISMATCH",
        f"an exported model differs from the trained network on {parity.images} images: scores by up to "
        f"{largest:.2e} (allowed: {parity.tolerance:.2e}), same label on {parity.label_agreement:.1%}",
        **parity.model_dump(),
    )


def _open(export_format: FullFormat, file: Path) -> Scorer:
    return session_scorer(file) if export_format == "onnx" else partial(score_with_network, load_traced(file))
