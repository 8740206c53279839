"""Images that show nothing, or not clearly, judged by what their pixels say."""

from collections.abc import Iterator, Mapping
from typing import Any

from sightsmith_labeling.jobs.finding import Finding, Severity
from sightsmith_labeling.validation.quality_rules import QualityRules


def suspicious_pixels(image: str, signals: Mapping[str, Any], rules: QualityRules) -> Iterator[Finding]:
    """Tells what is odd about the pixels of an image. Of one that shows nothing, nothing more is told.

    Args:
        image: its name.
        signals: as `ImageRow.signals` has them.
        rules: the thresholds.
    """

    def finding(code: str, what: str, measure: str, limit: float) -> Finding:
        value = float(signals[measure])
        details = {measure: value, "threshold": limit}
        message = f"the image {what}: its {measure} is {value:.1f}, and {limit:g} is the limit"
        return Finding(Severity.WARNING, code, message, resource=image, details=details)

    if signals["contrast"] < rules.min_contrast:
        yield finding("WARNING_BLANK_IMAGE", "shows hardly anything", "contrast", rules.min_contrast)
        return
    if signals["sharpness"] < rules.min_sharpness:
        yield finding("WARNING_BLURRED_IMAGE", "is blurred", "sharpness", rules.min_sharpness)
    if signals["brightness"] < rules.min_brightness:
        yield finding("WARNING_DARK_IMAGE", "is very dark", "brightness", rules.min_brightness)
    if signals["brightness"] > rules.max_brightness:
        yield finding("WARNING_BRIGHT_IMAGE", "is very bright", "brightness", rules.max_brightness)
