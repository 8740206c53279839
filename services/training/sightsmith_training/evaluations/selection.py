"""Which images of a snapshot a model is judged by, and which are left out."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from sightsmith_training.engine.box_flaws import box_flaws, too_many_flawed
from sightsmith_training.engine.contract import Violation
from sightsmith_training.engine.errors import TrainingError
from sightsmith_training.engine.specification import MAX_UNUSABLE_FRACTION, SpecEntry, Split, Task
from sightsmith_training.engine.tasks import image_labels


class WantedImages(BaseModel):
    """Which images of a snapshot are asked for.

    Attributes:
        split: which part of it; None for both.
        datasets: resource names of the datasets that they are in; none for all.
    """

    model_config = ConfigDict(frozen=True)

    split: Split | None = None
    datasets: tuple[str, ...] = ()

    def includes(self, entry: SpecEntry) -> bool:
        """Whether an image is asked for."""
        dataset = entry.image.rpartition("/images/")[0]
        return self.split in (None, entry.split) and (not self.datasets or dataset in self.datasets)


class JudgedSelection(BaseModel):
    """What became of the images that were asked for.

    Attributes:
        unknown_labels: labels that the model does not know, with how many judged images carry them.
        learned: how many the model learned from.
        ignored: how many are not labelled as the model answers.
        unusable: images that cannot be used, with the reason; all of them are counted and the first are told.
        unusable_count: how many these are.
    """

    model_config = ConfigDict(frozen=True)

    unknown_labels: dict[str, int] = {}
    learned: int = 0
    ignored: int = 0
    unusable: tuple[Violation, ...] = ()
    unusable_count: int = 0


@dataclass(frozen=True)
class SelectedImages:
    """The images to judge by.

    Attributes:
        entries: each labelled as the model answers.
        learned: how many are left out because the model learned from them.
        ignored: how many because they are not labelled as the model answers.
        flawed: those with boxes that cannot be right.
    """

    entries: Sequence[SpecEntry]
    learned: int
    ignored: int
    flawed: Sequence[Violation]

    def judged(self, unusable: Sequence[Violation], labels: Collection[str], told: int) -> JudgedSelection:
        """What is told of them once it is known which could not be read.

        Args:
            unusable: those that could not be read.
            labels: of the model.
            told: how many of the unusable ones are told by name.
        """
        every = [*self.flawed, *unusable]
        unread = {violation.field for violation in unusable}
        carried = Counter(
            label
            for entry in self.entries
            if entry.image not in unread
            for label in labels_on(entry)
            if label not in labels
        )
        return JudgedSelection(
            unknown_labels=dict(sorted(carried.items())),
            learned=self.learned,
            ignored=self.ignored,
            unusable=tuple(every[:told]),
            unusable_count=len(every),
        )


def select_images(
    entries: Sequence[SpecEntry],
    wanted: WantedImages,
    task: Task,
    labels: Collection[str],
    learned: Collection[str],
    max_unusable_fraction: float = MAX_UNUSABLE_FRACTION,
) -> SelectedImages:
    """Takes the images that a model can be judged by.

    They are those that trainings of the same task use: with exactly one label for a classifier of one label an image,
    any for one of several labels, with boxes or with nothing at all on them for a detector.

    Args:
        entries: of the snapshot.
        wanted: which of them are asked for.
        task: what the model does.
        labels: that it knows.
        learned: SHA-256 of the images that it learned from.
        max_unusable_fraction: share of the images whose boxes may be flawed, 0 to 1.

    Raises:
        TrainingError: NOT_ENOUGH_DATA if nothing is left that is labelled with a label that the model knows;
            TOO_MANY_UNUSABLE_IMAGES if too many boxes are flawed.
    """
    asked = [entry for entry in entries if wanted.includes(entry)]
    new = [entry for entry in asked if entry.sha256 not in learned]
    fitting = [entry for entry in new if _fits(entry, task)]
    flaws = {entry.image: flaw for entry in fitting if task == "detection" and (flaw := next(box_flaws(entry), None))}
    if len(flaws) > max_unusable_fraction * len(fitting):
        raise too_many_flawed(list(flaws.values()), len(fitting), max_unusable_fraction)
    selected = SelectedImages(
        entries=[_as_answered(entry, task) for entry in fitting if entry.image not in flaws],
        learned=len(asked) - len(new),
        ignored=len(new) - len(fitting),
        flawed=list(flaws.values()),
    )
    known = set(labels)
    if not any(known.intersection(labels_on(entry)) for entry in selected.entries):
        raise _nothing_to_judge_by(selected, len(asked), task, labels)
    return selected


def labels_on(entry: SpecEntry) -> list[str]:
    """The labels of an image that was selected, each once."""
    return sorted({box.label for box in entry.boxes}) or entry.labels


def _fits(entry: SpecEntry, task: Task) -> bool:
    if task == "detection":
        # Without its size nothing that is found can be told in pixels.
        return bool(entry.boxes) or (not entry.labels and entry.width > 0 and entry.height > 0)
    return task == "multi_label_classification" or len(image_labels(entry)) == 1


def _as_answered(entry: SpecEntry, task: Task) -> SpecEntry:
    """The image with the labels that the model is to give: of a classifier those of the whole image."""
    if task == "detection":
        return entry.model_copy(update={"labels": []})
    return entry.model_copy(update={"labels": image_labels(entry), "boxes": []})


def _nothing_to_judge_by(selected: SelectedImages, asked: int, task: Task, labels: Collection[str]) -> TrainingError:
    kind = "boxes" if task == "detection" else "labels"
    left_out = f"{selected.learned} were learned from, {selected.ignored} are not labelled as the model answers"
    message = (
        f"there is nothing to judge the model by: of {asked} images {left_out}, {len(selected.flawed)} have boxes that "
        f"cannot be right, and no other one has {kind} that the model knows"
    )
    found = sorted({label for entry in selected.entries for label in labels_on(entry)})
    return TrainingError(
        "NOT_ENOUGH_DATA",
        message,
        [
            Violation(
                field="snapshot", description=f"has none of the model's {len(labels)} labels on images to judge by"
            )
        ],
        images=asked,
        learned=selected.learned,
        ignored=selected.ignored,
        unknown_labels=", ".join(found[:10]),
    )
