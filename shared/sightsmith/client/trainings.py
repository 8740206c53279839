"""Trainings: what makes models."""

import time
import uuid
from collections.abc import Iterator

import grpc
from google.rpc import code_pb2

from sightsmith.api.training.v1 import training_service_pb2 as pb
from sightsmith.api.training.v1.training_job_pb2 import TrainingJob
from sightsmith.api.training.v1.training_service_pb2_grpc import TrainingServiceStub
from sightsmith.client.calls import all_pages, calling
from sightsmith.errors import SightsmithError
from sightsmith.names import ProjectName
from sightsmith.rpc.status import from_status

_RECONNECT_SECONDS = 1.0


class Trainings:
    """Begins, watches and cancels trainings. `name` is `projects/{project}/trainingJobs/{training_job}`.

    Every method raises `SightsmithError` with the reason that the service gave.
    """

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = TrainingServiceStub(channel)

    def begin(self, project: str, snapshot: str, seed: int = 0, wishes: TrainingJob | None = None) -> TrainingJob:
        """Queues a training.

        Args:
            project: id of the project.
            snapshot: `projects/{project}/snapshots/{snapshot}`.
            seed: decides everything random; at least 0.
            wishes: task, effort, budget, preference and `output_prefix`; everything is decided without them.
        """
        job = TrainingJob(snapshot=snapshot, seed=seed)
        if wishes is not None:
            job.MergeFrom(wishes)
        request = pb.CreateTrainingJobRequest(
            parent=str(ProjectName(project)), training_job=job, request_id=str(uuid.uuid4())
        )
        with calling():
            return self._stub.CreateTrainingJob(request)

    def list(self, project: str) -> Iterator[TrainingJob]:
        """The trainings of a project, given by id, newest first."""
        parent = str(ProjectName(project))
        return all_pages(
            lambda token: self._stub.ListTrainingJobs(pb.ListTrainingJobsRequest(parent=parent, page_token=token)),
            lambda page: page.training_jobs,
        )

    def get(self, name: str) -> TrainingJob:
        """A training."""
        with calling():
            return self._stub.GetTrainingJob(pb.GetTrainingJobRequest(name=name))

    def cancel(self, name: str) -> TrainingJob:
        """Asks for a training to be stopped."""
        with calling():
            return self._stub.CancelTrainingJob(pb.CancelTrainingJobRequest(name=name))

    def watch(self, name: str, after_revision: int = 0) -> Iterator[TrainingJob]:
        """Every change of a training after a revision, up to its end; reconnects when a connection breaks."""
        while True:
            request = pb.WatchTrainingJobRequest(name=name, start_revision=after_revision)
            try:
                with calling():
                    for change in self._stub.WatchTrainingJob(request):
                        after_revision = change.revision
                        if change.HasField("training_job"):
                            yield change.training_job
                return
            except SightsmithError as error:
                if error.code != code_pb2.UNAVAILABLE:
                    raise
                time.sleep(_RECONNECT_SECONDS)

    def wait(self, name: str) -> TrainingJob:
        """Waits for the end of a training.

        Raises:
            SightsmithError: the training's own error, if it failed; reason WRONG_STATE if it was cancelled.
        """
        for _ in self.watch(name):
            pass
        return succeeded(self.get(name))


def succeeded(job: TrainingJob) -> TrainingJob:
    """Returns a training that has ended well.

    Raises:
        SightsmithError: the training's own error, if it failed; reason WRONG_STATE if it was cancelled.
    """
    if job.HasField("error"):
        raise from_status(job.error)
    if job.state == TrainingJob.STATE_CANCELLED:
        raise SightsmithError(f"{job.name} was cancelled", reason="WRONG_STATE")
    return job
