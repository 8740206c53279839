"""Which images a list is about, and in which order it gives them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Row,
    Select,
    cast,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import JSONB

from sightsmith.paging import PageRequest
from sightsmith_labeling.annotations import Origin
from sightsmith_labeling.arrays import is_one_of_texts
from sightsmith_labeling.page_keys import position_key, text_position_after, time_position_after
from sightsmith_labeling.tables import AUTHORS, ORIGINS, ImageLabelRow, ImageRow

# Columns and not objects, without those that nobody sees: a page of a hundred is read in two thirds of the time.
_SHOWN = (
    ImageRow.sequence,
    ImageRow.id,
    ImageRow.state,
    ImageRow.sha256,
    ImageRow.source,
    ImageRow.source_head,
    ImageRow.annotations,
    ImageRow.problems,
    ImageRow.width,
    ImageRow.height,
    ImageRow.size_bytes,
    ImageRow.media_type,
    ImageRow.revision,
    ImageRow.create_time,
    ImageRow.update_time,
)


class ImageOrder(Enum):
    """The order of a list of images; those that are equal in it come as they arrived, or the other way round."""

    CREATE_TIME = "create_time"
    CREATE_TIME_DESCENDING = "create_time desc"
    SOURCE = "source"
    SOURCE_DESCENDING = "source desc"

    @property
    def is_by_source(self) -> bool:
        """Whether sources are compared, and not times."""
        return self in (ImageOrder.SOURCE, ImageOrder.SOURCE_DESCENDING)

    @property
    def is_descending(self) -> bool:
        """Whether the last come first."""
        return self in (ImageOrder.CREATE_TIME_DESCENDING, ImageOrder.SOURCE_DESCENDING)

    def key_of(self, row: Row[*tuple[Any, ...]]) -> str:
        """The key of a page that ends with this row."""
        return position_key(row.source_head if self.is_by_source else row.create_time, row.sequence)

    def ordered(self, *columns: Any) -> Sequence[Any]:
        """What to order columns by."""
        return [column.desc() if self.is_descending else column.asc() for column in columns]

    def after(self, page: PageRequest, *columns: Any) -> Sequence[ColumnElement[bool]]:
        """What holds for every row that comes after the page before.

        Raises:
            InvalidArgumentError: if the page's token is of another list or order.
        """
        position = text_position_after(page) if self.is_by_source else time_position_after(page)
        if position is None:
            return []
        last = tuple_(*(literal(value) for value in position))
        return [tuple_(*columns) < last if self.is_descending else tuple_(*columns) > last]


@dataclass(frozen=True)
class ImageFilter:
    """Which images are meant: those for which everything holds that is set here.

    Attributes:
        labels: carries one of these or more.
        labelled: has annotations, or has none.
        has_problems: has problems, or has none.
        states: is in one of these states.
        source_contains: has this in the first 500 characters of its source.
        origins: carries an annotation of one of these.
        authors: carries an annotation of one of these.
        created_after: joined the dataset later.
        sha256s: has bytes with one of these digests.
    """

    labels: Sequence[str] = ()
    labelled: bool | None = None
    has_problems: bool | None = None
    states: Sequence[str] = ()
    source_contains: str = ""
    origins: Sequence[Origin] = ()
    authors: Sequence[str] = ()
    created_after: datetime | None = None
    sha256s: Sequence[str] = ()

    def conditions(self) -> Sequence[ColumnElement[bool]]:
        """Everything but the labels, as conditions on a row."""
        found: list[ColumnElement[bool]] = []
        if self.labelled is not None:
            found.append(_is(ImageRow.is_labelled, self.labelled))
        if self.has_problems is not None:
            found.append(_is(ImageRow.has_errors, self.has_problems))
        if self.states:
            found.append(_state_is_one_of(self.states))
        if self.source_contains:
            # Not LIKE: the planner takes that to be rare, and then reads everything where a page of it would do.
            found.append(func.strpos(ImageRow.source_head, self.source_contains) > 0)
        if self.origins:
            found.append(_holds_one_of(ORIGINS, [origin.value for origin in self.origins]))
        if self.authors:
            found.append(_holds_one_of(AUTHORS, self.authors))
        if self.created_after is not None:
            found.append(ImageRow.create_time > self.created_after)
        if self.sha256s:
            found.append(is_one_of_texts(ImageRow.sha256, self.sha256s))
        return found


def page_of_images(
    dataset: int, page: PageRequest, wanted: ImageFilter, labels: Sequence[int] | None, order: ImageOrder
) -> Select[*tuple[Any, ...]]:
    """The rows of a page of a dataset's images, as far as a list shows them, and one more if there is a next page.

    First the places of the rows are found, which an index alone can do, and then only those rows are read.

    Args:
        dataset: its key.
        page: which page.
        wanted: which images.
        labels: keys of the filter's labels; None if it has none.
        order: of the list.

    Raises:
        InvalidArgumentError: if the page's token is of another list or order.
    """
    value = ImageRow.source_head if order.is_by_source else ImageRow.create_time
    if labels is not None and not order.is_by_source:
        places = _places_of_labels(dataset, page, wanted, labels, order)
    else:
        places = select(ImageRow.sequence).where(ImageRow.dataset == dataset, *wanted.conditions())
        places = places.where(*order.after(page, value, ImageRow.sequence))
        if labels is not None:
            carrying = select(ImageLabelRow.sequence).where(
                ImageLabelRow.dataset == dataset, ImageLabelRow.label.in_(labels)
            )
            places = places.where(ImageRow.sequence.in_(carrying))
        places = places.order_by(*order.ordered(value, ImageRow.sequence)).limit(page.size + 1)
    return select(*_SHOWN).where(ImageRow.sequence.in_(places)).order_by(*order.ordered(value, ImageRow.sequence))


def _places_of_labels(
    dataset: int, page: PageRequest, wanted: ImageFilter, labels: Sequence[int], order: ImageOrder
) -> Select[int]:
    """Merges the first images of each label: no label's images have to be read to the end."""
    label = (
        func.unnest(cast(literal(labels, ARRAY(BigInteger)), ARRAY(BigInteger))).table_valued("label").render_derived()
    )
    columns = (ImageLabelRow.create_time, ImageLabelRow.sequence)
    of_label = (
        select(*columns)
        .join(ImageRow, ImageRow.sequence == ImageLabelRow.sequence)
        .where(ImageLabelRow.dataset == dataset, ImageLabelRow.label == label.c.label, *wanted.conditions())
        .where(*order.after(page, *columns))
        .order_by(*order.ordered(*columns))
        .limit(page.size + 1)
        .lateral()
    )
    merged = select(of_label).select_from(label).join(of_label, true()).distinct().subquery()
    return (
        select(merged.c.sequence).order_by(*order.ordered(merged.c.create_time, merged.c.sequence)).limit(page.size + 1)
    )


def _is(flag: Any, wanted: bool) -> ColumnElement[bool]:
    # `x` and `NOT x`, because `x = true` hides from the planner that a partial index will do.
    condition: ColumnElement[bool] = flag if wanted else ~flag
    return condition


def _state_is_one_of(states: Sequence[str]) -> ColumnElement[bool]:
    # The partial index says `state <> 'ready'`, which the planner does not see in a list of other states.
    condition = ImageRow.state.in_(states)
    return condition if "ready" in states else condition & (ImageRow.state != literal_column("'ready'"))


def _holds_one_of(values: str, wanted: Sequence[str]) -> ColumnElement[bool]:
    """Whether a JSON array, given as the expression that is indexed, has one of these texts in it."""
    array = literal_column(values, JSONB)
    return or_(*(array.contains(literal(text, JSONB)) for text in wanted))
