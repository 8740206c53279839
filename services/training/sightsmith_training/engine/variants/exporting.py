"""Adds variants to what a training has exported."""

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sightsmith_training.engine.contract import (
    EXPORT_PATHS,
    VARIANT_PATHS,
    ExportedFile,
    ModelVariant,
    Recommendation,
    VariantFormat,
)
from sightsmith_training.engine.exports import write_export
from sightsmith_training.engine.job import Job
from sightsmith_training.engine.samples import Pixels
from sightsmith_training.engine.variants.making import make_variants
from sightsmith_training.engine.variants.recommendation import recommend
from sightsmith_training.engine.variants.variant import Judge, Variant, VariantSettings, why_not_made

MOST_COMPARED_IMAGES = 200
"""On more images than these nobody needs to see that a variant says what the full model says."""

# What `expected_variant_seconds` counts with. ONNX Runtime answers in a third of the time of the network that learned:
# for NanoDet-g at 416 pixels and 100 images 21 seconds are expected, and it took 16.5.
_RUNS_OVER_IMAGES, _RUNS_OF_ONE_CORE, _CONVERTING_SECONDS = 1.5, 60.0, 10.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExportedVariants:
    """What came of the variants: nothing at all if none were tried."""

    files: Sequence[ExportedFile] = ()
    variants: Sequence[ModelVariant] = ()
    recommendations: Sequence[Recommendation] = ()


def expected_variant_seconds(job: Job, image_seconds: float, images: int) -> float:
    """How long `export_variants` takes on an ordinary machine; 0 if no variants are to be tried.

    Args:
        job: that may ask for them.
        image_seconds: of one core, that the full model takes for an image.
        images: there are to compare on.
    """
    if not job.spec.options.tries_variants:
        return 0.0
    runs = _RUNS_OVER_IMAGES * min(images, MOST_COMPARED_IMAGES) / job.threads + _RUNS_OF_ONE_CORE
    return _CONVERTING_SECONDS + runs * image_seconds


def export_variants(
    job: Job, calibration: Pixels, compared: Pixels, judge: Judge, advance: Callable[[float], None]
) -> ExportedVariants:
    """Makes the variants of the exported ONNX model and writes those that lose little enough beside it.

    Nothing that goes wrong with a variant makes a training fail: it is told of the variant. When the budget is used up,
    only those are made that were asked for.

    Args:
        job: in whose output folder the ONNX model lies.
        calibration: training images, [images, side, side, 3], at least one.
        compared: the images that the judge knows, [images, side, side, 3], at least one.
        judge: computes figures from answers about `compared`.
        advance: called with the share of the work that is done.
    """
    options = job.spec.options
    if options.variants == "auto" and job.seconds_left <= 0:
        return ExportedVariants(variants=[_untried(variant_format) for variant_format in VARIANT_PATHS])
    settings = VariantSettings(
        max_variant_loss=options.max_variant_loss, seconds=max(0.0, job.seconds_left), threads=job.threads
    )
    try:
        model = (job.spec.output_dir / EXPORT_PATHS["onnx"]).read_bytes()
        made = make_variants(model, calibration, compared, judge, settings, advance)
    except Exception as error:  # What the runtime raises is not documented, and the model is whole in any case.
        _log.warning("no variants can be made", exc_info=error)
        return ExportedVariants(variants=[_failed(variant_format, error) for variant_format in VARIANT_PATHS])
    written = [_write(job, variant) for variant in made]
    variants = [variant for variant, _ in written]
    return ExportedVariants(
        files=[file for _, file in written if file is not None],
        variants=[_told(variant, len(compared)) for variant in variants],
        recommendations=recommend(variants),
    )


def _write(job: Job, variant: Variant) -> tuple[Variant, ExportedFile | None]:
    if not variant.kept:
        return variant, None
    try:
        return variant, write_export(job.spec.output_dir, variant.format, variant.data)
    except OSError as error:
        shutil.rmtree(job.spec.output_dir / variant.format, ignore_errors=True)
        return replace(variant, kept=False, reason=f"it cannot be written: {error.strerror or error}"), None


def _told(variant: Variant, images: int) -> ModelVariant:
    answered = variant.mean_difference is not None
    return ModelVariant(
        format=variant.format,
        kept=variant.kept,
        reason=variant.reason,
        recipe=variant.recipe,
        full_figure=variant.figure_before,
        figure=variant.figure_after if answered else None,
        agreement=variant.agreement,
        full_milliseconds=round(variant.milliseconds_before, 3),
        milliseconds=round(variant.milliseconds_after, 3),
        images=images,
    )


def _failed(variant_format: VariantFormat, error: Exception) -> ModelVariant:
    return ModelVariant(format=variant_format, kept=False, reason=why_not_made(error))


def _untried(variant_format: VariantFormat) -> ModelVariant:
    return ModelVariant(format=variant_format, kept=False, reason="it was not tried: no time was left")
