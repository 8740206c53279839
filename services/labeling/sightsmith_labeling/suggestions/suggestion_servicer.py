"""SuggestionService: reads requests, calls what they are about, and converts the answers."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import asdict

from sightsmith.api.labeling.v1 import suggestion_pb2
from sightsmith.api.labeling.v1 import suggestion_service_pb2 as pb
from sightsmith.api.labeling.v1.suggestion_service_pb2_grpc import SuggestionServiceServicer
from sightsmith.database import Database
from sightsmith.names import ProjectName, SuggestionName
from sightsmith.paging import PageRequest
from sightsmith.rpc import Context
from sightsmith.rpc.repeatable_requests import request_id_from_proto
from sightsmith_labeling.convert import image_to_proto
from sightsmith_labeling.jobs.jobs import Jobs
from sightsmith_labeling.quotas import Quotas
from sightsmith_labeling.settings import LabelingSettings
from sightsmith_labeling.suggestions.convert import (
    box_from_proto,
    chosen_from_proto,
    decided_to_proto,
    decision_from_proto,
    etags_from_proto,
    filter_from_proto,
    job_to_proto,
    order_from_proto,
    predictions_from_proto,
    spec_from_proto,
    suggestion_to_proto,
)
from sightsmith_labeling.suggestions.deciding import Decisions
from sightsmith_labeling.suggestions.job import KIND
from sightsmith_labeling.suggestions.making import SuggestionMaker
from sightsmith_labeling.suggestions.suggestions import Suggestions


def suggestion_servicer(settings: LabelingSettings, database: Database) -> "SuggestionServicer":
    """What answers about suggestions."""
    return SuggestionServicer(
        Jobs(database, settings.watch_interval_seconds, settings.watch_keepalive_seconds),
        Suggestions(database),
        SuggestionMaker(database, settings.max_label_length),
        Decisions(database, Quotas.of(settings)),
    )


class SuggestionServicer(SuggestionServiceServicer):
    """Answers the calls of `sightsmith.api.labeling.v1.SuggestionService`; the protos say what each does."""

    def __init__(self, jobs: Jobs, suggestions: Suggestions, maker: SuggestionMaker, decisions: Decisions) -> None:
        self._jobs = jobs
        self._suggestions = suggestions
        self._maker = maker
        self._decisions = decisions

    async def CreateSuggestionJob(
        self, request: pb.CreateSuggestionJobRequest, context: Context
    ) -> suggestion_pb2.SuggestionJob:
        project = ProjectName.parse(request.parent, "parent")
        spec = spec_from_proto(project, request.suggestion_job)
        return job_to_proto(
            await self._jobs.create(project, KIND, asdict(spec), request_id_from_proto(request.request_id))
        )

    async def GetSuggestionJob(
        self, request: pb.GetSuggestionJobRequest, context: Context
    ) -> suggestion_pb2.SuggestionJob:
        return job_to_proto(await self._jobs.get(KIND, request.name))

    async def ListSuggestionJobs(
        self, request: pb.ListSuggestionJobsRequest, context: Context
    ) -> pb.ListSuggestionJobsResponse:
        project = ProjectName.parse(request.parent, "parent")
        page = PageRequest.parse(request.page_size, request.page_token)
        jobs, token = await self._jobs.list(KIND, project, page)
        return pb.ListSuggestionJobsResponse(suggestion_jobs=map(job_to_proto, jobs), next_page_token=token)

    async def CancelSuggestionJob(
        self, request: pb.CancelSuggestionJobRequest, context: Context
    ) -> suggestion_pb2.SuggestionJob:
        return job_to_proto(await self._jobs.cancel(KIND, request.name))

    async def WatchSuggestionJob(
        self, request: pb.WatchSuggestionJobRequest, context: Context
    ) -> AsyncIterator[pb.WatchSuggestionJobResponse]:
        revision = request.start_revision
        async with aclosing(self._jobs.watch(KIND, request.name, request.start_revision)) as changes:
            async for job in changes:
                revision = job.revision if job is not None else revision
                yield pb.WatchSuggestionJobResponse(
                    suggestion_job=job_to_proto(job) if job is not None else None, revision=revision
                )

    async def BatchCreateSuggestions(
        self, request: pb.BatchCreateSuggestionsRequest, context: Context
    ) -> pb.BatchCreateSuggestionsResponse:
        made = await self._maker.take(*predictions_from_proto(request))
        return pb.BatchCreateSuggestionsResponse(suggestions=map(suggestion_to_proto, made))

    async def ListSuggestions(self, request: pb.ListSuggestionsRequest, context: Context) -> pb.ListSuggestionsResponse:
        project = ProjectName.parse(request.parent, "parent")
        wanted, order = filter_from_proto(request.filter, project), order_from_proto(request.order)
        page = PageRequest.parse(request.page_size, request.page_token)
        suggestions, token = await self._suggestions.list(project, wanted, order, page)
        return pb.ListSuggestionsResponse(suggestions=map(suggestion_to_proto, suggestions), next_page_token=token)

    async def BatchDecideSuggestions(
        self, request: pb.BatchDecideSuggestionsRequest, context: Context
    ) -> pb.BatchDecideSuggestionsResponse:
        project = ProjectName.parse(request.parent, "parent")
        chosen, decision = chosen_from_proto(request, project), decision_from_proto(request.decision)
        if request.validate_only:
            return decided_to_proto(await self._decisions.preview(project, chosen))
        etags = etags_from_proto(request.etags)
        return decided_to_proto(await self._decisions.decide(project, chosen, decision, etags))

    async def CorrectSuggestion(
        self, request: pb.CorrectSuggestionRequest, context: Context
    ) -> pb.CorrectSuggestionResponse:
        name = SuggestionName.parse(request.name)
        box = box_from_proto(request.box) if request.HasField("box") else None
        suggestion, image = await self._decisions.correct(name, request.label, box, request.etag)
        return pb.CorrectSuggestionResponse(suggestion=suggestion_to_proto(suggestion), image=image_to_proto(image))
