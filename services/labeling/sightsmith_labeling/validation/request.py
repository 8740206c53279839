"""What a validation is asked to do, as it is kept in the job, and the files that it writes."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

VALIDATION_JOBS = "validationJobs"


class RuleSet(StrEnum):
    """By whose rules data are judged."""

    SIGHTSMITH = "SIGHTSMITH"
    CUSTOM_LABELS = "CUSTOM_LABELS"


class ManifestSource(BaseModel):
    """Where a manifest is: one of the two is given.

    Attributes:
        uploaded_file: name of an uploaded file.
        url: of a file in a place that the operator allows.
    """

    model_config = ConfigDict(frozen=True)

    uploaded_file: str | None = None
    url: str | None = None


class ValidationRequest(BaseModel):
    """What a validation is asked to do.

    Attributes:
        train: the manifest to learn from; None for the project's datasets.
        test: the manifest to be judged by; None if test images are to be split off.
        rule_set: by whose rules.
    """

    model_config = ConfigDict(frozen=True)

    train: ManifestSource | None = None
    test: ManifestSource | None = None
    rule_set: RuleSet = RuleSet.SIGHTSMITH


class ValidationFile(StrEnum):
    """A file that a validation writes."""

    SUMMARY = "summary.json"
    TRAINING_MANIFEST = "training.manifest"
    TESTING_MANIFEST = "testing.manifest"


def validation_folder(project: str, job: str) -> str:
    """What the keys of a validation's files begin with, in the object store."""
    return f"validations/{project}/{job}"


def validation_key(project: str, job: str, file: ValidationFile) -> str:
    """Key of a validation's file in the object store."""
    return f"{validation_folder(project, job)}/{file.value}"
