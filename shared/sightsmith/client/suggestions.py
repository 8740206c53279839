"""Labels that models propose, and what is made of them."""

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence

import grpc
from google.rpc import code_pb2

from sightsmith.api.labeling.v1 import annotation_pb2, job_pb2, suggestion_pb2, suggestion_service_pb2
from sightsmith.api.labeling.v1.suggestion_service_pb2_grpc import SuggestionServiceStub
from sightsmith.client.calls import all_pages, calling
from sightsmith.errors import SightsmithError
from sightsmith.names import DatasetName, DeploymentName, ProjectName
from sightsmith.rpc.status import from_status

Order = suggestion_service_pb2.ListSuggestionsRequest.Order
Decision = suggestion_service_pb2.BatchDecideSuggestionsRequest.Decision

_RECONNECT_SECONDS = 1.0


class Suggestions:
    """Has models look at images, and accepts, rejects or corrects what they see.

    Attributes:
        stub: the generated stub.
    """

    def __init__(self, channel: grpc.Channel) -> None:
        self.stub = SuggestionServiceStub(channel)

    def run(
        self,
        project: str,
        deployment: str,
        min_confidence: float,
        *,
        dataset: str = "",
        images: Sequence[str] = (),
        include_labelled: bool = False,
        max_images: int = 0,
    ) -> suggestion_pb2.SuggestionJob:
        """Queues a run of a deployed model over images.

        Args:
            project: id of the project.
            deployment: id of the deployment.
            min_confidence: predictions below it make no suggestion; above 0, at most 1.
            dataset: id of the dataset; empty for every one of the project.
            images: names of the images to look at instead, labelled or not.
            include_labelled: whether labelled images of the dataset are looked at too.
            max_images: how many at most; 0 for all.
        """
        job = suggestion_pb2.SuggestionJob(
            deployment=str(DeploymentName(project, deployment)),
            dataset=str(DatasetName(project, dataset)) if dataset else "",
            images=images,
            min_confidence=min_confidence,
            include_labelled=include_labelled,
            max_images=max_images,
        )
        request = suggestion_service_pb2.CreateSuggestionJobRequest(
            parent=str(ProjectName(project)), suggestion_job=job, request_id=str(uuid.uuid4())
        )
        with calling():
            return self.stub.CreateSuggestionJob(request)

    def jobs(self, project: str) -> Iterator[suggestion_pb2.SuggestionJob]:
        """The runs of a project, newest first."""
        parent = str(ProjectName(project))
        return all_pages(
            lambda token: self.stub.ListSuggestionJobs(
                suggestion_service_pb2.ListSuggestionJobsRequest(parent=parent, page_token=token)
            ),
            lambda page: page.suggestion_jobs,
        )

    def watch(self, job: str, after_revision: int = 0) -> Iterator[suggestion_pb2.SuggestionJob]:
        """Every change of a run after a revision, up to its end; reconnects when a connection breaks."""
        while True:
            request = suggestion_service_pb2.WatchSuggestionJobRequest(name=job, start_revision=after_revision)
            try:
                with calling():
                    for change in self.stub.WatchSuggestionJob(request):
                        after_revision = change.revision
                        if change.HasField("suggestion_job"):
                            yield change.suggestion_job
                return
            except SightsmithError as error:
                if error.code != code_pb2.UNAVAILABLE:
                    raise
                time.sleep(_RECONNECT_SECONDS)

    def wait(self, job: str) -> suggestion_pb2.SuggestionJob:
        """Waits for the end of a run.

        Raises:
            SightsmithError: the run's own error, if it failed; reason WRONG_STATE if it was cancelled.
        """
        *_, ended = self.watch(job)
        return self.succeeded(ended)

    @staticmethod
    def succeeded(job: suggestion_pb2.SuggestionJob) -> suggestion_pb2.SuggestionJob:
        """Returns a run that has ended well.

        Raises:
            SightsmithError: the run's own error, if it failed; reason WRONG_STATE if it was cancelled.
        """
        if job.HasField("error"):
            raise from_status(job.error)
        if job.state == job_pb2.JOB_STATE_CANCELLED:
            raise SightsmithError(f"{job.name} was cancelled", reason="WRONG_STATE")
        return job

    def cancel(self, job: str) -> suggestion_pb2.SuggestionJob:
        """Stops a run, by `projects/{project}/suggestionJobs/{suggestion_job}`."""
        with calling():
            return self.stub.CancelSuggestionJob(suggestion_service_pb2.CancelSuggestionJobRequest(name=job))

    def bring(
        self, project: str, suggestions: Sequence[suggestion_pb2.Suggestion]
    ) -> Sequence[suggestion_pb2.Suggestion]:
        """Makes suggestions of predictions of a model that runs elsewhere: at most 1000, all of one model."""
        request = suggestion_service_pb2.BatchCreateSuggestionsRequest(
            parent=str(ProjectName(project)), suggestions=suggestions
        )
        with calling():
            return self.stub.BatchCreateSuggestions(request).suggestions

    def list(
        self,
        project: str,
        wanted: suggestion_service_pb2.SuggestionFilter | None = None,
        order: Order.ValueType = Order.ORDER_UNSPECIFIED,
    ) -> Iterator[suggestion_pb2.Suggestion]:
        """The suggestions of a project that fulfil a filter."""
        parent = str(ProjectName(project))
        return all_pages(
            lambda token: self.stub.ListSuggestions(
                suggestion_service_pb2.ListSuggestionsRequest(
                    parent=parent, filter=wanted, order=order, page_token=token
                )
            ),
            lambda page: page.suggestions,
        )

    def accept(
        self,
        project: str,
        names: Sequence[str] = (),
        wanted: suggestion_service_pb2.SuggestionFilter | None = None,
        *,
        etags: Mapping[str, str] | None = None,
        validate_only: bool = False,
    ) -> suggestion_service_pb2.BatchDecideSuggestionsResponse:
        """Makes suggestions annotations of their images. The answer tells which of the named were decided before.

        Args:
            project: id of the project.
            names: of the suggestions, at most 1000.
            wanted: every pending suggestion that fulfils it, instead.
            etags: of images, by name: if one has changed since, nothing is done.
            validate_only: tell only what would be done.
        """
        return self._decide(project, Decision.DECISION_ACCEPT, names, wanted, etags, validate_only)

    def reject(
        self,
        project: str,
        names: Sequence[str] = (),
        wanted: suggestion_service_pb2.SuggestionFilter | None = None,
        *,
        validate_only: bool = False,
    ) -> suggestion_service_pb2.BatchDecideSuggestionsResponse:
        """Says that suggestions are wrong; the arguments are those of `accept`."""
        return self._decide(project, Decision.DECISION_REJECT, names, wanted, None, validate_only)

    def correct(
        self, name: str, label: str = "", box: annotation_pb2.BoundingBox | None = None, etag: str = ""
    ) -> suggestion_service_pb2.CorrectSuggestionResponse:
        """Puts another label, or the label at another place, on the image instead of what was suggested.

        Args:
            name: `projects/{project}/suggestions/{suggestion}`.
            label: as suggested if empty.
            box: as suggested if None.
            etag: of the image: if it has changed since, nothing is done.
        """
        request = suggestion_service_pb2.CorrectSuggestionRequest(name=name, label=label, box=box, etag=etag)
        with calling():
            return self.stub.CorrectSuggestion(request)

    def _decide(
        self,
        project: str,
        decision: Decision.ValueType,
        names: Sequence[str],
        wanted: suggestion_service_pb2.SuggestionFilter | None,
        etags: Mapping[str, str] | None,
        validate_only: bool,
    ) -> suggestion_service_pb2.BatchDecideSuggestionsResponse:
        request = suggestion_service_pb2.BatchDecideSuggestionsRequest(
            parent=str(ProjectName(project)),
            names=names,
            filter=wanted,
            decision=decision,
            etags=etags,
            validate_only=validate_only,
        )
        with calling():
            return self.stub.BatchDecideSuggestions(request)
