"""What can be done with the annotations of images."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sightsmith.database import Database
from sightsmith.errors import AbortedError, NotFoundError
from sightsmith.names import AnnotationName, ImageName, ProjectName
from sightsmith.paging import PageRequest, page_of
from sightsmith_labeling.annotations import Annotation, NewAnnotation
from sightsmith_labeling.edits import EditedImage, edit_images
from sightsmith_labeling.images import Image, Images
from sightsmith_labeling.quotas import Quotas


@dataclass(frozen=True)
class AnnotationEdit:
    """One of several edits that are made together.

    Attributes:
        image: that is edited.
        etag: that the image must still have; empty if any will do.
        apply: makes the edit, and returns the annotation that it is about.
    """

    image: ImageName
    etag: str
    apply: Callable[[EditedImage], Annotation]


@dataclass(frozen=True)
class PlacedAnnotation:
    """An annotation with its image as it is now."""

    image: Image
    annotation: Annotation


def creation(image: ImageName, new: NewAnnotation, etag: str) -> AnnotationEdit:
    """Puts an annotation on an image."""
    return AnnotationEdit(image, etag, lambda edited: edited.add(new))


def update(name: AnnotationName, fields: Mapping[str, Any], etag: str) -> AnnotationEdit:
    """Changes what an annotation says. Who makes it and how sure that one is counts anew.

    Args:
        name: of the annotation.
        fields: of `NewAnnotation`, with their new values.
        etag: that the image must still have; empty if any will do.
    """
    image, number = _place_of(name)

    def apply(edited: EditedImage) -> Annotation:
        old = edited.find(number)
        return edited.change(number, replace(NewAnnotation(old.label, old.box), **fields))

    return AnnotationEdit(image, etag, apply)


def deletion(name: AnnotationName, etag: str) -> AnnotationEdit:
    """Takes an annotation off its image."""
    image, number = _place_of(name)

    def apply(edited: EditedImage) -> Annotation:
        annotation = edited.find(number)
        edited.remove(number)
        return annotation

    return AnnotationEdit(image, etag, apply)


class Annotations:
    """The annotations in the database."""

    def __init__(self, database: Database, images: Images, quotas: Quotas) -> None:
        self._database = database
        self._images = images
        self._quotas = quotas

    async def get(self, name: AnnotationName) -> PlacedAnnotation:
        """Returns an annotation.

        Raises:
            NotFoundError: if it, or its image, does not exist.
        """
        image_name, number = _place_of(name)
        image = await self._images.get(image_name)
        for annotation in image.annotations:
            if annotation.id == number:
                return PlacedAnnotation(image, annotation)
        raise NotFoundError(str(name))

    async def list(self, image_name: ImageName, page: PageRequest) -> tuple[Sequence[PlacedAnnotation], str]:
        """Returns a page of an image's annotations in the order of their ids, and the token of the next page.

        Raises:
            NotFoundError: if the image does not exist.
        """
        after = page.after_number if page.after is not None else 0
        image = await self._images.get(image_name)
        rest = sorted((one for one in image.annotations if one.id > after), key=lambda one: one.id)
        annotations, token = page_of(rest[: page.size + 1], page, key=lambda one: one.id)
        return [PlacedAnnotation(image, annotation) for annotation in annotations], token

    async def apply(
        self, project: ProjectName, edits: Sequence[AnnotationEdit], action: str
    ) -> Sequence[PlacedAnnotation]:
        """Makes edits of images of one project: all of them or, if anything is wrong, none.

        What an import found to be wrong with single annotations of the images is settled by that.

        Args:
            project: of all the images.
            edits: are made in their order.
            action: what is done, for the audit trail, as in `annotations.create`.

        Returns:
            What each edit is about, in their order.

        Raises:
            NotFoundError: if an image or an annotation does not exist.
            AlreadyExistsError: if an update would make two annotations of an image say the same.
            AbortedError: with the reason ETAG_MISMATCH, if an image was changed since its etag was read.
            InvalidArgumentError: with everything that is wrong with the new annotations.
        """
        by_image: dict[ImageName, list[int]] = defaultdict(list)
        for place, edit in enumerate(edits):
            by_image[edit.image].append(place)
        outcome: dict[int, Annotation] = {}

        def change(edited: EditedImage) -> None:
            for place in by_image[edited.name]:
                outcome[place] = edits[place].apply(edited)

        images = await self._edit(project, list(by_image), change, action, _etags_of(edits))
        found = {image.name: image for image in images}
        return [PlacedAnnotation(found[edit.image], outcome[place]) for place, edit in enumerate(edits)]

    async def replace(self, name: ImageName, new: Sequence[NewAnnotation], etag: str) -> Image:
        """Makes the annotations of an image exactly these. One that says what it said keeps its id, origin and time.

        What an import found to be wrong with single annotations of it is settled by that.

        Raises:
            NotFoundError: if the image does not exist.
            AbortedError: with the reason ETAG_MISMATCH, if the image was changed since the etag was read.
            InvalidArgumentError: with everything that is wrong with the new annotations.
        """

        (image,) = await self._edit(
            ProjectName(name.project),
            [name],
            lambda edited: edited.replace_all(new),
            "annotations.replace",
            {name: etag},
        )
        return image

    async def _edit(
        self,
        project: ProjectName,
        names: Sequence[ImageName],
        change: Callable[[EditedImage], None],
        action: str,
        etags: Mapping[ImageName, str],
    ) -> Sequence[Image]:
        def change_and_settle(edited: EditedImage) -> None:
            change(edited)
            edited.settle_problems()

        async with self._database.transaction() as session:
            return await edit_images(
                session, project, names, change_and_settle, action=action, etags=etags, quotas=self._quotas
            )


def _etags_of(edits: Sequence[AnnotationEdit]) -> Mapping[ImageName, str]:
    etags: dict[ImageName, str] = {}
    for edit in edits:
        if edit.etag and etags.setdefault(edit.image, edit.etag) != edit.etag:
            # One of the two is stale, whatever the image is now.
            raise AbortedError(f"two etags are given for {edit.image}", metadata={"name": str(edit.image)})
    return etags


def _place_of(name: AnnotationName) -> tuple[ImageName, int]:
    number = name.annotation
    # As they are written, and no longer than PostgreSQL's numbers: nothing else is the name of an annotation.
    if not number.isascii() or not number.isdigit() or number.startswith("0") or len(number) > 18:
        raise NotFoundError(str(name))
    return ImageName(name.project, name.dataset, name.image), int(number)
