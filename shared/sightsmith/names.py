"""Resource names such as `projects/{project}/models/{model}` (AIP-122): reading, checking and writing them."""

import re
from dataclasses import dataclass
from typing import ClassVar, Self

from sightsmith.errors import InvalidArgumentError

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def check_id(field: str, value: str) -> str:
    """Returns an id that a user chose, if it is one.

    Raises:
        InvalidArgumentError: naming `field`, if it is not 1 to 63 lower-case letters, digits or hyphens.
    """
    if _ID.fullmatch(value) is None:
        rule = "must be 1 to 63 lower-case letters, digits or hyphens and begin with a letter or digit"
        raise InvalidArgumentError.of_field(field, f"{rule}, not {value[:80]!r}")
    return value


@dataclass(frozen=True)
class ResourceName:
    """A resource name, one attribute for each of its ids. Subclasses give the pattern and the attributes.

    One that may go without its last id has a pattern for that, too, and an empty id as the default.
    """

    pattern: ClassVar[str]
    short_pattern: ClassVar[str] = ""

    @classmethod
    def parse(cls, name: str, field: str = "name") -> Self:
        """Reads a name.

        Raises:
            InvalidArgumentError: naming `field`, if `name` does not follow the pattern.
        """
        for pattern in filter(None, (cls.pattern, cls.short_pattern)):
            ids = _ids(name, pattern)
            if ids is not None:
                return cls(**ids)
        raise InvalidArgumentError.of_field(field, f"must look like {cls.pattern}, not {name[:200]!r}")

    def __str__(self) -> str:
        ids = vars(self)
        return (self.pattern if all(ids.values()) else self.short_pattern).format(**ids)


def _ids(name: str, pattern: str) -> dict[str, str] | None:
    """The ids in a name, by what they are of; None if it does not follow the pattern."""
    parts, slots = name.split("/"), pattern.split("/")
    if len(parts) != len(slots):
        return None
    ids = {slot[1:-1]: part for slot, part in zip(slots, parts, strict=True) if slot.startswith("{")}
    return ids if pattern.format(**ids) == name and all(map(_ID.fullmatch, ids.values())) else None


@dataclass(frozen=True)
class ProjectName(ResourceName):
    """`projects/{project}`."""

    pattern: ClassVar[str] = "projects/{project}"
    project: str


@dataclass(frozen=True)
class DatasetName(ResourceName):
    """`projects/{project}/datasets/{dataset}`."""

    pattern: ClassVar[str] = "projects/{project}/datasets/{dataset}"
    project: str
    dataset: str


@dataclass(frozen=True)
class ImageName(ResourceName):
    """`projects/{project}/datasets/{dataset}/images/{image}`."""

    pattern: ClassVar[str] = "projects/{project}/datasets/{dataset}/images/{image}"
    project: str
    dataset: str
    image: str


@dataclass(frozen=True)
class AnnotationName(ResourceName):
    """`projects/{project}/datasets/{dataset}/images/{image}/annotations/{annotation}`."""

    pattern: ClassVar[str] = "projects/{project}/datasets/{dataset}/images/{image}/annotations/{annotation}"
    project: str
    dataset: str
    image: str
    annotation: str


@dataclass(frozen=True)
class LabelName(ResourceName):
    """`projects/{project}/labels/{label}`."""

    pattern: ClassVar[str] = "projects/{project}/labels/{label}"
    project: str
    label: str


@dataclass(frozen=True)
class ChangeName(ResourceName):
    """`projects/{project}/changes/{change}`."""

    pattern: ClassVar[str] = "projects/{project}/changes/{change}"
    project: str
    change: str


@dataclass(frozen=True)
class SnapshotName(ResourceName):
    """`projects/{project}/snapshots/{snapshot}`."""

    pattern: ClassVar[str] = "projects/{project}/snapshots/{snapshot}"
    project: str
    snapshot: str


@dataclass(frozen=True)
class TrainingJobName(ResourceName):
    """`projects/{project}/trainingJobs/{training_job}`."""

    pattern: ClassVar[str] = "projects/{project}/trainingJobs/{training_job}"
    project: str
    training_job: str


@dataclass(frozen=True)
class ModelName(ResourceName):
    """`projects/{project}/models/{model}`."""

    pattern: ClassVar[str] = "projects/{project}/models/{model}"
    project: str
    model: str


