"""SimilarityService: reads requests, calls what they are about, and converts the answers."""

from sightsmith.api.labeling.v1 import similarity_service_pb2 as pb
from sightsmith.api.labeling.v1.similarity_service_pb2_grpc import SimilarityServiceServicer
from sightsmith.errors import InvalidArgumentError
from sightsmith.names import BackboneName, DatasetName, DeploymentName, ImageName, ProjectName
from sightsmith.paging import PageRequest
from sightsmith.rpc import Context
from sightsmith_labeling.convert import image_to_proto
from sightsmith_labeling.embeddings.labelling_by_example import ByExample, LabellingByExample
from sightsmith_labeling.embeddings.labelling_order import LabellingOrder, OrderRequest, Strategy
from sightsmith_labeling.embeddings.near_duplicates import NearDuplicateSearch
from sightsmith_labeling.embeddings.similar_images import SimilarImage, SimilarImages, Wanted

_STRATEGIES = {
    pb.OrderForLabellingRequest.STRATEGY_DIVERSITY: Strategy.DIVERSITY,
    pb.OrderForLabellingRequest.STRATEGY_UNCERTAINTY: Strategy.UNCERTAINTY,
}


class SimilarityServicer(SimilarityServiceServicer):
    """Answers the calls of `sightsmith.api.labeling.v1.SimilarityService`; the protos say what each does."""

    def __init__(
        self,
        backbone: str,
        similar: SimilarImages,
        duplicates: NearDuplicateSearch,
        by_example: LabellingByExample,
        order: LabellingOrder,
    ) -> None:
        self._backbone = backbone
        self._similar = similar
        self._duplicates = duplicates
        self._by_example = by_example
        self._order = order

    async def GetEmbeddingProgress(
        self, request: pb.GetEmbeddingProgressRequest, context: Context
    ) -> pb.EmbeddingProgress:
        progress = await self._similar.progress(ProjectName.parse(request.parent, "parent"))
        return pb.EmbeddingProgress(backbone=str(BackboneName(self._backbone)), **vars(progress))

    async def FindSimilarImages(
        self, request: pb.FindSimilarImagesRequest, context: Context
    ) -> pb.FindSimilarImagesResponse:
        wanted = Wanted(
            parent=_project_or_dataset(request.parent),
            labels=tuple(dict.fromkeys(request.labels)),
            unlabelled_only=request.unlabelled_only,
            min_similarity=request.min_similarity,
            max_results=request.max_results,
        )
        found = await self._similar.find(_query_of(request, wanted.parent.project), wanted)
        return pb.FindSimilarImagesResponse(images=map(_similar_to_proto, found))

    async def ListNearDuplicates(
        self, request: pb.ListNearDuplicatesRequest, context: Context
    ) -> pb.ListNearDuplicatesResponse:
        project = ProjectName.parse(request.parent, "parent")
        page = PageRequest.parse(request.page_size, request.page_token)
        pairs, token = await self._duplicates.list(project, request.min_similarity, page)
        messages = [
            pb.ListNearDuplicatesResponse.Pair(
                first=image_to_proto(pair.first), second=image_to_proto(pair.second), similarity=pair.similarity
            )
            for pair in pairs
        ]
        return pb.ListNearDuplicatesResponse(pairs=messages, next_page_token=token)

    async def LabelLike(self, request: pb.LabelLikeRequest, context: Context) -> pb.LabelLikeResponse:
        labels, images = await self._by_example.label(
            ByExample(
                example=ImageName.parse(request.example, "example"),
                images=[ImageName.parse(name, f"images[{index}]") for index, name in enumerate(request.images)],
                min_similarity=request.min_similarity,
                preview_only=request.validate_only,
            )
        )
        return pb.LabelLikeResponse(labels=labels, images=map(_similar_to_proto, images))

    async def OrderForLabelling(
        self, request: pb.OrderForLabellingRequest, context: Context
    ) -> pb.OrderForLabellingResponse:
        if request.strategy not in _STRATEGIES:
            raise InvalidArgumentError.of_field("strategy", "must be DIVERSITY or UNCERTAINTY")
        deployment = DeploymentName.parse(request.deployment, "deployment") if request.deployment else None
        order = await self._order.rank(
            OrderRequest(
                dataset=DatasetName.parse(request.parent, "parent"),
                strategy=_STRATEGIES[request.strategy],
                deployment=deployment,
                max_results=request.max_results,
            )
        )
        items = [
            pb.OrderForLabellingResponse.Item(image=image_to_proto(item.image), score=item.score)
            for item in order.items
        ]
        return pb.OrderForLabellingResponse(items=items, candidate_count=order.candidate_count)


def _project_or_dataset(parent: str) -> ProjectName | DatasetName:
    if "/datasets/" in parent:
        return DatasetName.parse(parent, "parent")
    return ProjectName.parse(parent, "parent")


def _query_of(request: pb.FindSimilarImagesRequest, project: str) -> ImageName | bytes:
    if request.HasField("content"):
        return request.content
    if not request.HasField("image"):
        raise InvalidArgumentError.of_field("query", "must be image or content")
    image = ImageName.parse(request.image, "image")
    if image.project != project:
        raise InvalidArgumentError.of_field("image", f"is not of the project {project}")
    return image


def _similar_to_proto(found: SimilarImage) -> pb.SimilarImage:
    return pb.SimilarImage(image=image_to_proto(found.image), similarity=found.similarity)
