from collections.abc import Iterator

from sightsmith_labeling.annotations import Box, NewAnnotation
from sightsmith_labeling.formats.records import ImportedImage, Place, Rejection
from sightsmith_labeling.imports.dataset_source import _last_at_once
from sightsmith_labeling.imports.reading import LoadedImage, Record, read_batch

BOXES = tuple(NewAnnotation("stone", Box(float(number), 1.0, 2.0, 3.0)) for number in range(1000))


def batches(records: Iterator[Record]) -> list[int]:
    found: list[int] = []
    while batch := read_batch(records):
        found.append(len(batch))
    return found


def image(number: int, boxes: int = 0, data: bytes | None = None) -> LoadedImage:
    return LoadedImage(ImportedImage(Place("a", number), f"{number}.jpg", annotations=BOXES[:boxes]), data)


def test_light_records_are_counted() -> None:
    assert batches(image(number) for number in range(11_000)) == [5000, 5000, 1000]


def test_images_are_weighed() -> None:
    data = bytes(16 * 1024 * 1024)
    assert batches(image(number, data=data) for number in range(5)) == [2, 2, 1]


def test_annotations_are_weighed() -> None:
    found = batches(image(number, boxes=1000) for number in range(300))
    assert sum(found) == 300
    assert max(found) <= 84  # 32 MiB, 400 bytes a box


def test_rejections_are_counted() -> None:
    assert batches(Rejection(Place("a", line), "ERROR", "bad") for line in range(5001)) == [5000, 1]


def test_a_batch_of_a_dataset_ends_before_too_many_annotations_and_never_empty() -> None:
    assert _last_at_once([(3, 20_000), (4, 30_000), (7, 1)]) == 4
    assert _last_at_once([(3, 100_000), (4, 0)]) == 3
    assert _last_at_once([(3, 1), (9, 1)]) == 9
    assert _last_at_once([]) == 0
