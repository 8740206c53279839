"""Similar images, and how many images can be found by what they look like."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import and_, func, select

from sightsmith.database import Database
from sightsmith.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from sightsmith.names import DatasetName, ImageName, ProjectName
from sightsmith_labeling.embeddings.inference import InferenceService
from sightsmith_labeling.embeddings.nearest import nearest
from sightsmith_labeling.embeddings.scope import scope_of
from sightsmith_labeling.embeddings.sketches import Vectors
from sightsmith_labeling.embeddings.store import read_vector
from sightsmith_labeling.embeddings.tables import EmbeddingQueueRow, EmbeddingRow
from sightsmith_labeling.images import Image
from sightsmith_labeling.tables import DatasetRow, ImageRow

DEFAULT_RESULTS = 20
MAX_RESULTS = 200


@dataclass(frozen=True)
class SimilarImage:
    """An image and how similar it is to what was asked for, 0 to 1."""

    image: Image
    similarity: float


@dataclass(frozen=True)
class EmbeddingProgress:
    """How many images of a project there are with their bytes, can be found, and never will be."""

    image_count: int
    embedded_image_count: int
    failed_image_count: int


@dataclass(frozen=True)
class Wanted:
    """Which similar images are wanted.

    Attributes:
        parent: where to look.
        labels: an image must carry all of them.
        unlabelled_only: whether an image must carry none at all.
        min_similarity: 0 to 1.
        max_results: how many at most; 0 for the default.
    """

    parent: ProjectName | DatasetName
    labels: Collection[str] = ()
    unlabelled_only: bool = False
    min_similarity: float = 0.0
    max_results: int = 0

    def check(self) -> None:
        """Makes sure that it makes sense.

        Raises:
            InvalidArgumentError: naming the field that does not.
        """
        if self.labels and self.unlabelled_only:
            raise InvalidArgumentError.of_field("unlabelled_only", "goes not together with labels")
        # Not a number compares false with everything, and so is found too.
        if not 0 <= self.min_similarity <= 1:
            raise InvalidArgumentError.of_field("min_similarity", f"must be from 0 to 1, not {self.min_similarity}")
        results_of(self.max_results)


class SimilarImages:
    """Finds images by what they look like."""

    def __init__(self, database: Database, inference: InferenceService, backbone: str) -> None:
        """Takes where embeddings are kept, who makes those that are missing, and by which backbone."""
        self._database = database
        self._inference = inference
        self._backbone = backbone

    async def find(self, query: ImageName | bytes, wanted: Wanted) -> Sequence[SimilarImage]:
        """The images that are most similar to an image or an encoded picture, the most similar first.

        Raises:
            InvalidArgumentError: if what is wanted makes no sense, or the picture cannot be read.
            NotFoundError: if the image, the project or the dataset does not exist.
            FailedPreconditionError: if the image's bytes are not there.
            UnavailableError: if the embedding of the query is not there and cannot be made now.
        """
        wanted.check()
        vector = await self.vector_of(query)
        count = results_of(wanted.max_results)
        async with self._database.transaction() as session:
            scope = await scope_of(session, wanted.parent, wanted.labels, unlabelled_only=wanted.unlabelled_only)
            if scope is None:
                return ()
            # One more: the query itself is among them.
            near = await nearest(session, scope, self._backbone, vector, count + 1)
            found = {image.sha256: image.similarity for image in near if image.similarity >= wanted.min_similarity}
            images = await scope.images(session, ImageRow.sha256.in_(found))
        similar = [SimilarImage(image, found[image.sha256 or ""]) for _, image in images if image.name != query]
        return sorted(similar, key=lambda found: (-found.similarity, str(found.image.name)))[:count]

    async def vector_of(self, query: ImageName | bytes) -> Vectors:
        """The embedding of an image or an encoded picture, made now if it is not kept; raises as `find` does."""
        if isinstance(query, bytes):
            return await self._inference.embed_picture(self._backbone, query)
        sha256, vector = await self._kept(query)
        if vector is not None:
            return read_vector(vector)
        (made,) = await self._inference.embed_stored(self._backbone, [sha256])
        if isinstance(made, Exception):
            raise made
        return made

    async def _kept(self, name: ImageName) -> tuple[str, bytes | None]:
        """An image's SHA-256, and its embedding if there is one."""
        embedding = and_(EmbeddingRow.sha256 == ImageRow.sha256, EmbeddingRow.backbone == self._backbone)
        query = (
            select(ImageRow.sha256, EmbeddingRow.vector)
            .join(DatasetRow, DatasetRow.key == ImageRow.dataset)
            .outerjoin(EmbeddingRow, embedding)
            .where(DatasetRow.project == name.project, DatasetRow.id == name.dataset, ImageRow.id == name.image)
        )
        async with self._database.transaction() as session:
            found = (await session.execute(query)).tuples().one_or_none()
        if found is None:
            raise NotFoundError(str(name))
        sha256, vector = found
        if sha256 is None:
            raise FailedPreconditionError(f"the bytes of {name} are not there", reason="WRONG_STATE")
        return sha256, vector

    async def progress(self, project: ProjectName) -> EmbeddingProgress:
        """How far the embeddings of a project are.

        Raises:
            NotFoundError: if the project does not exist.
        """
        async with self._database.transaction() as session:
            scope = await scope_of(session, project)
            assert scope is not None  # noqa: S101 - no labels were asked for
            waiting = select(EmbeddingQueueRow.sha256)
            failed = select(EmbeddingRow.sha256).where(
                EmbeddingRow.backbone == self._backbone, EmbeddingRow.problem.is_not(None)
            )
            count = select(func.count()).select_from(ImageRow).where(scope.condition)
            total = await session.scalar(count) or 0
            not_yet = await session.scalar(count.where(ImageRow.sha256.in_(waiting))) or 0
            never = await session.scalar(count.where(ImageRow.sha256.in_(failed))) or 0
        return EmbeddingProgress(total, max(total - not_yet - never, 0), never)


def results_of(max_results: int) -> int:
    """How many results a caller gets at most.

    Raises:
        InvalidArgumentError: naming `max_results`, if it is negative.
    """
    if max_results < 0:
        raise InvalidArgumentError.of_field("max_results", f"must not be negative, not {max_results}")
    return min(max_results or DEFAULT_RESULTS, MAX_RESULTS)
