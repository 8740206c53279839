"""SplitService: reads requests, calls what they are about, and converts the answers."""

from sightsmith.api.labeling.v1 import split_service_pb2 as pb
from sightsmith.api.labeling.v1.split_service_pb2_grpc import SplitServiceServicer
from sightsmith.names import ProjectName
from sightsmith.rpc import Context
from sightsmith_labeling.splitting.auto_split import DEFAULT_TEST_FRACTION, AutoSplit
from sightsmith_labeling.splitting.distribution import Distributions


class SplitServicer(SplitServiceServicer):
    """Answers the calls of `sightsmith.api.labeling.v1.SplitService`; the protos say what each does."""

    def __init__(self, distributions: Distributions) -> None:
        self._distributions = distributions

    async def DistributeImages(
        self, request: pb.DistributeImagesRequest, context: Context
    ) -> pb.DistributeImagesResponse:
        project = ProjectName.parse(request.parent, "parent")
        # A fraction of 0 is one that was left out.
        fraction = request.test_fraction or DEFAULT_TEST_FRACTION
        distribution = await self._distributions.distribute(
            project,
            AutoSplit(fraction, request.seed, field="test_fraction"),
            allow_untested_labels=request.allow_untested_labels,
            validate_only=request.validate_only,
        )
        return pb.DistributeImagesResponse(
            moved_image_count=distribution.moved_image_count,
            train_image_count=distribution.train_image_count,
            test_image_count=distribution.test_image_count,
            unready_image_count=distribution.unready_image_count,
            labels=[pb.DistributeImagesResponse.LabelSplit(**vars(label)) for label in distribution.labels],
        )
