"""Labels by example: what is on one image is put on others that look like it."""

from collections.abc import Sequence
from dataclasses import dataclass

from sightsmith.database import Database
from sightsmith.errors import FailedPreconditionError, InvalidArgumentError
from sightsmith.names import DatasetName, ImageName, ProjectName
from sightsmith_labeling.annotations import NewAnnotation
from sightsmith_labeling.edits import EditedImage, edit_images
from sightsmith_labeling.embeddings.similar_images import MAX_RESULTS, SimilarImage, SimilarImages, Wanted
from sightsmith_labeling.embeddings.sketches import similarities
from sightsmith_labeling.embeddings.store import vectors_of
from sightsmith_labeling.images import Images
from sightsmith_labeling.quotas import Quotas


@dataclass(frozen=True)
class ByExample:
    """What is to be labelled like what.

    Attributes:
        example: carries labels of the whole image.
        images: the images to label; empty for the unlabelled ones of the example's dataset that are similar enough.
        min_similarity: how similar they must be, 0 to 1.
        preview_only: whether to show what would be labelled, and to change nothing.
    """

    example: ImageName
    images: Sequence[ImageName]
    min_similarity: float
    preview_only: bool

    def check(self) -> None:
        """Makes sure that it makes sense.

        Raises:
            InvalidArgumentError: naming the field that does not.
        """
        if not 0 <= self.min_similarity <= 1:
            raise InvalidArgumentError.of_field("min_similarity", f"must be from 0 to 1, not {self.min_similarity}")
        if not self.images and self.min_similarity == 0:
            raise InvalidArgumentError.of_field("min_similarity", "must be above 0 where no images are named")
        if len(self.images) > MAX_RESULTS:
            raise InvalidArgumentError.of_field("images", f"must be at most {MAX_RESULTS}, not {len(self.images)}")
        for index, name in enumerate(self.images):
            if name.project != self.example.project:
                raise InvalidArgumentError.of_field(f"images[{index}]", f"is not of the project of {self.example}")


class LabellingByExample:
    """Puts labels on images by example."""

    def __init__(self, database: Database, similar: SimilarImages, backbone: str, quotas: Quotas) -> None:
        self._database = database
        self._similar = similar
        self._backbone = backbone
        self._quotas = quotas
        self._images = Images(database)

    async def label(self, request: ByExample) -> tuple[Sequence[str], Sequence[SimilarImage]]:
        """Labels images, or tells which would be labelled.

        Returns:
            The labels, and the images as they are now, the most similar first.

        Raises:
            InvalidArgumentError: if the request makes no sense.
            NotFoundError: if an image does not exist.
            FailedPreconditionError: if the example carries no label of the whole image, or its bytes are not there.
            UnavailableError: if the embedding of the example is not there and cannot be made now.
        """
        request.check()
        example = await self._images.get(request.example)
        if not example.labels:
            raise FailedPreconditionError(f"{example.name} carries no label of the whole image", reason="WRONG_STATE")
        chosen = await self._chosen(request)
        if request.preview_only or not chosen:
            return example.labels, chosen

        def add_labels(image: EditedImage) -> None:
            for label in example.labels:
                image.add(NewAnnotation(label))

        async with self._database.transaction() as session:
            edited = await edit_images(
                session,
                ProjectName(example.name.project),
                [similar.image.name for similar in chosen],
                add_labels,
                action="images.label_like",
                quotas=self._quotas,
            )
        return example.labels, [
            SimilarImage(image, similar.similarity) for image, similar in zip(edited, chosen, strict=True)
        ]

    async def _chosen(self, request: ByExample) -> Sequence[SimilarImage]:
        """The images to label, the most similar first."""
        example = request.example
        if not request.images:
            return await self._similar.find(
                example,
                Wanted(
                    DatasetName(example.project, example.dataset),
                    unlabelled_only=True,
                    min_similarity=request.min_similarity,
                    max_results=MAX_RESULTS,
                ),
            )
        vector = await self._similar.vector_of(example)
        images = await self._images.get_all(ProjectName(example.project), list(dict.fromkeys(request.images)))
        async with self._database.transaction() as session:
            vectors = await vectors_of(session, [image.sha256 for image in images if image.sha256], self._backbone)
        scores = {sha256: float(similarities(vector, other[None])[0]) for sha256, other in vectors.items()}
        similar = [SimilarImage(image, scores.get(image.sha256 or "", 0.0)) for image in images]
        enough = [found for found in similar if found.similarity >= request.min_similarity]
        return sorted(enough, key=lambda found: -found.similarity)
