"""An image while its import is read."""

from dataclasses import dataclass, field
from typing import Any

from sightsmith_labeling.annotations import NewAnnotation, Origin
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.fields import FieldError, box_of, in_pixels, label_of
from sightsmith_labeling.formats.records import ImportedImage, Place, ReadLimits
from sightsmith_labeling.images import Problem

# A longer list of what is wrong with one image helps nobody.
_MAX_PROBLEMS = 100


@dataclass
class ImageDraft:
    """An image while an import tells of it, thing by thing: keeps what is sound, and what is wrong with the rest.

    Attributes:
        size: upright width and height in pixels; None while they are not known.
        relative: whether boxes come as shares of the image.
    """

    place: Place
    source: str
    limits: ReadLimits
    size: tuple[int, int] | None = None
    split: Split | None = None
    file: str | None = None
    relative: bool = False
    origin: Origin = Origin.IMPORT
    _annotations: list[NewAnnotation] = field(default_factory=list)
    _labels: set[str] = field(default_factory=set)
    _box_count: int = 0
    _problems: list[Problem] = field(default_factory=list)
    _further_problems: int = 0
    _notes: list[Problem] = field(default_factory=list)

    def add_label(self, label: object, path: str = "", **said: Any) -> None:
        """Adds a label of the whole image, unless it is there.

        Args:
            label: its name, unchecked.
            path: where it stands in the import.
            said: what the import says of its origin, author and confidence.
        """
        try:
            name = label_of(label, self.limits)
        except FieldError as error:
            self.refuse(error, path)
            return
        if name in self._labels:
            return
        if len(self._labels) >= self.limits.labels_per_image:
            message = f"the image has more than {self.limits.labels_per_image} labels; this one is left out"
            self.add_problem("ERROR_TOO_MANY_LABELS", message, path)
            return
        self._labels.add(name)
        self._annotations.append(NewAnnotation(name, **{"origin": self.origin, **said}))

    def add_box(
        self, label: object, left: float, top: float, width: float, height: float, path: str = "", **said: Any
    ) -> None:
        """Adds a box.

        Args:
            label: its name, unchecked.
            left: from the image's left edge, in pixels, or as a share of the width if the boxes are relative.
            top: likewise from the top edge.
            width: likewise.
            height: likewise.
            path: where it stands in the import.
            said: what the import says of its origin, author and confidence.
        """
        try:
            name = label_of(label, self.limits)
            box = box_of(left, top, width, height, (1, 1) if self.relative else self.size)
            if self.relative and self.size is not None:
                box = in_pixels(box, *self.size)
        except FieldError as error:
            self.refuse(error, path)
            return
        if self._box_count >= self.limits.boxes_per_image:
            message = f"the image has more than {self.limits.boxes_per_image} boxes; this one is left out"
            self.add_problem("ERROR_TOO_MANY_BOUNDING_BOXES", message, path)
            return
        self._box_count += 1
        self._annotations.append(NewAnnotation(name, box, **{"origin": self.origin, **said}))

    def refuse(self, error: FieldError, path: str = "") -> None:
        """Notes a value that cannot be taken."""
        self.add_problem(error.code, str(error), path)

    def add_problem(self, code: str, message: str, path: str = "") -> None:
        """Notes what is wrong; after a hundred problems they are only counted."""
        if len(self._problems) < _MAX_PROBLEMS:
            self._problems.append(Problem(code, message, path))
        else:
            self._further_problems += 1

    def add_note(self, code: str, message: str, path: str = "") -> None:
        """Notes what was left out or made simpler though nothing is wrong; the same note of one place only once."""
        note = Problem(code, message, path)
        if len(self._notes) < _MAX_PROBLEMS and note not in self._notes:
            self._notes.append(note)

    def finished(self) -> ImportedImage:
        """The image with all that was found."""
        problems = list(self._problems)
        if self._further_problems:
            problems.append(Problem("ERROR_TOO_MANY_PROBLEMS", f"and {self._further_problems} further problems"))
        width, height = self.size or (None, None)
        return ImportedImage(
            place=self.place,
            source=self.source,
            width=width,
            height=height,
            annotations=tuple(self._annotations),
            split=self.split,
            problems=tuple(problems),
            file=self.file,
            relative=self.relative and self.size is None,
            notes=tuple(self._notes),
        )
