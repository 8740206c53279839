"""The images of an export as they stand at one moment, read in batches."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from sightsmith.names import ProjectName
from sightsmith.objects import image_key
from sightsmith_labeling.annotations import read_all
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.exports.file_names import FileNames
from sightsmith_labeling.exports.request import ExportRequest
from sightsmith_labeling.formats.records import ExportedImage
from sightsmith_labeling.labels import label_names
from sightsmith_labeling.reading import image_batches
from sightsmith_labeling.tables import DatasetRow, ImageRow


@dataclass(frozen=True)
class ChosenImage:
    """An image of an export.

    Attributes:
        sha256: of its bytes; None if they are not there.
    """

    image: ExportedImage
    sha256: str | None


class ChosenImages:
    """The images that an export asks for, in the order of datasets and arrival."""

    def __init__(self, session: AsyncSession, project: ProjectName, request: ExportRequest, store: str) -> None:
        self._session = session
        self._project = project
        self._request = request
        self._store = store
        self._names: Mapping[int, str] = {}
        self._file_names = FileNames()

    async def labels(self) -> Sequence[str]:
        """Every label of the project, ordered."""
        self._names = await label_names(self._session, self._project.project)
        return sorted(self._names.values())

    async def batches(self) -> AsyncIterator[Sequence[ChosenImage]]:
        """Reads them; `labels` must have been read before."""
        order = (DatasetRow.split.desc(), ImageRow.sequence)
        async for batch in image_batches(self._session, self._wanted(), order):
            yield [self._chosen(*row) for row in batch]

    def _wanted(self) -> Select[*tuple[Any, ...]]:
        request = self._request
        wanted = (
            select(
                DatasetRow.split,
                ImageRow.sha256,
                ImageRow.source,
                ImageRow.width,
                ImageRow.height,
                ImageRow.media_type,
                ImageRow.annotations,
            )
            .join(ImageRow, ImageRow.dataset == DatasetRow.key)
            .where(DatasetRow.project == self._project.project)
        )
        if request.dataset is not None:
            wanted = wanted.where(DatasetRow.id == request.dataset)
        if request.labelled_only:
            wanted = wanted.where(ImageRow.is_labelled)
        if request.labels:
            keys = [key for key, name in self._names.items() if name in request.labels]
            wanted = wanted.where(ImageRow.labels.overlap(keys))
        return wanted

    def _chosen(
        self,
        split: str,
        sha256: str | None,
        source: str,
        width: int | None,
        height: int | None,
        media_type: str | None,
        annotations: list[dict[str, Any]],
    ) -> ChosenImage:
        file_name = self._file_names.give(source, media_type)
        image = ExportedImage(
            file_name=file_name,
            source=source,
            url=self._url_of(file_name, source, sha256),
            width=width,
            height=height,
            split=Split(split),
            annotations=read_all(annotations, self._names),
            is_packed=self._request.with_images and sha256 is not None,
        )
        return ChosenImage(image, sha256)

    def _url_of(self, file_name: str, source: str, sha256: str | None) -> str:
        if sha256 is None:
            return source
        # What is packed is found again by its path in the archive, wherever that is imported.
        return f"{self._store}/{file_name if self._request.with_images else image_key(sha256)}"
