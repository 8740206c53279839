"""The review queue as tests use it."""

from collections.abc import Sequence
from typing import Any

from sightsmith.api.labeling.v1 import review_service_pb2 as pb
from sightsmith.api.labeling.v1.annotation_pb2 import BoundingBox
from sightsmith.api.labeling.v1.image_pb2 import Image
from sightsmith.api.labeling.v1.labeling_service_pb2 import GetImageRequest
from sightsmith.api.labeling.v1.review_item_pb2 import Answer, ReviewItem, ReviewPolicy
from sightsmith.api.labeling.v1.review_service_pb2_grpc import ReviewServiceStub

from .labeling_client import LabelingClient
from .sample_images import jpeg

PENDING, IN_REVIEW = ReviewItem.STATE_PENDING, ReviewItem.STATE_IN_REVIEW
ACCEPTED, REJECTED, DISPUTED = ReviewItem.STATE_ACCEPTED, ReviewItem.STATE_REJECTED, ReviewItem.STATE_DISPUTED
NONE = Answer(verdict=Answer.VERDICT_NONE)
SKIPPED = Answer(verdict=Answer.VERDICT_SKIPPED)


class ReviewClient:
    """Calls ReviewService for one project."""

    def __init__(self, client: LabelingClient, project: str) -> None:
        self._client = client
        self.project = project
        self.stub = ReviewServiceStub(client.channel)
        self.metadata = client.metadata

    async def request(self, image: bytes, **fields: Any) -> ReviewItem:
        fields = {"model": "elsewhere/model-1", **fields}
        request = pb.CreateReviewItemRequest(parent=self.project, review_item=ReviewItem(**fields), image_content=image)
        return await self.stub.CreateReviewItem(request, metadata=self.metadata)

    async def fill(self, count: int, first: int = 0) -> list[str]:
        """Puts so many items into the queue, and returns their names."""
        return [(await self.request(jpeg(seed))).name for seed in range(first, first + count)]

    async def get(self, name: str) -> ReviewItem:
        return await self.stub.GetReviewItem(pb.GetReviewItemRequest(name=name), metadata=self.metadata)

    async def names(self, page_size: int = 0, **wanted: Any) -> list[str]:
        found: list[str] = []
        token = ""
        while True:
            request = pb.ListReviewItemsRequest(
                parent=self.project,
                filter=pb.ListReviewItemsRequest.Filter(**wanted),
                page_size=page_size,
                page_token=token,
            )
            page = await self.stub.ListReviewItems(request, metadata=self.metadata)
            found += [item.name for item in page.review_items]
            token = page.next_page_token
            if not token:
                return found

    async def claim(
        self, reviewer: str, count: int = 0, reasons: Sequence[ReviewItem.Reason.ValueType] = ()
    ) -> list[ReviewItem]:
        request = pb.ClaimReviewItemsRequest(parent=self.project, reviewer=reviewer, count=count, reasons=reasons)
        return list((await self.stub.ClaimReviewItems(request, metadata=self.metadata)).review_items)

    async def assign(self, reviewer: str, *names: str) -> list[ReviewItem]:
        request = pb.AssignReviewItemsRequest(parent=self.project, reviewer=reviewer, names=names)
        return list((await self.stub.AssignReviewItems(request, metadata=self.metadata)).review_items)

    async def release(self, reviewer: str, *names: str) -> list[ReviewItem]:
        request = pb.ReleaseReviewItemsRequest(parent=self.project, reviewer=reviewer, names=names)
        return list((await self.stub.ReleaseReviewItems(request, metadata=self.metadata)).review_items)

    async def submit(self, name: str, reviewer: str, answer: Answer) -> ReviewItem:
        request = pb.SubmitReviewRequest(name=name, reviewer=reviewer, answer=answer)
        return await self.stub.SubmitReview(request, metadata=self.metadata)

    async def resolve(self, name: str, answer: Answer) -> ReviewItem:
        metadata = (*self.metadata, ("x-sightsmith-actor", "judge"))
        return await self.stub.ResolveReviewItem(
            pb.ResolveReviewItemRequest(name=name, answer=answer), metadata=metadata
        )

    async def require(self, count: int) -> ReviewPolicy:
        policy = ReviewPolicy(name=f"{self.project}/reviewPolicy", required_reviews=count)
        return await self.stub.UpdateReviewPolicy(
            pb.UpdateReviewPolicyRequest(review_policy=policy), metadata=self.metadata
        )

    async def agreement(self) -> pb.Agreement:
        return await self.stub.GetAgreement(pb.GetAgreementRequest(parent=self.project), metadata=self.metadata)

    async def precision(self, deployment: str, model: str = "") -> pb.PrecisionEstimate:
        request = pb.EstimatePrecisionRequest(deployment=f"{self.project}/deployments/{deployment}", model=model)
        return await self.stub.EstimatePrecision(request, metadata=self.metadata)

    async def image(self, name: str) -> Image:
        return await self._client.stub.GetImage(GetImageRequest(name=name), metadata=self.metadata)


def labelled(*labels: str, boxes: Sequence[tuple[str, BoundingBox]] = ()) -> Answer:
    said = [Answer.Label(label=label) for label in labels]
    said += [Answer.Label(label=label, box=box) for label, box in boxes]
    return Answer(verdict=Answer.VERDICT_LABELLED, labels=said)


def people(item: ReviewItem) -> list[str]:
    return [review.reviewer for review in item.reviews]
