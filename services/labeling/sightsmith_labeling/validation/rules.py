"""The rules that manifests and datasets are held to."""

from sightsmith_labeling.formats.manifest_rules import ManifestRules
from sightsmith_labeling.imports.sources import read_limits
from sightsmith_labeling.settings import LabelingSettings
from sightsmith_labeling.validation.request import RuleSet

# Imports keep a box that passes the edge by a rounding error, and cut it there.
_BOX_TOLERANCE = 1.0


def rules_of(rule_set: RuleSet, settings: LabelingSettings) -> ManifestRules:
    """The rules of a rule set."""
    if rule_set is RuleSet.CUSTOM_LABELS:
        return ManifestRules(native_multi_label=False, one_bucket=True)
    return ManifestRules(
        limits=read_limits(settings),
        max_bytes=None,
        min_side=settings.min_image_side,
        max_side=None,
        box_tolerance=_BOX_TOLERANCE,
        relative_sources=True,
        max_labels=settings.max_labels_per_project,
        min_classes=settings.validation_min_classes,
        min_box_labels=settings.validation_min_box_labels,
        max_invalid_share=settings.validation_max_invalid_fraction,
        min_label_overlap=settings.validation_min_label_overlap,
    )
