"""What a training and a testing manifest come to: whether they can be trained with, in Custom Labels' summary."""

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.manifest_check import CheckedLine, Outcome, Use
from sightsmith_labeling.formats.manifest_rules import ManifestRules

_S3 = "s3://"
# A message names this many labels, and says how many more there are.
_NAMED_LABELS = 10


class UseCase(Enum):
    """What a model is trained for."""

    IMAGE_LEVEL_LABELS = "IMAGE_LEVEL_LABELS"
    OBJECT_LOCALIZATION = "OBJECT_LOCALIZATION"
    NOT_DETERMINED = "NOT_DETERMINED"


@dataclass(frozen=True)
class ManifestFinding:
    """Something that is wrong with a manifest as a whole.

    Attributes:
        split: the manifest; None for what is wrong with the two together.
        is_terminal: whether a training is refused for it.
    """

    split: Split | None
    code: str
    message: str
    is_terminal: bool = True


class ManifestSummary:
    """Is told of every line of the training manifest and, if there is one, of the testing manifest, in their order.

    Args:
        rules: what the manifests must keep.
        has_testing: whether there is a testing manifest; if not, test images are to be split off.
    """

    def __init__(self, rules: ManifestRules, has_testing: bool) -> None:
        self._rules = rules
        self._parts = {Split.TRAIN: _Part()}
        if has_testing:
            self._parts[Split.TEST] = _Part()

    def add(self, split: Split, line: CheckedLine, outcome: Outcome | None = None, is_lost: bool = False) -> None:
        """Counts a line.

        Args:
            split: the manifest that it is in.
            line: the line.
            outcome: what becomes of it, if more is known than can be seen in the line.
            is_lost: whether the image's bytes could not be had.
        """
        self._parts[split].add(line, outcome or line.outcome)
        self._parts[split].lost += is_lost

    @property
    def use_case(self) -> UseCase:
        """What the training manifest is for: what most of its valid lines can be used for; boxes if it is a tie."""
        uses = self._parts[Split.TRAIN].uses
        labels = uses[Use.IMAGE_LABELS] + uses[Use.IMAGE_LABELS | Use.BOXES]
        boxes = uses[Use.BOXES] + uses[Use.IMAGE_LABELS | Use.BOXES]
        if not labels and not boxes:
            return UseCase.NOT_DETERMINED
        return UseCase.OBJECT_LOCALIZATION if boxes >= labels else UseCase.IMAGE_LEVEL_LABELS

    def findings(self) -> Sequence[ManifestFinding]:
        """Everything that is wrong with the manifests as a whole."""
        return [
            *(finding for split, part in self._parts.items() for finding in self._of_part(split, part)),
            *self._of_overlap(),
            *self._of_split_off(),
        ]

    def as_json(self) -> dict[str, Any]:
        """The summary in the form of Custom Labels; the numbers of lines are counted from 1.

        valid + invalid + ignored = total. Lines that only have annotations of the other use case are ignored.
        """
        findings = self.findings()
        statistics = {
            {Split.TRAIN: "training", Split.TEST: "testing"}[split]: {
                "use_case": self.use_case.value,
                **part.counts(self._wanted_use()),
                "errors": _errors(findings, split),
            }
            for split, part in self._parts.items()
        }
        return {"statistics": statistics, "errors": _errors(findings, None)}

    def _wanted_use(self) -> Use:
        return Use.BOXES if self.use_case is UseCase.OBJECT_LOCALIZATION else Use.IMAGE_LABELS

    def _of_part(self, split: Split, part: "_Part") -> Iterator[ManifestFinding]:
        rules = self._rules
        if part.total == 0:
            yield ManifestFinding(split, "ERROR_EMPTY_MANIFEST", "The manifest is empty.")
            return
        if part.total > rules.limits.lines:
            message = f"The manifest has {part.total} lines; at most {rules.limits.lines} are accepted."
            yield ManifestFinding(split, "ERROR_MANIFEST_ROWS_EXCEEDS_MAXIMUM", message)
        if rules.max_bytes is not None and part.bytes > rules.max_bytes:
            message = f"The manifest has {part.bytes} bytes; at most {rules.max_bytes} are accepted."
            yield ManifestFinding(split, "ERROR_MANIFEST_SIZE_TOO_LARGE", message)
        if part.invalid > rules.max_invalid_share * (part.total - part.ignored):
            message = (
                f"{part.invalid} of {part.total - part.ignored} lines are invalid; "
                f"at most {rules.max_invalid_share:.0%} may be. Lines without labels do not count."
            )
            yield ManifestFinding(split, "ERROR_TOO_MANY_INVALID_ROWS_IN_MANIFEST", message)
        if part.lost == part.total:
            yield ManifestFinding(split, "ERROR_FAILED_IMAGES_S3_COPY", "Not one of the images could be fetched.")
        if len(part.buckets) > 1:
            message = f"The images are in several buckets, such as {' and '.join(sorted(part.buckets))}."
            yield ManifestFinding(split, "ERROR_IMAGES_IN_MULTIPLE_S3_BUCKETS", message, is_terminal=rules.one_bucket)
        if left_out := part.of_other_use(self._wanted_use()):
            what = "labels of whole images" if self.use_case is UseCase.OBJECT_LOCALIZATION else "boxes"
            message = (
                f"Lines with {what} only, {left_out} of {part.total}, are ignored: the data are for the other use."
            )
            yield ManifestFinding(split, "WARNING_OTHER_USE_CASE", message, is_terminal=False)
        yield from self._of_labels(split, part)

    def _of_labels(self, split: Split, part: "_Part") -> Iterator[ManifestFinding]:
        rules, labels, usable = self._rules, part.labels(), part.labels(self._wanted_use())
        if rules.max_labels is not None and len(labels) > rules.max_labels:
            message = f"The manifest has {len(labels)} labels; at most {rules.max_labels} are accepted."
            yield ManifestFinding(split, "ERROR_MANIFEST_TOO_MANY_LABELS", message)
        is_of_boxes = self.use_case is UseCase.OBJECT_LOCALIZATION
        least = rules.min_box_labels if is_of_boxes else rules.min_classes
        what = "labels of boxes" if is_of_boxes else "labels of whole images"
        if len(labels) < least:
            message = f"There are {len(labels)} labels in the manifest's valid lines; at least {least} are needed."
            yield ManifestFinding(split, "ERROR_MANIFEST_TOO_FEW_LABELS", message)
        elif len(usable) < least:
            message = f"There are {len(usable)} {what} in the manifest's valid lines; at least {least} are needed."
            yield ManifestFinding(split, "ERROR_MANIFEST_TOO_FEW_USABLE_LABELS", message)

    def _of_overlap(self) -> Iterator[ManifestFinding]:
        if Split.TEST not in self._parts:
            return
        train, test = self._parts[Split.TRAIN], self._parts[Split.TEST]
        message = _lacking(train.labels(), test.labels(), self._rules.min_label_overlap)
        if message:
            yield ManifestFinding(None, "ERROR_INSUFFICIENT_LABEL_OVERLAP", message)
            return
        use = self._wanted_use()
        message = _lacking(train.labels(use), test.labels(use), self._rules.min_label_overlap)
        if message:
            yield ManifestFinding(None, "ERROR_INSUFFICIENT_USABLE_LABEL_OVERLAP", message)

    def _of_split_off(self) -> Iterator[ManifestFinding]:
        if Split.TEST in self._parts:
            return
        images = self._parts[Split.TRAIN].images_by_label[self._wanted_use()]
        rare = sorted(label for label, count in images.items() if count < self._rules.min_images_to_split)
        if rare:
            message = (
                "No test images can be split off, because these labels are on fewer than "
                f"{self._rules.min_images_to_split} images: {_listed(rare)}."
            )
            yield ManifestFinding(Split.TRAIN, "ERROR_INSUFFICIENT_IMAGES_PER_LABEL_FOR_AUTOSPLIT", message)


