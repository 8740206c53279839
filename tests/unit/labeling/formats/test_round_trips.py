"""What is written is read again: the same names, splits, labels and boxes."""

from xml.etree import ElementTree

import pytest
from hypothesis import given, settings

from sightsmith_labeling.annotations import Origin
from sightsmith_labeling.formats.coco import Coco
from sightsmith_labeling.formats.csv_files import CsvFiles
from sightsmith_labeling.formats.cvat import Cvat
from sightsmith_labeling.formats.folders import Folders
from sightsmith_labeling.formats.ground_truth import GroundTruth
from sightsmith_labeling.formats.label_studio import LabelStudio
from sightsmith_labeling.formats.records import ExportedImage, Format
from sightsmith_labeling.formats.voc import Voc
from sightsmith_labeling.formats.yolo import Yolo
from tests.unit.labeling.formats.exports import assert_says_nearly_the_same, contents, images, sound, told
from tests.unit.labeling.formats.trees import read, written

FORMATS = [Coco(), Voc(), CsvFiles(), Cvat()]
EXAMPLES = settings(max_examples=30, deadline=None)
# What no folder can be called.
UNFIT = {".", "..", "images"}


@pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.name)
@EXAMPLES
@given(export=images())
def test_an_export_reads_as_it_was_to_the_last_digit(format_: Format, export: list[ExportedImage]) -> None:
    found = sound(read(format_, written(format_, export)))
    assert sorted(map(told, found)) == sorted(map(told, export))
    sizes = {image.file_name: (image.width, image.height) for image in export}
    assert {image.source: (image.width, image.height) for image in found} == sizes


@pytest.mark.parametrize("format_", [*FORMATS, Yolo(), LabelStudio()], ids=lambda format_: format_.name)
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
@given(export=images())
def test_a_manifest_keeps_everything_but_names(export: list[ExportedImage]) -> None:
    by_url = {image.source: image for image in sound(read(GroundTruth(), written(GroundTruth(), export)))}
    assert by_url.keys() == {image.url for image in export}
    for image in export:
        again = by_url[image.url]
        assert again.split is image.split
        assert contents(again.annotations) == contents(image.annotations)
        assert _of_models(again) == _of_models(image)
        if any(annotation.box for annotation in image.annotations):
            assert (again.width, again.height) == (image.width, image.height)


def _of_models(image) -> list[str]:
    return sorted(annotation.label for annotation in image.annotations if annotation.origin is Origin.MODEL)


@pytest.mark.parametrize(("format_", "kinds"), [(Yolo(), "boxes"), (LabelStudio(), "mixed")], ids=["yolo", "tasks"])
def test_formats_with_shares_keep_boxes_to_a_millionth_of_a_pixel(format_: Format, kinds: str) -> None:
    @EXAMPLES
    @given(export=images(kinds))
    def reads_nearly_as_it_was(export: list[ExportedImage]) -> None:
        by_name = {image.source: image for image in sound(read(format_, written(format_, export)))}
        assert by_name.keys() == {image.file_name for image in export}
        for image in export:
            assert by_name[image.file_name].split is image.split
            assert_says_nearly_the_same(by_name[image.file_name], image)

    reads_nearly_as_it_was()


@EXAMPLES
@given(export=images())
def test_label_studio_gets_a_configuration_with_every_label(export: list[ExportedImage]) -> None:
    configuration = ElementTree.fromstring(written(LabelStudio(), export)["labeling_config.xml"])  # noqa: S314  Ours.
    labels = {annotation.label for image in export for annotation in image.annotations}
    for element in ("Choice", "Label"):
        assert {choice.get("value") for choice in configuration.iter(element)} == labels


@EXAMPLES
@given(export=images("folder"))
def test_yolo_keeps_labels_of_whole_images_by_folders(export: list[ExportedImage]) -> None:
    labels = {annotation.label for image in export for annotation in image.annotations}
    if not labels or not all(map(_can_be_a_folder, labels)):
        return
    packed = {Yolo().image_path(image): b"pixels" for image in export}
    found = sound(read(Yolo(), written(Yolo(), export) | packed))
    assert sorted(map(told, found)) == sorted(map(told, export))


@EXAMPLES
@given(export=images("folder"))
def test_folders_keep_labels_of_whole_images(export: list[ExportedImage]) -> None:
    if not all(_can_be_a_folder(label) for image in export for label, *_ in contents(image.annotations)):
        return
    paths = {Folders().image_path(image): image for image in export}
    assert len(paths) == len(export)
    found = {image.source: image for image in read(Folders(), written(Folders(), export) | dict.fromkeys(paths, b""))}
    assert found.keys() == paths.keys()
    for path, image in paths.items():
        assert (found[path].split, contents(found[path].annotations)) == (image.split, contents(image.annotations))


def _can_be_a_folder(label: str) -> bool:
    return label not in UNFIT and not label.startswith(".") and not {"/", "\\"} & set(label)