@dataclass(frozen=True)
class EvaluationJobName(ResourceName):
    """`projects/{project}/evaluationJobs/{evaluation_job}`."""

    pattern: ClassVar[str] = "projects/{project}/evaluationJobs/{evaluation_job}"
    project: str
    evaluation_job: str


@dataclass(frozen=True)
class EvaluationName(ResourceName):
    """`projects/{project}/models/{model}/evaluation`, a model's own, or `…/evaluations/{evaluation}`."""

    pattern: ClassVar[str] = "projects/{project}/models/{model}/evaluations/{evaluation}"
    short_pattern: ClassVar[str] = "projects/{project}/models/{model}/evaluation"
    project: str
    model: str
    evaluation: str = ""

    @property
    def of_model(self) -> ModelName:
        """The model that is judged."""
        return ModelName(self.project, self.model)


@dataclass(frozen=True)
class EvaluationCurvesName(ResourceName):
    """The name of an evaluation and `/curves`."""

    pattern: ClassVar[str] = "projects/{project}/models/{model}/evaluations/{evaluation}/curves"
    short_pattern: ClassVar[str] = "projects/{project}/models/{model}/evaluation/curves"
    project: str
    model: str
    evaluation: str = ""

    @property
    def of_evaluation(self) -> EvaluationName:
        """The evaluation that they are of."""
        return EvaluationName(self.project, self.model, self.evaluation)


@dataclass(frozen=True)
class ModelCardName(ResourceName):
    """`projects/{project}/models/{model}/card`."""

    pattern: ClassVar[str] = "projects/{project}/models/{model}/card"
    project: str
    model: str


@dataclass(frozen=True)
class BackboneName(ResourceName):
    """`backbones/{backbone}`."""

    pattern: ClassVar[str] = "backbones/{backbone}"
    backbone: str


@dataclass(frozen=True)
class RetrainingName(ResourceName):
    """`projects/{project}/retrainings/{retraining}`."""

    pattern: ClassVar[str] = "projects/{project}/retrainings/{retraining}"
    project: str
    retraining: str


@dataclass(frozen=True)
class RetrainingPolicyName(ResourceName):
    """`projects/{project}/deployments/{deployment}/retrainingPolicy`."""

    pattern: ClassVar[str] = "projects/{project}/deployments/{deployment}/retrainingPolicy"
    project: str
    deployment: str

    @property
    def of_deployment(self) -> "DeploymentName":
        """The deployment that it is about."""
        return DeploymentName(self.project, self.deployment)


@dataclass(frozen=True)
class ServingModelName(ResourceName):
    """`projects/{project}/deployments/{deployment}/servingModel`."""

    pattern: ClassVar[str] = "projects/{project}/deployments/{deployment}/servingModel"
    project: str
    deployment: str


@dataclass(frozen=True)
class DeploymentName(ResourceName):
    """`projects/{project}/deployments/{deployment}`."""

    pattern: ClassVar[str] = "projects/{project}/deployments/{deployment}"
    project: str
    deployment: str


@dataclass(frozen=True)
class BatchPredictionJobName(ResourceName):
    """`projects/{project}/batchPredictionJobs/{batch_prediction_job}`."""

    pattern: ClassVar[str] = "projects/{project}/batchPredictionJobs/{batch_prediction_job}"
    project: str
    batch_prediction_job: str


@dataclass(frozen=True)
class SuggestionName(ResourceName):
    """`projects/{project}/suggestions/{suggestion}`."""

    pattern: ClassVar[str] = "projects/{project}/suggestions/{suggestion}"
    project: str
    suggestion: str


@dataclass(frozen=True)
class ReviewItemName(ResourceName):
    """`projects/{project}/reviewItems/{review_item}`."""

    pattern: ClassVar[str] = "projects/{project}/reviewItems/{review_item}"
    project: str
    review_item: str


@dataclass(frozen=True)
class ReviewPolicyName(ResourceName):
    """`projects/{project}/reviewPolicy`."""

    pattern: ClassVar[str] = "projects/{project}/reviewPolicy"
    project: str


@dataclass(frozen=True)
class UploadedFileName(ResourceName):
    """`projects/{project}/uploadedFiles/{uploaded_file}`."""

    pattern: ClassVar[str] = "projects/{project}/uploadedFiles/{uploaded_file}"
    project: str
    uploaded_file: str
