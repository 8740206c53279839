"""A batch prediction job as everybody sees it: what was asked for, where it stands, what it has cost."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from google.rpc import code_pb2
from pydantic import BaseModel, ConfigDict

from sightsmith.database import utc_now
from sightsmith.errors import SightsmithError
from sightsmith.names import BatchPredictionJobName, DeploymentName


class JobState(StrEnum):
    """Where a job stands; `BatchPredictionJob.State` in the protos tells what may follow what."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        """Whether nothing can follow."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


class Phase(StrEnum):
    """What is done while a job runs, in this order."""

    PLANNING = "PLANNING"
    PREDICTING = "PREDICTING"
    FINISHING = "FINISHING"


class ResultFormat(StrEnum):
    """How results are written."""

    JSON_LINES = "JSON_LINES"
    GROUND_TRUTH = "GROUND_TRUTH"

    @property
    def file_name(self) -> str:
        """What the file of results is called."""
        return "results.jsonl" if self is ResultFormat.JSON_LINES else "results.manifest"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class BatchRequest(_Value):
    """What a job is asked to do. Exactly one of the five sources is set.

    Attributes:
        deployment: `projects/{project}/deployments/{deployment}`.
        url: of an image or, if it ends in `/`, of all images below it.
        manifest_url: of a file that names an image a line.
        dataset: name of a dataset of the project.
        snapshot: name of a snapshot of the project.
        image_urls: the images one by one.
        min_confidence: predictions below are left out, 0 to 1; None for the model's own rule.
        max_results: how many predictions an image at most; 0 for no limit.
        labels: only these; none for all.
        output_prefix: folder of the results, as `OutputPlaces.find` reads it.
        formats: how they are written.
    """

    deployment: str
    url: str = ""
    manifest_url: str = ""
    dataset: str = ""
    snapshot: str = ""
    image_urls: tuple[str, ...] = ()
    min_confidence: float | None = None
    max_results: int = 0
    labels: tuple[str, ...] = ()
    output_prefix: str
    formats: tuple[ResultFormat, ...]

    @property
    def project(self) -> str:
        """Id of the project that everything belongs to."""
        return DeploymentName.parse(self.deployment).project


class JobError(_Value):
    """Why a job failed: a reason of `ErrorReason` and a code of `google.rpc.Code`."""

    reason: str
    message: str
    metadata: dict[str, str] = {}
    code: int = code_pb2.INTERNAL

    @classmethod
    def of(cls, error: SightsmithError) -> "JobError":
        """The error that ended the work."""
        return cls(reason=error.reason, message=error.message, metadata=error.metadata, code=error.code)

    def to_error(self) -> SightsmithError:
        """The error as it can be sent to a client."""
        error = SightsmithError(self.message, reason=self.reason, metadata=self.metadata)
        error.code = self.code
        return error


class ResultFile(_Value):
    """A file of results: its URL, the SHA-256 of its bytes and their number."""

    format: ResultFormat
    url: str
    sha256: str
    size_bytes: int


class BatchJob(_Value):
    """A job at one revision.

    Attributes:
        plan: where the images of its shards are written, below its own folder; None until they are.
        images: how many there are; 0 until they are listed.
        skipped: files that are no images by their names, and images that were named before.
        shards: into how many parts they were cut.
        answered: images with predictions.
        failed: images with an error in their place.
        worker_seconds: time that the shards took, summed.
        model_seconds: time for which Triton was asked, summed.
        predict_time: when the first shard could be begun.
        revision: goes up with every change.
    """

    sequence: int
    project: str
    id: str
    spec: BatchRequest
    state: JobState
    phase: Phase
    plan: str | None
    images: int
    skipped: int
    shards: int
    done_shards: int
    answered: int
    failed: int
    worker_seconds: float
    model_seconds: float
    results: Sequence[ResultFile]
    error: JobError | None
    actor: str
    revision: int
    create_time: datetime
    start_time: datetime | None
    predict_time: datetime | None
    end_time: datetime | None

    @property
    def name(self) -> BatchPredictionJobName:
        """Its resource name."""
        return BatchPredictionJobName(self.project, self.id)

    @property
    def folder(self) -> str:
        """Key of the folder in the object store that its work is in until it has ended."""
        return f"batch-work/{self.project}/{self.id}"

    @property
    def done(self) -> int:
        """Images that have their line."""
        return self.answered + self.failed

    @property
    def images_per_second(self) -> float:
        """How fast it goes, or went, from the first shard on; 0 while that is not known."""
        if self.predict_time is None:
            return 0.0
        seconds = ((self.end_time or utc_now()) - self.predict_time).total_seconds()
        return self.done / seconds if seconds > 0 else 0.0

    @property
    def remaining_seconds(self) -> float | None:
        """How long the rest of the images will take; None while that is not known, or nothing is left to be done."""
        rate = self.images_per_second
        return (self.images - self.done) / rate if rate and not self.state.is_final else None
