"""Telling of images that are the same, or look so also to a network."""

from collections.abc import Mapping, Sequence

from sightsmith.database import Database
from sightsmith_labeling.embeddings.sketches import Vectors, similarities
from sightsmith_labeling.embeddings.store import vectors_of
from sightsmith_labeling.jobs.finding import Finding, Severity
from sightsmith_labeling.validation.duplicates import SamePair

_PAIRS_AT_ONCE = 500
# (across train and test, the same bytes): what it is called.
_CODES = {
    (False, True): "WARNING_DUPLICATE_IMAGE",
    (False, False): "WARNING_NEAR_DUPLICATE_IMAGE",
    (True, True): "WARNING_DUPLICATE_ACROSS_SPLITS",
    (True, False): "WARNING_NEAR_DUPLICATE_ACROSS_SPLITS",
}


class SameImages:
    """Holds pairs that look the same against their embeddings, where there are any."""

    def __init__(self, database: Database, backbone: str, min_similarity: float) -> None:
        self._database = database
        self._backbone = backbone
        self._min_similarity = min_similarity

    async def findings(self, pairs: Sequence[SamePair]) -> Sequence[Finding]:
        """Tells of the pairs, without those whose embeddings are not alike."""
        found: list[Finding] = []
        for begin in range(0, len(pairs), _PAIRS_AT_ONCE):
            some = pairs[begin : begin + _PAIRS_AT_ONCE]
            vectors = await self._vectors(some)
            for pair in some:
                similarity = _similarity(pair, vectors)
                if similarity is None or similarity >= self._min_similarity:
                    found.append(_finding(pair, similarity))
        return found

    async def _vectors(self, pairs: Sequence[SamePair]) -> Mapping[str, Vectors]:
        wanted = {look.sha256 for pair in pairs if pair.bits is not None for look in (pair.image, pair.other)}
        async with self._database.transaction() as session:
            return await vectors_of(session, wanted, self._backbone)


def _similarity(pair: SamePair, vectors: Mapping[str, Vectors]) -> float | None:
    """How similar the images' embeddings are; None if it needs none, or one is not there."""
    if pair.bits is None or pair.image.sha256 not in vectors or pair.other.sha256 not in vectors:
        return None
    return float(similarities(vectors[pair.image.sha256], vectors[pair.other.sha256][None])[0])


def _finding(pair: SamePair, similarity: float | None) -> Finding:
    details: dict[str, object] = {"other_image": pair.other.image}
    if pair.bits is not None:
        details["bits"] = pair.bits
    if similarity is not None:
        details["similarity"] = round(similarity, 4)
    what = "is the same image as" if pair.bits is None else "looks like"
    where = ", which a model learns from: it would be judged by what it knows" if pair.is_leak else ""
    message = f"the image {what} {pair.other.image}{where}"
    code = _CODES[pair.is_leak, pair.bits is None]
    return Finding(Severity.WARNING, code, message, resource=pair.image.image, details=details)
