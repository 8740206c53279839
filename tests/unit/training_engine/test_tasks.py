import pytest

from sightsmith_training.engine.errors import TrainingError
from sightsmith_training.engine.specification import SpecBox, SpecEntry, Split, TaskWish
from sightsmith_training.engine.tasks import decide_task, image_labels

ONE, TWO = ["cat"], ["cat", "dog"]


def entries(*kinds: tuple[list[str], int], split: Split = "train") -> list[SpecEntry]:
    """Images, each with labels of the whole image and so many boxes."""
    return [
        SpecEntry(
            image=f"i{number}",
            sha256=f"{number:064x}",
            key="k",
            split=split,
            labels=labels,
            boxes=[SpecBox(label="cat", left=0, top=0, width=5, height=5)] * boxes,
        )
        for number, (labels, boxes) in enumerate(kinds)
    ]


@pytest.mark.parametrize(
    ("train", "test", "task", "composes"),
    [
        ([(ONE, 0)], [], "classification", False),
        ([(ONE, 0), (TWO, 0)], [], "multi_label_classification", False),
        ([(ONE, 0), ([], 0)], [], "multi_label_classification", False),
        ([([], 2), ([], 0)], [], "detection", False),
        ([(ONE, 1)], [], "detection", False),
        ([(ONE, 0), (ONE, 0), ([], 1)], [], "classification", False),
        ([(ONE, 0)], [([], 1)], "detection", True),
        ([(ONE, 0)], [(ONE, 0)], "classification", False),
    ],
)
def test_the_task_follows_from_what_is_labelled(
    train: list[tuple[list[str], int]], test: list[tuple[list[str], int]], task: str, composes: bool
) -> None:
    decision = decide_task([*entries(*train), *entries(*test, split="test")], "auto")
    assert (decision.task, decision.composes_scenes) == (task, composes)
    assert decision.reason.endswith(".")


@pytest.mark.parametrize("wish", ["classification", "multi_label_classification", "detection"])
def test_a_wish_is_followed(wish: TaskWish) -> None:
    decision = decide_task(entries((ONE, 1), (ONE, 0)), wish)
    assert decision.task == wish
    assert not decision.composes_scenes


@pytest.mark.parametrize(
    ("wish", "kinds", "said"),
    [("detection", [(ONE, 0)], "no training image has a box"), ("classification", [(TWO, 0)], "1 of the training")],
)
def test_what_cannot_be_learned_is_refused(wish: TaskWish, kinds: list[tuple[list[str], int]], said: str) -> None:
    with pytest.raises(TrainingError, match=said) as caught:
        decide_task(entries(*kinds), wish)
    assert caught.value.failure.reason == "NOT_ENOUGH_DATA"
    assert caught.value.failure.violations[0].field == "task"


def test_boxes_stand_for_labels_where_an_image_has_none() -> None:
    both, boxed, bare = entries((["dog"], 1), ([], 2), ([], 0))
    assert (image_labels(both), image_labels(boxed), image_labels(bare)) == (["dog"], ["cat"], [])
