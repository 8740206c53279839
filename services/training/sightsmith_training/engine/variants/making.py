"""Makes the variants of an exported model, and keeps those that lose little enough."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from sightsmith_training.engine.contract import VariantFormat
from sightsmith_training.engine.samples import Pixels
from sightsmith_training.engine.variants.eight_bits import RECIPES, Quantiser
from sightsmith_training.engine.variants.graph_parts import GraphParts
from sightsmith_training.engine.variants.half_precision import rounded_to_half_precision, to_half_precision
from sightsmith_training.engine.variants.running import Answers, Runner, milliseconds_per_image, open_model, run_all
from sightsmith_training.engine.variants.variant import Judge, Variant, VariantSettings, why_not_made

_log = logging.getLogger(__name__)

_ROUNDING = 1e-9


def make_variants(
    model: bytes,
    calibration: Pixels,
    judged: Pixels,
    judge: Judge,
    settings: VariantSettings,
    advance: Callable[[float], None] = lambda share: None,
) -> list[Variant]:
    """Makes a float16 and an int8 variant.

    A variant that cannot be made is told, never raised: the model is whole without it.

    Args:
        model: the serialised ONNX model in float32, as exported.
        calibration: training images that the ranges of int8 are taken from, [images, side, side, 3], at least one;
            the first `calibration_images` of them are used.
        judged: the images that figures are computed from, [images, side, side, 3], at least one.
        judge: computes figures from answers about `judged`.
        settings: what may be lost and spent.
        advance: called with the share of the work that is done.

    Returns:
        One of each kind. The same arguments give the same bytes, but that a later recipe of int8 needs time left.
    """
    full = _Reference.of(model, judged, judge, settings)
    advance(0.2)
    half = _make_half_precision(full)
    advance(0.5)
    eight = _make_eight_bits(full, calibration[: settings.calibration_images])
    advance(1.0)
    return [half, eight]


@dataclass(frozen=True)
class _Reference:
    """The full model, and everything that variants of it are compared by."""

    model: bytes
    run: Runner
    answers: Answers
    figure: float
    judged: Pixels
    judge: Judge
    settings: VariantSettings

    @classmethod
    def of(cls, model: bytes, judged: Pixels, judge: Judge, settings: VariantSettings) -> "_Reference":
        run = open_model(model)
        answers = run_all(run, judged, settings.threads)
        return cls(model, run, answers, judge.figure(answers), judged, judge, settings)

    def compare(
        self, variant_format: VariantFormat, data: bytes, recipe: str, stand_in: bytes | None = None
    ) -> Variant:
        """Judges a variant, or in its place a graph that says here what the variant says where it belongs."""
        answers = run_all(open_model(stand_in or data), self.judged, self.settings.threads)
        before, after = milliseconds_per_image([self.run, open_model(data)], self.judged)
        unjudged = Variant(
            format=variant_format,
            data=data,
            recipe=recipe,
            figure_before=self.figure,
            figure_after=0.0,
            agreement=None,
            mean_difference=None,
            largest_difference=None,
            milliseconds_before=before,
            milliseconds_after=after,
            kept=False,
            reason="some of its answers are not numbers: values grow beyond what so few bits can hold",
        )
        if not all(np.isfinite(output).all() for output in answers):
            return unjudged
        differences = np.abs(_scores(answers) - _scores(self.answers))
        return self._judged(
            replace(
                unjudged,
                figure_after=self.judge.figure(answers),
                agreement=self._agreement(answers),
                mean_difference=float(differences.mean()),
                largest_difference=float(differences.max()),
            )
        )

    def _agreement(self, answers: Answers) -> float | None:
        if self.judge.decisions is None:
            return None
        alike = self.judge.decisions(answers) == self.judge.decisions(self.answers)
        return float(alike.reshape(len(self.judged), -1).all(axis=1).mean())

    def _judged(self, variant: Variant) -> Variant:
        settings, images = self.settings, len(self.judged)
        if variant.figure_before <= 0:
            return replace(variant, reason="the full model's figure is 0: no loss could be seen")
        loss = variant.figure_before - variant.figure_after
        told = f"its figure is {variant.figure_after:.3f} where the full model's is {variant.figure_before:.3f}"
        if not loss <= settings.max_variant_loss + _ROUNDING:
            return replace(variant, reason=f"{told}; {settings.max_variant_loss:.3f} may be lost")
        if variant.agreement is not None:
            differing = round((1 - variant.agreement) * images)
            allowed = max(1, int((1 - settings.min_agreement) * images + _ROUNDING))
            told += f", and it decides otherwise on {differing} of {images} images"
            if differing > allowed:
                return replace(variant, reason=f"{told}; {allowed} may differ")
        return replace(variant, kept=True, reason=told)

    def impossible(self, variant_format: VariantFormat, error: Exception) -> Variant:
        _log.warning("the variant %s cannot be made", variant_format, exc_info=error)
        return Variant(
            format=variant_format,
            data=b"",
            recipe="",
            figure_before=self.figure,
            figure_after=0.0,
            agreement=None,
            mean_difference=None,
            largest_difference=None,
            milliseconds_before=0.0,
            milliseconds_after=0.0,
            kept=False,
            reason=why_not_made(error),
        )


def _make_half_precision(full: _Reference) -> Variant:
    try:
        parts = GraphParts.of(full.model)
        data, rounded = to_half_precision(parts), rounded_to_half_precision(parts)
        return full.compare("onnx_fp16", data, "the layers with weights in sixteen bits", stand_in=rounded)
    except Exception as error:  # What the converter and the runtime raise on graphs they do not know is not documented.
        return full.impossible("onnx_fp16", error)


def _make_eight_bits(full: _Reference, calibration: Pixels) -> Variant:
    """The first recipe that loses little enough; without one, the best of those tried."""
    ends = time.monotonic() + full.settings.seconds
    tried: list[Variant] = []
    try:
        with TemporaryDirectory() as folder:
            quantiser = Quantiser(GraphParts.of(full.model), calibration, Path(folder))
            for recipe in RECIPES:
                tried.append(full.compare("onnx_int8", quantiser.quantise(recipe), recipe.description))
                if tried[-1].kept or time.monotonic() >= ends:
                    break
    except Exception as error:  # As above.
        return full.impossible("onnx_int8", error)
    return max(tried, key=lambda variant: (variant.kept, variant.agreement or 0, variant.figure_after))


def _scores(answers: Answers) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Of a classifier its only output; of a detector the second, ordered, whatever boxes they belong to."""
    return answers[0] if len(answers) == 1 else answers[1]
