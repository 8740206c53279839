import pytest

from sightsmith_labeling.annotations import Box
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.records import FormatError, ImportedImage, Rejection
from sightsmith_labeling.formats.voc import Voc
from tests.unit.labeling.formats.exports import image
from tests.unit.labeling.formats.trees import read, written


def xml(*objects: str, name: str = "a.jpg", size: str = "<width>100</width><height>50</height>") -> str:
    return f"<annotation><filename>{name}</filename><size>{size}</size>{''.join(objects)}</annotation>"


def thing(name: str, *edges: object) -> str:
    tags = zip(("xmin", "ymin", "xmax", "ymax"), edges, strict=False)
    box = "".join(f"<{tag}>{edge}</{tag}>" for tag, edge in tags)
    return f"<object><name>{name}</name><bndbox>{box}</bndbox></object>"


def one(content: str, **others: str) -> ImportedImage:
    (found,) = read(Voc(), {"Annotations/a.xml": content, **others})
    assert isinstance(found, ImportedImage)
    return found


def test_edges_become_boxes():
    found = one(xml(thing("cat", 0, 0, 100, 50), thing("a &amp; b", 10.1, 5, 30.3, 20)))
    assert [(each.label, each.box) for each in found.annotations] == [
        ("cat", Box(0, 0, 100, 50)),
        ("a & b", Box(10.1, 5, 20.2, 15)),
    ]
    assert (found.width, found.height) == (100, 50)


@pytest.mark.parametrize(
    "edges",
    [
        (10, 5, 10, 20),
        (30, 5, 10, 20),
        (10, 5, 130, 20),
        ("x", 5, 10, 20),
        ("0e99999999999999999999", 5, 9, 9),
        (1, 2, 3),
        (),
    ],
)
def test_a_bad_object_is_named_and_the_others_stay(edges):
    found = one(xml(thing("cat", 0, 0, 1, 1), thing("cat", *edges)))
    assert len(found.annotations) == 1
    assert [(problem.code, problem.path) for problem in found.problems] == [("ERROR_INVALID_BOUNDING_BOX", "object[1]")]


def test_all_that_is_wrong_with_an_image_is_told_at_once():
    found = one(xml(thing("", 0, 0, 1, 1), thing("cat", 9, 9, 1, 1), size="<width>-1</width><height>x</height>"))
    assert [problem.code for problem in found.problems] == [
        "ERROR_INVALID_IMAGE_DIMENSION",
        "ERROR_INVALID_LABEL_NAME",
        "ERROR_INVALID_BOUNDING_BOX",
    ]


def test_a_size_of_nothing_is_a_size_that_is_not_known():
    found = one(xml(thing("cat", 0, 0, 1000, 1), size="<width>0</width><height>0</height>"))
    assert (found.width, len(found.annotations), found.problems) == (None, 1, ())


def test_lists_give_splits_and_labels_of_whole_images():
    files = {
        "VOC/Annotations/a.xml": xml(thing("cat", 0, 0, 1, 1)),
        "VOC/Annotations/b c.xml": xml(name="b c.jpg"),
        "VOC/ImageSets/Main/train.txt": "a\n",
        "VOC/ImageSets/Main/val.txt": "b c\nd\n",
        "VOC/ImageSets/Main/trainval.txt": "a\nb c\nd\ne\n",
        "VOC/ImageSets/Main/cat_trainval.txt": "a  1\nb c  1\nd -1\n",
        "VOC/ImageSets/Main/dog_val.txt": "b c  0\nd  1\n",
        "VOC/JPEGImages/d.png": b"",
    }
    found = read(Voc(), files)
    assert [
        (each.source, each.split, [(label.label, label.box is None) for label in each.annotations]) for each in found
    ] == [
        ("a.jpg", Split.TRAIN, [("cat", False)]),  # That it has a cat is known from the box.
        ("b c.jpg", Split.TEST, [("cat", True)]),
        ("d.png", Split.TEST, [("dog", True)]),
        ("e.jpg", Split.TRAIN, []),
    ]
    assert found[2].file == "VOC/JPEGImages/d.png"


def test_a_file_that_is_no_annotation_is_rejected_and_the_others_stay():
    files = {"a.xml": xml(), "b.xml": "<x/>", "c.xml": "<annotation>", "d.xml": "<annotation/>"}
    rejections = {each.place.file: each.code for each in read(Voc(), files) if isinstance(each, Rejection)}
    assert rejections == {
        "b.xml": "ERROR_INVALID_XML",
        "c.xml": "ERROR_INVALID_XML",
        "d.xml": "ERROR_MISSING_SOURCE_REF",
    }


def test_labels_of_whole_images_have_lists_with_every_image():
    files = written(Voc(), [image("x/a b.jpg", ("cat", None)), image("b.jpg"), image("c.jpg", split=Split.TEST)])
    lists = {name.removeprefix("ImageSets/Main/"): text for name, text in files.items() if name.endswith(".txt")}
    assert lists == {
        "train.txt": b"x/a b\nb\n",
        "cat_train.txt": b"x/a b 1\nb -1\n",
        "val.txt": b"c\n",
        "cat_val.txt": b"c -1\n",
    }


@pytest.mark.parametrize(
    "images", [[image("a.jpg", ("\uffff", None))], [image("a.jpg"), image("a.png")]], ids=["character", "names"]
)
def test_what_voc_cannot_say_is_refused(images):
    with pytest.raises(FormatError) as refusal:
        written(Voc(), images)
    assert refusal.value.code == "ERROR_FORMAT_CANNOT_EXPRESS"
