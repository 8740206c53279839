"""Judging models by other images than those of their trainings."""

import time
import uuid
from collections.abc import Iterator, Sequence

import grpc
from google.rpc import code_pb2

from sightsmith.api.training.v1 import evaluation_service_pb2 as pb
from sightsmith.api.training.v1.evaluation_job_pb2 import EvaluationJob
from sightsmith.api.training.v1.evaluation_pb2 import Evaluation
from sightsmith.api.training.v1.evaluation_service_pb2_grpc import EvaluationServiceStub
from sightsmith.client.calls import all_pages, calling
from sightsmith.errors import SightsmithError
from sightsmith.names import ModelName, ProjectName
from sightsmith.rpc.status import from_status

_RECONNECT_SECONDS = 1.0


class EvaluationJobs:
    """Begins, watches and cancels jobs that judge models, and keeps what came of them in order.

    `name` is `projects/{project}/evaluationJobs/{evaluation_job}`.

    Every method raises `SightsmithError` with the reason that the service gave.
    """

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = EvaluationServiceStub(channel)

    def begin(
        self,
        model: str,
        snapshot: str,
        split: EvaluationJob.Split.ValueType = EvaluationJob.SPLIT_UNSPECIFIED,
        datasets: Sequence[str] = (),
    ) -> EvaluationJob:
        """Queues the judging of a model.

        Args:
            model: `projects/{project}/models/{model}`.
            snapshot: `projects/{project}/snapshots/{snapshot}`, of any project. Images that the model learned from are
                left out.
            split: which part of the snapshot; both if not given.
            datasets: only images of these, `projects/{project}/datasets/{dataset}`; of all if there are none.
        """
        request = pb.CreateEvaluationJobRequest(
            parent=str(ProjectName(ModelName.parse(model, "model").project)),
            evaluation_job=EvaluationJob(model=model, snapshot=snapshot, split=split, datasets=datasets),
            request_id=str(uuid.uuid4()),
        )
        with calling():
            return self._stub.CreateEvaluationJob(request)

    def get(self, name: str) -> EvaluationJob:
        """A job."""
        with calling():
            return self._stub.GetEvaluationJob(pb.GetEvaluationJobRequest(name=name))

    def list(self, project: str) -> Iterator[EvaluationJob]:
        """The jobs of a project, given by id, newest first."""
        parent = str(ProjectName(project))
        return all_pages(
            lambda token: self._stub.ListEvaluationJobs(pb.ListEvaluationJobsRequest(parent=parent, page_token=token)),
            lambda page: page.evaluation_jobs,
        )

    def cancel(self, name: str) -> EvaluationJob:
        """Asks for a job to be stopped."""
        with calling():
            return self._stub.CancelEvaluationJob(pb.CancelEvaluationJobRequest(name=name))

    def watch(self, name: str, after_revision: int = 0) -> Iterator[EvaluationJob]:
        """Every change of a job after a revision, up to its end; reconnects when a connection breaks."""
        while True:
            request = pb.WatchEvaluationJobRequest(name=name, start_revision=after_revision)
            try:
                with calling():
                    for change in self._stub.WatchEvaluationJob(request):
                        after_revision = change.revision
                        if change.HasField("evaluation_job"):
                            yield change.evaluation_job
                return
            except SightsmithError as error:
                if error.code != code_pb2.UNAVAILABLE:
                    raise
                time.sleep(_RECONNECT_SECONDS)

    def wait(self, name: str) -> EvaluationJob:
        """Waits for the end of a job.

        Raises:
            SightsmithError: the job's own error, if it failed; reason WRONG_STATE if it was cancelled.
        """
        for _ in self.watch(name):
            pass
        return succeeded(self.get(name))

    def evaluations(self, model: str) -> Iterator[Evaluation]:
        """What came of the jobs that judged a model, newest first."""
        return all_pages(
            lambda token: self._stub.ListEvaluations(pb.ListEvaluationsRequest(parent=model, page_token=token)),
            lambda page: page.evaluations,
        )

    def delete_evaluation(self, name: str) -> None:
        """Deletes what came of a job: `projects/{project}/models/{model}/evaluations/{evaluation}`."""
        with calling():
            self._stub.DeleteEvaluation(pb.DeleteEvaluationRequest(name=name))


def succeeded(job: EvaluationJob) -> EvaluationJob:
    """Returns a job that has ended well.

    Raises:
        SightsmithError: the job's own error, if it failed; reason WRONG_STATE if it was cancelled.
    """
    if job.HasField("error"):
        raise from_status(job.error)
    if job.state == EvaluationJob.STATE_CANCELLED:
        raise SightsmithError(f"{job.name} was cancelled", reason="WRONG_STATE")
    return job
