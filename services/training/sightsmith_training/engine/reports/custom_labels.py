"""Words of Custom Labels' files, and what our files are made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from sightsmith_training.engine.specification import SpecEntry, Split

CLASSIFICATION = "groundtruth/image-classification"
DETECTION = "groundtruth/object-detection"
TRAINING_ATTRIBUTE = "rekognition-custom-labels-training"
EVALUATION_ATTRIBUTE = "rekognition-custom-labels-evaluation"
TRAINING_JOB = "rekognition-custom-labels-training-job"
EVALUATION_JOB = "rekognition-custom-labels-evaluation-job"

UseCase = Literal["IMAGE_LEVEL_LABELS", "OBJECT_LOCALIZATION", "NOT_DETERMINED"]
Json = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """Something that keeps an image, or one of its boxes, from being used.

    Attributes:
        code: as Custom Labels names it: `ERROR_…` makes the image invalid, `WARNING_…` lets it be ignored.
        message: for the owner of the image.
        box: position in the entry's boxes of the box that it is about; None for the whole image.
    """

    code: str
    message: str
    box: int | None = None

    @property
    def is_warning(self) -> bool:
        """Whether nothing is lost by it."""
        return self.code.startswith("WARNING_")

    def as_json(self) -> Json:
        """As it stands in the files."""
        return {"code": self.code, "message": self.message}


@dataclass(frozen=True)
class TrainingData:
    """What a version was to learn from.

    Attributes:
        project: its name, for the names of the files.
        version: its name, for the names of the files.
        use_case: what it is trained for.
        entries: of the snapshot, in its order.
        object_store_url: where the images' bytes lie, such as `s3://bucket/prefix`.
        labelled_at: when the labels were taken.
        problems: of images, by their resource names; an image without any was used.
        terminal: what was wrong with all images of a split, or of both (None), so that nothing could be learned.
    """

    project: str
    version: str
    use_case: UseCase
    entries: Sequence[SpecEntry]
    object_store_url: str
    labelled_at: datetime
    problems: Mapping[str, Sequence[Problem]] = field(default_factory=dict)
    terminal: Sequence[tuple[Split | None, Problem]] = ()

    def file_name(self, kind: str) -> str:
        """The name of a result file, such as `EvaluationResultSummary-shop-v3.json`."""
        return f"{kind}-{self.project}-{self.version}.json"

    def of_split(self, split: Split) -> list[SpecEntry]:
        """The entries of one split, in their order."""
        return [entry for entry in self.entries if entry.split == split]

    def problems_of(self, entry: SpecEntry) -> Sequence[Problem]:
        """What is wrong with an image and its boxes."""
        return self.problems.get(entry.image, ())

    def is_used(self, entry: SpecEntry) -> bool:
        """Whether anything was learned from the image, or tested with it."""
        return all(problem.box is not None for problem in self.problems_of(entry))

    def source_ref(self, entry: SpecEntry) -> str:
        """Where the image's bytes are: where they came from if that is a URL, or else in the object store."""
        return entry.source if "://" in entry.source else f"{self.object_store_url.rstrip('/')}/{entry.key}"


def encoded(value: Json) -> bytes:
    """JSON in UTF-8 on one line, with a line end."""
    return msgspec.json.encode(value) + b"\n"


def date(time: datetime) -> str:
    """A time as the files have it: UTC, without saying so, in milliseconds."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")


def pixels(length: float) -> float | int:
    """A length to a thousandth of a pixel, whole where it is whole."""
    rounded = round(length, 3)
    return int(rounded) if rounded.is_integer() else rounded
