"""What an import reads: an uploaded file, a place outside, or another dataset."""

import asyncio
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Protocol

import obstore
from obstore.exceptions import BaseError

from sightsmith.database import Database
from sightsmith.errors import FailedPreconditionError
from sightsmith.names import DatasetName, UploadedFileName
from sightsmith.objects import Objects
from sightsmith.places import AllowedPlaces, Place, store_of
from sightsmith_labeling.datasets import Datasets
from sightsmith_labeling.formats.file_trees import FolderTree, ReportingTree, open_tree
from sightsmith_labeling.formats.records import ReadLimits
from sightsmith_labeling.formats.tree_index import TreeLimits
from sightsmith_labeling.imports.dataset_source import DatasetSource
from sightsmith_labeling.imports.object_tree import ObjectTree, access_code, unreadable
from sightsmith_labeling.imports.own_images import OwnImages
from sightsmith_labeling.imports.reading import FilesSource, OpenTree, Record
from sightsmith_labeling.imports.request import ImportRequest
from sightsmith_labeling.imports.uploaded_files import UploadedFiles
from sightsmith_labeling.jobs.running import RunningJob
from sightsmith_labeling.settings import LabelingSettings

# A reader never holds more boxes of an image than this, also where the quotas set no limit.
_MOST_BOXES = 100_000
_MOST_LABELS = 10_000
_CHUNK_BYTES = 1024 * 1024


class ImportSource(Protocol):
    """What an import reads.

    Attributes:
        format: name of the format; empty where there is none, or until it was recognised.
        has_images: whether it comes with images of its own.
        is_by_name: whether two records of one source are about the same image.
        to_recall: how many of the first records were dealt with before the job was cut off.
        position: where to go on after the records that were returned.
        total: how many records there are; 0 while that is not known.
    """

    format: str
    has_images: bool
    is_by_name: bool
    to_recall: int
    position: int
    total: int

    async def next(self) -> list[Record]:
        """The next records; empty at the end."""

    async def aclose(self) -> None:
        """Closes what is open."""


class ImportSources:
    """Opens what imports read."""

    def __init__(
        self,
        settings: LabelingSettings,
        database: Database,
        objects: Objects,
        uploaded_files: UploadedFiles,
        places: AllowedPlaces,
    ) -> None:
        self._settings = settings
        self._database = database
        self._objects = objects
        self._uploaded_files = uploaded_files
        self._places = places
        self._own = OwnImages(database, settings.object_store_url)

    async def open(self, job: RunningJob, request: ImportRequest) -> ImportSource:
        """Opens what an import reads, where an earlier worker has left off.

        Raises:
            NotFoundError: if it is not there any more.
            InvalidArgumentError: if the operator does not allow the place any more.
        """
        position = int(job.checkpoint.get("position", 0))
        if request.source_dataset is not None:
            dataset = await Datasets(self._database).find(DatasetName.parse(request.source_dataset))
            return await DatasetSource(self._database, dataset, position).open()
        scratch = job.folder / "scratch"
        scratch.mkdir()
        return FilesSource(
            open_tree=await self._tree_of(job, request),
            format_name=request.format or "",
            limits=read_limits(self._settings),
            max_image_bytes=self._settings.max_image_bytes,
            own=self._own,
            scratch=scratch,
            position=position,
        )

    async def _tree_of(self, job: RunningJob, request: ImportRequest) -> OpenTree:
        limits = tree_limits(self._settings)
        path = job.folder / "source"
        if request.uploaded_file is not None:
            file = await self._uploaded_files.get(UploadedFileName.parse(request.uploaded_file))
            await job.advance("downloading", 0)
            await self._objects.get_file(file.key, path)
            name = file.file_name
        else:
            place = self._places.check("import_job.url", request.url or "")
            if place.is_folder:
                return partial(_open_folder, place, limits)
            await job.advance("downloading", 0)
            await asyncio.to_thread(download, place, path, limits.total_bytes)
            name = place.key.rpartition("/")[2]
        unpacking = job.folder / "unpacking"
        unpacking.mkdir()
        return partial(open_tree, path, limits, unpacking, name)


def read_limits(settings: LabelingSettings) -> ReadLimits:
    """What the settings accept of a file."""
    return ReadLimits(
        lines=settings.max_import_lines,
        line_characters=settings.max_import_line_characters,
        labels_per_image=settings.max_labels_per_image or _MOST_LABELS,
        boxes_per_image=settings.max_boxes_per_image or _MOST_BOXES,
        label_characters=settings.max_label_length,
        source_characters=settings.max_source_length,
    )


def tree_limits(settings: LabelingSettings) -> TreeLimits:
    """What the settings accept of an archive or folder."""
    return TreeLimits(
        files=settings.max_import_files,
        total_bytes=settings.max_import_unpacked_bytes,
        name_characters=settings.max_source_length,
    )


def _open_folder(place: Place, limits: TreeLimits) -> AbstractContextManager[ReportingTree]:
    if place.scheme != "file":
        return nullcontext(ObjectTree(store_of(place.scheme, place.bucket), place.key, limits, str(place)))
    try:
        # It follows no link: one inside an allowed folder may lead out of it.
        return nullcontext(FolderTree(Path(f"/{place.key}"), limits))
    except OSError as error:
        raise unreadable(str(place), error) from error


def download(place: Place, path: Path, max_bytes: int) -> None:
    """Fetches a file to disk.

    Raises:
        FailedPreconditionError: with the reason IMPORT_FAILED, if it cannot be read or is too large.
    """
    size = 0
    try:
        with path.open("wb") as file:
            for chunk in obstore.get(store_of(place.scheme, place.bucket), place.key).stream(_CHUNK_BYTES):
                size += len(chunk)
                if size > max_bytes:
                    raise _unreadable("ERROR_MANIFEST_SIZE_TOO_LARGE", place, f"has more than {max_bytes} bytes")
                file.write(chunk)
    except (BaseError, OSError) as error:
        raise _unreadable(access_code(error), place, f"cannot be read: {error}") from error


def _unreadable(code: str, place: Place, problem: str) -> FailedPreconditionError:
    metadata = {"code": code, "file": str(place)}
    return FailedPreconditionError(f"{place} {problem}", reason="IMPORT_FAILED", metadata=metadata)
