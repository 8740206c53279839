"""What a model got wrong."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sightsmith_training.engine.judging.classification_metrics import confusion_matrix
from sightsmith_training.engine.judging.mistakes import Mistake, find_mistakes

from .cases import boxed, classified, detected, match, of_any_case, scenes


def test_the_most_confident_mistakes_come_first() -> None:
    matches = classified([[0], [0], [1], []], [[0.2, 0.8], [0.4, 0.3], [0.1, 0.9], [0.95, 0.05]], single_label=True)
    assert find_mistakes(matches) == [Mistake(3, None, 0, 0.95), Mistake(0, 0, 1, 0.8), Mistake(1, 0, None, 0.0)]


def test_where_an_image_has_several_labels_each_missed_one_was_taken_for_each_wrong_one() -> None:
    matches = classified([[0, 1], [2]], [[0.1, 0.2, 0.9], [0.8, 0.1, 0.7]])
    assert find_mistakes(matches) == [Mistake(0, 0, 2, 0.9), Mistake(0, 1, 2, 0.9), Mistake(1, None, 0, 0.8)]


def test_boxes_are_confused_missed_or_invented() -> None:
    image = boxed(0, [[0, 0, 100, 100], [200, 200, 300, 300], [400, 0, 500, 100]], [0, 1, 2])
    answer = detected([[0, 0, 100, 100], [400, 0, 500, 100], [400, 300, 420, 320]], [0, 1, 2], [0.9, 0.8, 0.7])
    assert find_mistakes(match([image], [answer])) == [
        Mistake(0, 2, 1, 0.8),
        Mistake(0, None, 2, 0.7),
        Mistake(0, 1, None, 0.0),
    ]


@of_any_case
@given(st.integers(0, 1000))
def test_mistakes_are_what_is_off_the_diagonal_of_the_confusion_matrix(seed: int) -> None:
    images, answers = scenes(seed, images=5, labels=3)
    boxes = match(images, answers)
    random = np.random.default_rng(seed)
    labelled = classified(random.integers(0, 3, (20, 1)), random.random((20, 3)), single_label=True)
    for matches, matrix in ((boxes, boxes.confusion), (labelled, confusion_matrix(labelled))):
        counted = np.zeros_like(matrix)
        for mistake in find_mistakes(matches):
            counted[3 if mistake.labelled is None else mistake.labelled][
                3 if mistake.predicted is None else mistake.predicted
            ] += 1
        np.testing.assert_array_equal(counted, matrix - np.diag(np.diag(matrix)))