class _Part:
    """The counts of one manifest."""

    def __init__(self) -> None:
        self.total = 0
        self.bytes = 0
        self.invalid = 0
        self.ignored = 0
        self.lost = 0
        self.uses: Counter[Use] = Counter()
        self.images_by_label: dict[Use, Counter[str]] = {Use.IMAGE_LABELS: Counter(), Use.BOXES: Counter()}
        self.buckets: set[str] = set()
        self._invalid_lines: list[int] = []

    def add(self, line: CheckedLine, outcome: Outcome) -> None:
        self.total += 1
        self.bytes += len(line.text.encode(errors="surrogatepass")) + 1
        if line.image is not None and len(self.buckets) < 2 and line.image.source.startswith(_S3):
            self.buckets.add(line.image.source[len(_S3) :].partition("/")[0])
        if outcome is Outcome.INVALID:
            self.invalid += 1
            self._invalid_lines.append(self.total)
        elif outcome is Outcome.IGNORED or line.image is None:
            self.ignored += 1
        else:
            self.uses[line.use] += 1
            for label, is_box in {
                (annotation.label, annotation.box is not None) for annotation in line.image.annotations
            }:
                self.images_by_label[Use.BOXES if is_box else Use.IMAGE_LABELS][label] += 1

    def labels(self, use: Use = Use.IMAGE_LABELS | Use.BOXES) -> Set[str]:
        """The labels of the valid lines that are of that use."""
        return {label for kind, images in self.images_by_label.items() if kind in use for label in images}

    def of_other_use(self, wanted: Use) -> int:
        """How many valid lines have nothing that is wanted."""
        return sum(count for use, count in self.uses.items() if wanted not in use)

    def counts(self, wanted: Use) -> dict[str, Any]:
        """The counts of the summary."""
        of_other_use = self.of_other_use(wanted)
        return {
            "total_json_lines": self.total,
            "valid_json_lines": self.total - self.invalid - self.ignored - of_other_use,
            "invalid_json_lines": self.invalid,
            "ignored_json_lines": self.ignored + of_other_use,
            "error_json_line_indices": self._invalid_lines,
        }


def _lacking(train: Set[str], test: Set[str], least_share: float) -> str:
    """What the test images lack of the training labels; empty if they have enough."""
    if not train or len(train & test) >= least_share * len(train):
        return ""
    return (
        f"The test images have {len(train & test)} of the {len(train)} training labels; "
        f"at least {least_share:.0%} are needed. Missing: {_listed(sorted(train - test))}."
    )


def _listed(labels: Sequence[str]) -> str:
    more = len(labels) - _NAMED_LABELS
    return ", ".join(labels[:_NAMED_LABELS]) + (f" and {more} more" if more > 0 else "")


def _errors(findings: Sequence[ManifestFinding], split: Split | None) -> list[dict[str, str]]:
    return [
        {"code": finding.code, "message": finding.message}
        for finding in findings
        if finding.split is split and finding.is_terminal
    ]
