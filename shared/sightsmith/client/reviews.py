"""The queue of predictions that people look at."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import grpc

from sightsmith.api.labeling.v1 import review_item_pb2, review_service_pb2
from sightsmith.api.labeling.v1.review_service_pb2_grpc import ReviewServiceStub
from sightsmith.client.calls import all_pages, calling
from sightsmith.names import DeploymentName, ProjectName, ReviewPolicyName


class Reviews:
    """Gives predictions to reviewers, takes what they say, and compares them.

    Wherever a reviewer can be left out, it is the caller (`SIGHTSMITH_ACTOR`, or the user's name).

    Attributes:
        stub: the generated stub.
    """

    def __init__(self, channel: grpc.Channel) -> None:
        self.stub = ReviewServiceStub(channel)

    def request(self, project: str, image: bytes, item: review_item_pb2.ReviewItem) -> review_item_pb2.ReviewItem:
        """Puts a prediction into the queue that the client has kept.

        Args:
            project: id of the project.
            image: the encoded image.
            item: what was predicted, and by whom.
        """
        request = review_service_pb2.CreateReviewItemRequest(
            parent=str(ProjectName(project)), review_item=item, image_content=image
        )
        with calling():
            return self.stub.CreateReviewItem(request)

    def get(self, name: str) -> review_item_pb2.ReviewItem:
        """An item, by `projects/{project}/reviewItems/{review_item}`."""
        with calling():
            return self.stub.GetReviewItem(review_service_pb2.GetReviewItemRequest(name=name))

    def list(
        self, project: str, wanted: review_service_pb2.ListReviewItemsRequest.Filter | None = None
    ) -> Iterator[review_item_pb2.ReviewItem]:
        """The items of a project that fulfil a filter, the oldest first."""
        parent = str(ProjectName(project))
        return all_pages(
            lambda token: self.stub.ListReviewItems(
                review_service_pb2.ListReviewItemsRequest(parent=parent, filter=wanted, page_token=token)
            ),
            lambda page: page.review_items,
        )

    def download(self, name: str) -> bytes:
        """The bytes of an item's image."""
        with calling():
            parts = self.stub.DownloadReviewImage(review_service_pb2.DownloadReviewImageRequest(name=name))
            return b"".join(part.chunk for part in parts)

    def thumbnail(self, name: str) -> bytes:
        """The small picture of an item's image, a JPEG."""
        with calling():
            request = review_service_pb2.DownloadReviewThumbnailRequest(name=name)
            return self.stub.DownloadReviewThumbnail(request).jpeg

    def claim(
        self,
        project: str,
        count: int = 0,
        reviewer: str = "",
        reasons: Sequence[review_item_pb2.ReviewItem.Reason.ValueType] = (),
    ) -> Sequence[review_item_pb2.ReviewItem]:
        """Takes the oldest items that need a reviewer, for a while; 10 if `count` is 0, 100 at most.

        With `reasons`, only items that are in the queue for these are taken, those of the first reason first.
        """
        request = review_service_pb2.ClaimReviewItemsRequest(
            parent=str(ProjectName(project)), reviewer=reviewer, count=count, reasons=reasons
        )
        with calling():
            return self.stub.ClaimReviewItems(request).review_items

    def assign(self, project: str, names: Sequence[str], reviewer: str) -> Sequence[review_item_pb2.ReviewItem]:
        """Gives items to a person, with no limit of time."""
        request = review_service_pb2.AssignReviewItemsRequest(
            parent=str(ProjectName(project)), names=names, reviewer=reviewer
        )
        with calling():
            return self.stub.AssignReviewItems(request).review_items

    def release(self, project: str, names: Sequence[str], reviewer: str = "") -> Sequence[review_item_pb2.ReviewItem]:
        """Takes items back that a person has not reviewed."""
        request = review_service_pb2.ReleaseReviewItemsRequest(
            parent=str(ProjectName(project)), names=names, reviewer=reviewer
        )
        with calling():
            return self.stub.ReleaseReviewItems(request).review_items

    def submit(self, name: str, answer: review_item_pb2.Answer, reviewer: str = "") -> review_item_pb2.ReviewItem:
        """Says what a person sees in an item's image."""
        request = review_service_pb2.SubmitReviewRequest(name=name, answer=answer, reviewer=reviewer)
        with calling():
            return self.stub.SubmitReview(request)

    def resolve(self, name: str, answer: review_item_pb2.Answer) -> review_item_pb2.ReviewItem:
        """Settles an item over the heads of its reviewers."""
        with calling():
            return self.stub.ResolveReviewItem(review_service_pb2.ResolveReviewItemRequest(name=name, answer=answer))

    def agreement(self, project: str, created_after: datetime | None = None) -> review_service_pb2.Agreement:
        """How far reviewers agree, over items that came into the queue after a moment (with its zone)."""
        request = review_service_pb2.GetAgreementRequest(parent=str(ProjectName(project)))
        if created_after is not None:
            request.created_after.FromDatetime(created_after)
        with calling():
            return self.stub.GetAgreement(request)

    def precision(
        self, project: str, deployment: str, model: str = "", created_after: datetime | None = None
    ) -> review_service_pb2.PrecisionEstimate:
        """How often the answers of a deployment are right, estimated from what was reviewed of its samples.

        Args:
            project: id of the project.
            deployment: id of the deployment.
            model: only answers of this one, `projects/{project}/models/{model}`; of all if empty.
            created_after: only predictions that came into the queue after this moment (with its zone).
        """
        name = str(DeploymentName(project, deployment))
        request = review_service_pb2.EstimatePrecisionRequest(deployment=name, model=model)
        if created_after is not None:
            request.created_after.FromDatetime(created_after)
        with calling():
            return self.stub.EstimatePrecision(request)

    def required_reviews(self, project: str) -> int:
        """How many people must agree."""
        request = review_service_pb2.GetReviewPolicyRequest(name=str(ReviewPolicyName(project)))
        with calling():
            return self.stub.GetReviewPolicy(request).required_reviews

    def require_reviews(self, project: str, count: int) -> review_item_pb2.ReviewPolicy:
        """Sets how many people must agree, 1 to 20."""
        policy = review_item_pb2.ReviewPolicy(name=str(ReviewPolicyName(project)), required_reviews=count)
        with calling():
            return self.stub.UpdateReviewPolicy(review_service_pb2.UpdateReviewPolicyRequest(review_policy=policy))
