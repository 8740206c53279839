"""Another dataset as what is imported."""

from collections.abc import Mapping, Sequence

from sqlalchemy import func, select

from sightsmith.database import Database
from sightsmith_labeling.annotations import NewAnnotation, read_all
from sightsmith_labeling.datasets import DatasetKey, Datasets, Split
from sightsmith_labeling.formats.records import ImportedImage, Place
from sightsmith_labeling.imports.incoming import StoredBytes
from sightsmith_labeling.imports.reading import LoadedImage, Record
from sightsmith_labeling.labels import label_names
from sightsmith_labeling.tables import ImageRow

_ROWS_AT_ONCE = 1000
# Some images have thousands: this many are what memory is used for at once.
_ANNOTATIONS_AT_ONCE = 50_000


class DatasetSource:
    """The images of a dataset in the order of their arrival, with their annotations as they are.

    Attributes:
        total: images in the dataset when the copy began.
        split: what the images are for.
        position: of the image that was returned last.
    """

    format = ""
    has_images = False
    is_by_name = False
    to_recall = 0

    def __init__(self, database: Database, dataset: DatasetKey, position: int) -> None:
        self._database = database
        self._dataset = dataset
        self.position = position
        self.total = 0
        self.split = Split.TRAIN

    async def open(self) -> "DatasetSource":
        """Counts the images.

        Raises:
            NotFoundError: if the dataset is not there any more.
        """
        dataset = await Datasets(self._database).get(self._dataset.name)
        self.total, self.split = dataset.statistics.image_count, dataset.split
        return self

    async def next(self) -> list[Record]:
        """The next images; empty at the end."""
        rest = (ImageRow.dataset == self._dataset.key, ImageRow.sequence > self.position)
        weighed = select(ImageRow.sequence, func.jsonb_array_length(ImageRow.annotations)).where(*rest)
        async with self._database.transaction() as session:
            weights = await session.execute(weighed.order_by(ImageRow.sequence).limit(_ROWS_AT_ONCE))
            upto = ImageRow.sequence <= _last_at_once(weights.tuples().all())
            rows = (await session.scalars(select(ImageRow).where(*rest, upto).order_by(ImageRow.sequence))).all()
            names = await label_names(session, self._dataset.name.project)
        if rows:
            self.position = rows[-1].sequence
        return [self._record(row, names) for row in rows]

    async def aclose(self) -> None:
        """Nothing is open between two batches."""

    def _record(self, row: ImageRow, names: Mapping[int, str]) -> Record:
        annotations = tuple(
            NewAnnotation(made.label, made.box, made.origin, made.author, made.confidence)
            for made in read_all(row.annotations, names)
        )
        place = Place(f"{self._dataset.name}/images/{row.id}")
        image = ImportedImage(place, row.source, row.width, row.height, annotations, self.split)
        return LoadedImage(image, None, _bytes_of(row))


def _last_at_once(weights: Sequence[tuple[int, int]]) -> int:
    """The last image of a batch, given images and how many annotations each has; a batch has one at least."""
    last, annotations = 0, 0
    for sequence, count in weights:
        annotations += count
        if last and annotations > _ANNOTATIONS_AT_ONCE:
            break
        last = sequence
    return last


def _bytes_of(row: ImageRow) -> StoredBytes | None:
    if not (row.sha256 and row.width and row.height and row.size_bytes and row.media_type):
        return None
    return StoredBytes(row.sha256, row.width, row.height, row.size_bytes, row.media_type, row.signals)
