"""In which order to label images: those first from which most is learned."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import Database
from sightsmith.errors import InvalidArgumentError
from sightsmith.names import DatasetName, DeploymentName
from sightsmith.objects import Objects, image_key
from sightsmith_labeling.embeddings.inference import InferenceService
from sightsmith_labeling.embeddings.scope import Scope, scope_of
from sightsmith_labeling.embeddings.similar_images import results_of
from sightsmith_labeling.embeddings.sketches import Vectors, read_sketches
from sightsmith_labeling.embeddings.tables import EmbeddingRow
from sightsmith_labeling.images import Image
from sightsmith_labeling.tables import ImageRow

_IMAGES_PER_CALL = 16
# A message holds the deployment's name and where each image begins, too.
_ROOM_FOR_THE_REST = 4096


class Strategy(StrEnum):
    """How images are ranked."""

    DIVERSITY = "diversity"
    UNCERTAINTY = "uncertainty"


@dataclass(frozen=True)
class OrderLimits:
    """How many images are looked at for an order, which is answered at once.

    Attributes:
        compared: how many labelled and how many unlabelled ones at most. Of more, those with the lowest SHA-256 are
            taken: a sample by chance, and the same one each time.
        predicted: about how many a deployed model is asked at most.
        message_bytes: how much inference takes at once.
    """

    compared: int
    predicted: int
    message_bytes: int


@dataclass(frozen=True)
class OrderRequest:
    """What is asked for.

    Attributes:
        deployment: the model to ask, for `UNCERTAINTY`.
        max_results: how many images at most; 0 for the default.
    """

    dataset: DatasetName
    strategy: Strategy
    deployment: DeploymentName | None
    max_results: int


@dataclass(frozen=True)
class Ranked:
    """An image and the score that it was ranked by, 0 to 1."""

    image: Image
    score: float


@dataclass(frozen=True)
class Order:
    """The images in the order in which to label them, and how many unlabelled ones were considered for it."""

    items: Sequence[Ranked]
    candidate_count: int


class LabellingOrder:
    """Ranks unlabelled images."""

    def __init__(
        self, database: Database, objects: Objects, inference: InferenceService, backbone: str, limits: OrderLimits
    ) -> None:
        """Prepares everything.

        Args:
            database: where images and embeddings are.
            objects: where the bytes are.
            inference: who is asked how sure a model is.
            backbone: by whose embeddings images are compared.
            limits: how many images are looked at.
        """
        self._database = database
        self._limits = limits
        self._call_bytes = limits.message_bytes - _ROOM_FOR_THE_REST
        self._objects = objects
        self._inference = inference
        self._backbone = backbone

    async def rank(self, request: OrderRequest) -> Order:
        """Ranks the unlabelled images of a dataset.

        Raises:
            InvalidArgumentError: if the request makes no sense.
            NotFoundError: if the dataset or the deployment does not exist.
            UnavailableError: if the deployment does not answer now.
        """
        count = results_of(request.max_results)
        if request.strategy is Strategy.DIVERSITY:
            places, scores, compared = await self._by_diversity(request.dataset, count)
        else:
            places, scores, compared = await self._by_uncertainty(request, count)
        async with self._database.transaction() as session:
            scope = await _unlabelled(session, request.dataset)
            images = {
                image.sha256 or "": image for _, image in await scope.images(session, ImageRow.sha256.in_(places))
            }
        # One that was labelled meanwhile is not among them any more.
        ranked = [Ranked(images[sha], score) for sha, score in zip(places, scores, strict=True) if sha in images]
        return Order(ranked, compared)

    async def _by_diversity(self, dataset: DatasetName, count: int) -> tuple[Sequence[str], Sequence[float], int]:
        async with self._database.transaction() as session:
            scope = await _unlabelled(session, dataset)
            names, candidates = await self._sketches(session, scope, ImageRow.is_labelled.is_(False))
            everything = await scope_of(session, dataset)
            assert everything is not None  # noqa: S101 - no labels were asked for
            _, labelled = await self._sketches(session, everything, ImageRow.is_labelled.is_(True))
        order, distances = await asyncio.to_thread(farthest_first, candidates, labelled, count)
        # Vectors of length 1 without negative numbers are at most the square root of 2 apart.
        scores = np.clip(distances / np.sqrt(2), 0, 1)
        return [names[place] for place in order], scores.tolist(), len(names)

    async def _by_uncertainty(self, request: OrderRequest, count: int) -> tuple[Sequence[str], Sequence[float], int]:
        if request.deployment is None:
            raise InvalidArgumentError.of_field("deployment", "is needed to rank by uncertainty")
        if request.deployment.project != request.dataset.project:
            raise InvalidArgumentError.of_field("deployment", f"is not of the project of {request.dataset}")
        # Those that are unlike each other: many pictures of one kind would all be uncertain together.
        most = self._limits.predicted
        sha256s, _, _ = await self._by_diversity(request.dataset, most)
        if len(sha256s) < most:
            sha256s = [*sha256s, *await self._others(request.dataset, sha256s, most - len(sha256s))]
        unsure: dict[str, float] = {}
        sizes = await self._sizes(request.dataset, sha256s)
        for part in calls_of(sizes, _IMAGES_PER_CALL, self._call_bytes):
            images = await asyncio.gather(*map(self._bytes_of, part))
            found = await self._inference.uncertainties(request.deployment, images)
            unsure |= {sha256: share for sha256, share in zip(part, found, strict=True) if share is not None}
        first = sorted(unsure, key=lambda sha256: -unsure[sha256])[:count]
        return first, [unsure[sha256] for sha256 in first], len(unsure)

    async def _sizes(self, dataset: DatasetName, sha256s: Sequence[str]) -> Sequence[tuple[str, int]]:
        """How many bytes each image has; those that were deleted or labelled meanwhile are left out."""
        async with self._database.transaction() as session:
            scope = await _unlabelled(session, dataset)
            query = select(ImageRow.sha256, ImageRow.size_bytes).where(scope.condition, ImageRow.sha256.in_(sha256s))
            sizes = dict((await session.execute(query)).tuples().all())
        return [(sha256, sizes[sha256] or 0) for sha256 in sha256s if sha256 in sizes]

    async def _bytes_of(self, sha256: str) -> bytes:
        """The encoded image; nothing, which is no image, if it was deleted meanwhile."""
        try:
            return await self._objects.get(image_key(sha256))
        except FileNotFoundError:
            return b""

    async def _sketches(
        self, session: AsyncSession, scope: Scope, condition: ColumnElement[bool]
    ) -> tuple[Sequence[str], Vectors]:
        """SHA-256 and sketch, [images, dimensions], of a sample of the images."""
        query = (
            select(EmbeddingRow.sha256, EmbeddingRow.sketch)
            .join(ImageRow, ImageRow.sha256 == EmbeddingRow.sha256)
            .where(scope.condition, condition)
            .where(EmbeddingRow.backbone == self._backbone, EmbeddingRow.sketch.is_not(None))
            .order_by(EmbeddingRow.sha256)
            .limit(self._limits.compared)
        )
        rows = (await session.execute(query)).tuples().all()
        return [sha256 for sha256, _ in rows], read_sketches([sketch for _, sketch in rows if sketch is not None])

    async def _others(self, dataset: DatasetName, chosen: Sequence[str], count: int) -> Sequence[str]:
        """Further unlabelled images: those that have no embedding yet."""
        async with self._database.transaction() as session:
            scope = await _unlabelled(session, dataset)
            query = select(ImageRow.sha256).where(scope.condition, ImageRow.sha256.not_in(chosen))
            found = await session.scalars(query.order_by(ImageRow.sha256).limit(count))
            return [sha256 for sha256 in found if sha256 is not None]


def calls_of(sizes: Sequence[tuple[str, int]], max_images: int, max_bytes: int) -> Iterator[Sequence[str]]:
    """Shares images out among calls that are not too large. What is too large even by itself is left out.

    Args:
        sizes: SHA-256 and size in bytes of each image.
        max_images: in one call.
        max_bytes: of all images of a call together.
    """
    part: list[str] = []
    room = max_bytes
    for sha256, size in sizes:
        if size > max_bytes:
            continue
        if len(part) == max_images or size > room:
            yield part
            part, room = [], max_bytes
        part.append(sha256)
        room -= size
    if part:
        yield part


def farthest_first(candidates: Vectors, covered: Vectors, count: int) -> tuple[Sequence[int], npt.NDArray[np.float64]]:
    """Picks points one after the other, each the one that is farthest from all before it and from what is covered.

    The greedy method for the k-centre problem (Gonzalez 1985), as Sener and Savarese (ICLR 2018) use it to choose what
    to label.

    Args:
        candidates: shape [points, dimensions].
        covered: points that need not be near to any other, [others, dimensions]; may be none.
        count: how many to pick.

    Returns:
        The places of the points picked, and the distance of each to the nearest point before it.
    """
    if not len(candidates):
        return [], np.empty(0)
    # Where nothing is covered, it begins with the point that is farthest from the middle of all.
    begin = covered if len(covered) else candidates.mean(axis=0, keepdims=True)
    nearest = _distances(candidates, begin)
    order: list[int] = []
    distances: list[float] = []
    for _ in range(min(count, len(candidates))):
        place = int(nearest.argmax())
        order.append(place)
        distances.append(float(max(nearest[place], 0)))
        nearest = np.minimum(nearest, np.linalg.norm(candidates - candidates[place], axis=1))
        nearest[place] = -1
    return order, np.array(distances)


def _distances(points: Vectors, others: Vectors) -> Vectors:
    """The distance of each point to the nearest of the others, [points]."""
    lengths = (points**2).sum(axis=1)
    nearest = np.full(len(points), np.inf, np.float32)
    for begin in range(0, len(others), 500):
        block = others[begin : begin + 500]
        squares = lengths[:, None] - 2 * points @ block.T + (block**2).sum(axis=1)
        nearest = np.minimum(nearest, squares.min(axis=1))
    return np.sqrt(np.maximum(nearest, 0))


async def _unlabelled(session: AsyncSession, dataset: DatasetName) -> Scope:
    scope = await scope_of(session, dataset, unlabelled_only=True)
    assert scope is not None  # noqa: S101 - no labels were asked for
    return scope
