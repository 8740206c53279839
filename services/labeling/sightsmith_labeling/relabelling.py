"""Taking a label off every image that carries it, or making it another one, in bounded transactions."""

from collections.abc import Mapping, Sequence

from sqlalchemy import ARRAY, BigInteger, any_, bindparam, cast, literal, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.database import utc_now
from sightsmith_labeling.tables import DatasetRow, ImageLabelRow, ImageRow

# Few enough that nobody waits long for an image, many enough that a label of 100,000 images takes few transactions.
_IMAGES_AT_ONCE = 2000

# Of annotations that then say the same, the one that was made first stays.
_MERGE = text(
    """
    UPDATE labeling.images SET revision = revision + 1, update_time = :now, annotations = (
        SELECT jsonb_agg(annotation ORDER BY place)
        FROM (
            SELECT DISTINCT ON (content) annotation, place
            FROM (
                SELECT annotation, place,
                    CASE WHEN annotation -> 'label' = to_jsonb(:target)
                    THEN coalesce(annotation -> 'box', 'null') ELSE to_jsonb(place) END AS content
                FROM (
                    SELECT place, CASE WHEN old -> 'label' = to_jsonb(:source)
                        THEN jsonb_set(old, '{label}', to_jsonb(:target)) ELSE old END AS annotation
                    FROM jsonb_array_elements(images.annotations) WITH ORDINALITY AS there(old, place)
                ) AS relabelled
            ) AS compared
            ORDER BY content, place
        ) AS kept
    )
    WHERE sequence = ANY(:images)
    """
).bindparams(
    bindparam("source", type_=BigInteger),
    bindparam("target", type_=BigInteger),
    bindparam("images", type_=ARRAY(BigInteger)),
)
_STRIP = text(
    """
    UPDATE labeling.images SET revision = revision + 1, update_time = :now, annotations = coalesce((
        SELECT jsonb_agg(annotation ORDER BY place)
        FROM jsonb_array_elements(images.annotations) WITH ORDINALITY AS there(annotation, place)
        WHERE annotation -> 'label' <> to_jsonb(:source)
    ), '[]')
    WHERE sequence = ANY(:images)
    """
).bindparams(bindparam("source", type_=BigInteger), bindparam("images", type_=ARRAY(BigInteger)))


class Relabelling:
    """The images that carry one label, of which each transaction takes some."""

    def __init__(self, project: str, label: int) -> None:
        self._label = label
        datasets = select(DatasetRow.key).where(DatasetRow.project == project)
        self._carrying = select(ImageLabelRow.sequence).where(
            ImageLabelRow.dataset.in_(datasets), ImageLabelRow.label == label
        )

    async def merge_some(self, session: AsyncSession, target: int) -> Sequence[str]:
        """Makes it another label on some images, and returns their ids.

        Args:
            session: the transaction.
            target: key of the other label, which must not be deleted before the transaction ends.
        """
        images = await self._lock_some(session)
        keys = {"source": self._label, "target": target, "images": list(images)}
        await session.execute(_MERGE, {**keys, "now": utc_now()})
        return list(images.values())

    async def strip_some(self, session: AsyncSession) -> Sequence[str]:
        """Takes it off some images, and returns their ids."""
        images = await self._lock_some(session)
        await session.execute(_STRIP, {"source": self._label, "images": list(images), "now": utc_now()})
        return list(images.values())

    async def is_used(self, session: AsyncSession) -> bool:
        """Whether any image carries it."""
        return await session.scalar(self._carrying.limit(1)) is not None

    async def _lock_some(self, session: AsyncSession) -> Mapping[int, str]:
        """Locks some images; returns their ids by their places in the order of arrival."""
        some = (await session.scalars(self._carrying.limit(_IMAGES_AT_ONCE))).all()
        wanted = cast(literal(some, ARRAY(BigInteger)), ARRAY(BigInteger))
        # In the order of arrival, so that two transactions never wait for each other.
        some_rows = select(ImageRow.sequence, ImageRow.id).where(ImageRow.sequence == any_(wanted))
        locked = some_rows.order_by(ImageRow.sequence).with_for_update()
        return dict((await session.execute(locked)).tuples().all())
