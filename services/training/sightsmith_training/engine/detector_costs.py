"""How long the parts of training a detector take, as far as that can be told before."""

from sightsmith_training.engine.brand_scenes import composing_seconds
from sightsmith_training.engine.contract import Phase
from sightsmith_training.engine.detection.design import Design, seconds_per_image
from sightsmith_training.engine.detection_samples import DetectionSamples
from sightsmith_training.engine.job import Job
from sightsmith_training.engine.variants.exporting import expected_variant_seconds

_COMPARED_PIXELS = 16 * 416**2  # Of the images on which the exports are compared with the network.
_LEAST_COMPARED, _MOST_COMPARED = 6, 16
_EXPORT_SECONDS = 12.0
_LEAST_SEARCH = 30.0


def expected_costs(samples: DetectionSamples, design: Design, job: Job) -> dict[Phase, float]:
    """Seconds of each phase on an ordinary core, for the progress; `design` is the dearest that is tried."""
    judged, variants = _judging_seconds(samples, design, job.threads), _variant_seconds(samples, design, job)
    reading = 0.2 + 0.01 * len(samples.entries) / job.threads
    if job.decision.composes_scenes:
        reading += composing_seconds(job, len(samples.labels))
    search = max(_LEAST_SEARCH, job.seconds_left - reading - _EXPORT_SECONDS - judged - variants)
    return {
        "reading": reading,
        "searching": 0.25 * search,
        "fitting": 0.75 * search,
        "evaluating": judged,
        "exporting": 0.5 * _EXPORT_SECONDS,
        "checking": 0.5 * _EXPORT_SECONDS + variants,
    }


def seconds_after_search(samples: DetectionSamples, design: Design, job: Job) -> float:
    """What judging, exporting and checking are expected to take."""
    return _EXPORT_SECONDS + _judging_seconds(samples, design, job.threads) + _variant_seconds(samples, design, job)


def compared_images(side: int) -> int:
    """How many images the exports are compared by: fewer where each takes long."""
    return max(_LEAST_COMPARED, min(_MOST_COMPARED, _COMPARED_PIXELS // side**2))


def _judging_seconds(samples: DetectionSamples, design: Design, threads: int) -> float:
    return 1.0 + seconds_per_image(design.seen_side) * samples.test / threads


def _variant_seconds(samples: DetectionSamples, design: Design, job: Job) -> float:
    """Variants have to make do with the time that an input takes that is not enlarged: they are made while it lasts."""
    side = design.side
    return expected_variant_seconds(job, seconds_per_image(side), samples.test or compared_images(side))
