"""Images by what they look like: similar ones, near-duplicates, labels by example, an order for labelling."""

from collections.abc import Iterator, Sequence

import grpc

from sightsmith.api.labeling.v1 import similarity_service_pb2 as pb
from sightsmith.api.labeling.v1.similarity_service_pb2_grpc import SimilarityServiceStub
from sightsmith.client.calls import all_pages, calling

Strategy = pb.OrderForLabellingRequest.Strategy


class Similarity:
    """What embeddings are good for. Names are resource names; similarities are 0 to 1."""

    def __init__(self, channel: grpc.Channel) -> None:
        """Takes a channel to the labeling service."""
        self.stub = SimilarityServiceStub(channel)

    def progress(self, project: str) -> pb.EmbeddingProgress:
        """How many images of a project can be found by what they look like.

        Args:
            project: `projects/{project}`.
        """
        with calling():
            return self.stub.GetEmbeddingProgress(pb.GetEmbeddingProgressRequest(parent=project))

    def find(
        self,
        parent: str,
        query: str | bytes,
        *,
        labels: Sequence[str] = (),
        unlabelled_only: bool = False,
        min_similarity: float = 0.0,
        max_results: int = 0,
    ) -> Sequence[pb.SimilarImage]:
        """The images that are most similar to an image or a picture, the most similar first.

        Args:
            parent: where to look: `projects/{project}` or `projects/{project}/datasets/{dataset}`.
            query: name of an image of the same project, or an encoded picture.
            labels: only images that carry all of them.
            unlabelled_only: only images that carry none.
            min_similarity: only images that are at least so similar.
            max_results: how many at most; 0 for 20.
        """
        request = pb.FindSimilarImagesRequest(
            parent=parent,
            labels=labels,
            unlabelled_only=unlabelled_only,
            min_similarity=min_similarity,
            max_results=max_results,
        )
        if isinstance(query, bytes):
            request.content = query
        else:
            request.image = query
        with calling():
            return self.stub.FindSimilarImages(request).images

    def near_duplicates(
        self, project: str, min_similarity: float = 0.0
    ) -> Iterator[pb.ListNearDuplicatesResponse.Pair]:
        """Pairs of images that are nearly the same, in the order in which the earlier ones came.

        Args:
            project: `projects/{project}`.
            min_similarity: of a pair; 0 for the service's own rule.
        """
        return all_pages(
            lambda token: self.stub.ListNearDuplicates(
                pb.ListNearDuplicatesRequest(parent=project, min_similarity=min_similarity, page_token=token)
            ),
            lambda page: page.pairs,
        )

    def label_like(
        self,
        example: str,
        images: Sequence[str] = (),
        *,
        min_similarity: float = 0.0,
        preview_only: bool = False,
    ) -> pb.LabelLikeResponse:
        """Puts the labels of an image on others that look like it.

        Args:
            example: name of an image with labels of the whole image.
            images: names of those to label; if left out, the unlabelled ones of the same dataset that are similar
                enough.
            min_similarity: how similar they must be; needed if `images` is left out.
            preview_only: shows what would be labelled, and changes nothing.
        """
        request = pb.LabelLikeRequest(
            example=example, images=images, min_similarity=min_similarity, validate_only=preview_only
        )
        with calling():
            return self.stub.LabelLike(request)

    def order_for_labelling(
        self, dataset: str, strategy: Strategy.ValueType, *, deployment: str = "", max_results: int = 0
    ) -> pb.OrderForLabellingResponse:
        """Ranks unlabelled images, the one to label first at the beginning.

        Args:
            dataset: `projects/{project}/datasets/{dataset}`.
            strategy: `STRATEGY_DIVERSITY` or `STRATEGY_UNCERTAINTY`.
            deployment: `projects/{project}/deployments/{deployment}`, for uncertainty.
            max_results: how many at most; 0 for 20.
        """
        request = pb.OrderForLabellingRequest(
            parent=dataset, strategy=strategy, deployment=deployment, max_results=max_results
        )
        with calling():
            return self.stub.OrderForLabelling(request)
