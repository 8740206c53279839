"""What is written is read again: the same names, splits, labels and boxes."""

import pytest
from hypothesis import given, settings

from sightsmith_labeling.formats.coco import Coco
from sightsmith_labeling.formats.csv_files import CsvFiles
from sightsmith_labeling.formats.records import ExportedImage, Format
from sightsmith_labeling.formats.voc import Voc
from sightsmith_labeling.formats.yolo import Yolo
from tests.unit.labeling.formats.exports import images, in_pixels_of, sound, told
from tests.unit.labeling.formats.trees import read, written

FORMATS = [Coco(), Voc(), CsvFiles()]
EXAMPLES = settings(max_examples=30, deadline=None)


@pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.name)
@EXAMPLES
@given(export=images())
def test_an_export_reads_as_it_was_to_the_last_digit(format_: Format, export: list[ExportedImage]) -> None:
    found = sound(read(format_, written(format_, export)))
    assert sorted(map(told, found)) == sorted(map(told, export))
    assert all((image.width is None) == (image.height is None) for image in found)


@pytest.mark.parametrize("format_", [*FORMATS, Yolo()], ids=lambda format_: format_.name)
@EXAMPLES
@given(export=images("boxes"))
def test_images_that_are_packed_with_the_export_are_found(format_: Format, export: list[ExportedImage]) -> None:
    packed = {format_.image_path(image): b"pixels" for image in export}
    assert len(packed) == len(export)
    found = sound(read(format_, written(format_, export) | packed))
    assert {image.source: image.file for image in found} == {
        image.file_name: format_.image_path(image) for image in export
    }


@EXAMPLES
@given(export=images("boxes"))
def test_yolo_keeps_boxes_to_a_millionth_of_a_pixel(export: list[ExportedImage]) -> None:
    found = sound(read(Yolo(), written(Yolo(), export)))
    by_name = {image.source: image for image in found}
    assert by_name.keys() == {image.file_name for image in export}
    for image in export:
        again = by_name[image.file_name]
        assert again.split is image.split
        assert again.relative
        for (label, box), annotation in zip(in_pixels_of(again, image), image.annotations, strict=True):
            assert label == annotation.label
            assert box is not None
            assert vars(box) == pytest.approx(vars(annotation.box), abs=1e-6)
            if all(value.is_integer() for value in map(float, vars(annotation.box).values())):
                assert box == annotation.box


@EXAMPLES
@given(export=images("folder"))
def test_yolo_keeps_labels_of_whole_images_by_folders(export: list[ExportedImage]) -> None:
    labels = {annotation.label for image in export for annotation in image.annotations}
    if any({"/", "\\"} & set(label) or label in (".", "..", "images") for label in labels) or not labels:
        return
    packed = {Yolo().image_path(image): b"pixels" for image in export}
    found = sound(read(Yolo(), written(Yolo(), export) | packed))
    assert sorted(map(told, found)) == sorted(map(told, export))
