"""An image while its annotations are edited: what may be done to it, and whether the outcome may stay."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sightsmith.actor import current_actor
from sightsmith.database import utc_now
from sightsmith.errors import AlreadyExistsError, FieldViolation, NotFoundError
from sightsmith_labeling.annotation_rules import annotation_violations
from sightsmith_labeling.annotations import Annotation, NewAnnotation, Origin, numbered
from sightsmith_labeling.images import Image, Problem
from sightsmith_labeling.quotas import Quotas


class EditedImage:
    """An image that is locked to be edited. Its annotations are changed by the methods only.

    Attributes:
        name: of the image.
        sha256: of the bytes; None while they are not there.
        width: upright width in pixels; None while it is not known.
        height: upright height in pixels; None while it is not known.
        revision: as it was before the edit.
        last_annotation: the highest annotation id that was ever given.
    """

    def __init__(self, image: Image, last_annotation: int, quotas: Quotas) -> None:
        self.name = image.name
        self.sha256 = image.sha256
        self.width = image.width
        self.height = image.height
        self.revision = image.revision
        self.last_annotation = last_annotation
        self._before = image
        self._problems = image.problems
        self._annotations = {annotation.id: annotation for annotation in image.annotations}
        self._ids = {annotation.content: annotation.id for annotation in image.annotations}
        self._quotas = quotas
        self._time = utc_now()
        self._given = 0
        self._violations: list[FieldViolation] = []

    @property
    def annotations(self) -> list[Annotation]:
        """The annotations as they are now, in the order of their making."""
        return list(self._annotations.values())

    def find(self, annotation_id: int) -> Annotation:
        """The annotation of an id.

        Raises:
            NotFoundError: if the image has none.
        """
        if annotation_id not in self._annotations:
            raise NotFoundError(self._name_of(annotation_id))
        return self._annotations[annotation_id]

    def add(self, new: NewAnnotation) -> Annotation:
        """Adds an annotation. If the image has one that says the same, that one stays and is returned."""
        self._check(new)
        if (same := self._ids.get(new.content)) is not None:
            return self._annotations[same]
        self.last_annotation += 1
        return self._put(self.last_annotation, new)

    def change(self, annotation_id: int, new: NewAnnotation) -> Annotation:
        """Lets an annotation say something else; its id stays.

        Raises:
            NotFoundError: if the image has no such annotation.
            AlreadyExistsError: if another annotation of the image says that already.
        """
        old = self.find(annotation_id)
        self._check(new)
        if (same := self._ids.get(new.content, annotation_id)) != annotation_id:
            name = self._name_of(same)
            raise AlreadyExistsError(f"{name} says the same already", metadata={"name": name})
        self._ids.pop(old.content, None)
        return self._put(annotation_id, new)

    def remove(self, annotation_id: int) -> None:
        """Removes an annotation.

        Raises:
            NotFoundError: if the image has no such annotation.
        """
        # With a default: what a file brought may say the same thing twice.
        self._ids.pop(self.find(annotation_id).content, None)
        del self._annotations[annotation_id]

    def replace_all(self, new: Sequence[NewAnnotation]) -> None:
        """Makes the annotations say exactly this. One whose content stays keeps its id, origin and time."""
        wanted = {annotation.content for annotation in new}
        for there in self.annotations:
            if there.content not in wanted:
                self.remove(there.id)
        for annotation in new:
            self.add(annotation)

    def settle_problems(self) -> None:
        """Takes off what an import found to be wrong with single annotations: somebody has gone over them since."""
        self._problems = tuple(problem for problem in self._problems if not problem.path)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is still wrong with the image."""
        return self._problems

    @property
    def is_changed(self) -> bool:
        """Whether the annotations or problems are other than they were."""
        return tuple(self.annotations) != self._before.annotations or self._problems != self._before.problems

    @property
    def image(self) -> Image:
        """The image as it is after the edit."""
        if not self.is_changed:
            return self._before
        return replace(
            self._before,
            annotations=tuple(self.annotations),
            problems=self._problems,
            revision=self.revision + 1,
            update_time=self._time,
        )

    @property
    def violations(self) -> Iterator[FieldViolation]:
        """Everything that is wrong with what was added or changed, and whether it has become too much."""
        yield from self._violations
        boxes = sum(annotation.box is not None for annotation in self._annotations.values())
        for what, count, limit in (
            ("boxes", boxes, self._quotas.boxes_per_image),
            ("labels", len(self._annotations) - boxes, self._quotas.labels_per_image),
        ):
            if limit is not None and count > limit:
                yield FieldViolation("annotations", f"an image may have at most {limit} {what}, not {count}")

    @property
    def difference(self) -> Mapping[str, Any]:
        """What the edit took away and what it brought, as JSON values for the audit trail."""
        before, after = set(self._before.annotations), set(self._annotations.values())
        difference: dict[str, Any] = {
            "removed": [_as_json(annotation) for annotation in self._before.annotations if annotation not in after],
            "added": [_as_json(annotation) for annotation in self.annotations if annotation not in before],
        }
        if settled := [vars(problem) for problem in self._before.problems if problem not in self._problems]:
            difference["settled_problems"] = settled
        return difference

    def _check(self, new: NewAnnotation) -> None:
        path = f"annotations[{self._given}]"
        self._given += 1
        for violation in annotation_violations(new, self.width, self.height, self._quotas.label_length):
            self._violations.append(FieldViolation(f"{path}.{violation.field}", violation.description))

    def _put(self, annotation_id: int, new: NewAnnotation) -> Annotation:
        (annotation,) = numbered([_with_author(new)], annotation_id - 1, self._time)
        self._annotations[annotation_id] = annotation
        self._ids[annotation.content] = annotation_id
        return annotation

    def _name_of(self, annotation_id: int) -> str:
        return f"{self.name}/annotations/{annotation_id}"


def _with_author(new: NewAnnotation) -> NewAnnotation:
    """A person who does not say who it is is the caller."""
    return new if new.author or new.origin != Origin.PERSON else replace(new, author=current_actor())


def _as_json(annotation: Annotation) -> dict[str, Any]:
    value: dict[str, Any] = {"id": annotation.id, "label": annotation.label, "origin": annotation.origin.value}
    if annotation.author:
        value["author"] = annotation.author
    if annotation.box is not None:
        value["box"] = vars(annotation.box)
    return value
