"""ReviewService: reads requests, calls what they are about, and converts the answers."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from sightsmith.api.labeling.v1 import review_item_pb2
from sightsmith.api.labeling.v1 import review_service_pb2 as pb
from sightsmith.api.labeling.v1.review_service_pb2_grpc import ReviewServiceServicer
from sightsmith.database import Database
from sightsmith.names import DeploymentName, ModelName, ProjectName, ReviewItemName, ReviewPolicyName
from sightsmith.objects import Objects
from sightsmith.paging import PageRequest
from sightsmith.rpc import Context
from sightsmith_labeling.intake import Intake
from sightsmith_labeling.quotas import Quotas
from sightsmith_labeling.review.assigning import Assignments
from sightsmith_labeling.review.comparing import Comparisons
from sightsmith_labeling.review.convert import (
    agreement_to_proto,
    answer_from_proto,
    claim_count_from_proto,
    created_after_from_proto,
    estimate_to_proto,
    filter_from_proto,
    item_to_proto,
    items_from_proto,
    prediction_from_proto,
    reasons_from_proto,
    reviewer_from_proto,
)
from sightsmith_labeling.review.items import ReviewItems
from sightsmith_labeling.review.policies import ReviewPolicies
from sightsmith_labeling.review.production import Production
from sightsmith_labeling.review.requested import RequestedReviews
from sightsmith_labeling.review.reviewing import Reviewing
from sightsmith_labeling.settings import LabelingSettings


def review_servicer(
    settings: LabelingSettings, database: Database, objects: Objects, intake: Intake
) -> "ReviewServicer":
    """What answers about the review queue."""
    items, policies = ReviewItems(database), ReviewPolicies(database, settings.required_reviews)
    return ReviewServicer(
        items,
        RequestedReviews(items, intake, objects, settings.max_label_length),
        Assignments(database, policies, settings.review_claim_seconds),
        Reviewing(database, objects, intake, policies, Quotas.of(settings)),
        Comparisons(database, settings.max_compared_review_items),
        Production(database, settings.max_estimated_review_items),
        policies,
    )


class ReviewServicer(ReviewServiceServicer):
    """Answers the calls of `sightsmith.api.labeling.v1.ReviewService`; the protos say what each does."""

    def __init__(
        self,
        items: ReviewItems,
        requested: RequestedReviews,
        assignments: Assignments,
        reviewing: Reviewing,
        comparisons: Comparisons,
        production: Production,
        policies: ReviewPolicies,
    ) -> None:
        self._items = items
        self._requested = requested
        self._assignments = assignments
        self._reviewing = reviewing
        self._comparisons = comparisons
        self._production = production
        self._policies = policies

    async def CreateReviewItem(
        self, request: pb.CreateReviewItemRequest, context: Context
    ) -> review_item_pb2.ReviewItem:
        project, prediction = ProjectName.parse(request.parent, "parent"), prediction_from_proto(request.review_item)
        return item_to_proto(await self._requested.request(project, prediction, request.image_content))

    async def GetReviewItem(self, request: pb.GetReviewItemRequest, context: Context) -> review_item_pb2.ReviewItem:
        return item_to_proto(await self._items.get(ReviewItemName.parse(request.name)))

    async def ListReviewItems(self, request: pb.ListReviewItemsRequest, context: Context) -> pb.ListReviewItemsResponse:
        project, wanted = ProjectName.parse(request.parent, "parent"), filter_from_proto(request.filter)
        page = PageRequest.parse(request.page_size, request.page_token)
        items, token = await self._items.list(project, wanted, page)
        return pb.ListReviewItemsResponse(review_items=map(item_to_proto, items), next_page_token=token)

    async def DownloadReviewImage(
        self, request: pb.DownloadReviewImageRequest, context: Context
    ) -> AsyncIterator[pb.DownloadReviewImageResponse]:
        async with aclosing(self._requested.image(ReviewItemName.parse(request.name))) as chunks:
            async for chunk in chunks:
                yield pb.DownloadReviewImageResponse(chunk=chunk)

    async def DownloadReviewThumbnail(
        self, request: pb.DownloadReviewThumbnailRequest, context: Context
    ) -> pb.DownloadReviewThumbnailResponse:
        name = ReviewItemName.parse(request.name)
        return pb.DownloadReviewThumbnailResponse(jpeg=await self._requested.thumbnail(name))

    async def AssignReviewItems(
        self, request: pb.AssignReviewItemsRequest, context: Context
    ) -> pb.AssignReviewItemsResponse:
        names, reviewer = items_from_proto(request.names, request.parent), reviewer_from_proto(request.reviewer)
        items = await self._assignments.assign(names, reviewer)
        return pb.AssignReviewItemsResponse(review_items=map(item_to_proto, items))

    async def ClaimReviewItems(
        self, request: pb.ClaimReviewItemsRequest, context: Context
    ) -> pb.ClaimReviewItemsResponse:
        project, reviewer = ProjectName.parse(request.parent, "parent"), reviewer_from_proto(request.reviewer)
        count, reasons = claim_count_from_proto(request.count), reasons_from_proto(request.reasons)
        items = await self._assignments.claim(project, reviewer, count, reasons)
        return pb.ClaimReviewItemsResponse(review_items=map(item_to_proto, items))

    async def ReleaseReviewItems(
        self, request: pb.ReleaseReviewItemsRequest, context: Context
    ) -> pb.ReleaseReviewItemsResponse:
        names, reviewer = items_from_proto(request.names, request.parent), reviewer_from_proto(request.reviewer)
        items = await self._assignments.release(names, reviewer)
        return pb.ReleaseReviewItemsResponse(review_items=map(item_to_proto, items))

    async def SubmitReview(self, request: pb.SubmitReviewRequest, context: Context) -> review_item_pb2.ReviewItem:
        name, reviewer = ReviewItemName.parse(request.name), reviewer_from_proto(request.reviewer)
        return item_to_proto(await self._reviewing.submit(name, reviewer, answer_from_proto(request.answer)))

    async def ResolveReviewItem(
        self, request: pb.ResolveReviewItemRequest, context: Context
    ) -> review_item_pb2.ReviewItem:
        name, answer = ReviewItemName.parse(request.name), answer_from_proto(request.answer)
        return item_to_proto(await self._reviewing.resolve(name, answer))

    async def GetAgreement(self, request: pb.GetAgreementRequest, context: Context) -> pb.Agreement:
        project, after = ProjectName.parse(request.parent, "parent"), created_after_from_proto(request)
        return agreement_to_proto(await self._comparisons.agreement(project, after))

    async def EstimatePrecision(self, request: pb.EstimatePrecisionRequest, context: Context) -> pb.PrecisionEstimate:
        deployment, after = DeploymentName.parse(request.deployment, "deployment"), created_after_from_proto(request)
        model = str(ModelName.parse(request.model, "model")) if request.model else ""
        return estimate_to_proto(await self._production.precision(deployment, model, after))

    async def GetReviewPolicy(
        self, request: pb.GetReviewPolicyRequest, context: Context
    ) -> review_item_pb2.ReviewPolicy:
        name = ReviewPolicyName.parse(request.name)
        return review_item_pb2.ReviewPolicy(name=str(name), required_reviews=await self._policies.get(name))

    async def UpdateReviewPolicy(
        self, request: pb.UpdateReviewPolicyRequest, context: Context
    ) -> review_item_pb2.ReviewPolicy:
        name = ReviewPolicyName.parse(request.review_policy.name, "review_policy.name")
        required = await self._policies.set(name, request.review_policy.required_reviews)
        return review_item_pb2.ReviewPolicy(name=str(name), required_reviews=required)
