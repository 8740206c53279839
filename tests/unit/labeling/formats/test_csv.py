import pytest

from sightsmith_labeling.annotations import Box
from sightsmith_labeling.datasets import Split
from sightsmith_labeling.formats.csv_files import CsvFiles
from sightsmith_labeling.formats.records import FormatError, ImportedImage, Rejection
from tests.unit.labeling.formats.exports import image
from tests.unit.labeling.formats.trees import read, written


def told(text: str | bytes, name: str = "a.csv") -> list[tuple[object, ...]]:
    found = read(CsvFiles(), {name: text})
    assert [each for each in found if isinstance(each, Rejection) or each.problems] == []
    return [
        (each.source, each.split, [(label.label, label.box) for label in each.annotations])
        for each in found
        if isinstance(each, ImportedImage)
    ]


CAT, DOG = ("cat", None), ("dog", None)


@pytest.mark.parametrize(
    "text",
    [
        "a.jpg,cat,dog\nb.jpg\n",
        "a.jpg;cat;;dog\r\nb.jpg;;;\r\n",
        "\ufeffa.jpg\tcat\tdog\n\nb.jpg\n",
        'a.jpg, "cat", dog\nb.jpg\na.jpg,dog',
        "image,label,label_2\na.jpg,cat,dog\nb.jpg,,\n",
        "Label,Image Name,notes\ncat,a.jpg,x\n,b.jpg,\ndog,a.jpg,y\n",
    ],
)
def test_labels_of_an_image_are_put_together(text):
    assert told(text) == [("a.jpg", None, [CAT, DOG]), ("b.jpg", None, [])]


@pytest.mark.parametrize(
    "text",
    [
        "image,xmin,ymin,xmax,ymax,label\na.jpg,1,2,11.5,22,cat\n",
        "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,64,48,cat,1,2,11.5,22\n",
        "label;x;y;width;height;image\ncat;1;2;10.5;20;a.jpg\n",
        "image_path,left,top,right,bottom,category,image_width,image_height\na.jpg,1,2,11.5,22,cat,64,48\n",
    ],
)
def test_boxes_are_known_by_the_names_of_their_columns(text):
    assert told(text) == [("a.jpg", None, [("cat", Box(1, 2, 10.5, 20))])]


def test_the_size_of_the_image_is_not_taken_for_the_size_of_the_box():
    (found,) = read(
        CsvFiles(), {"a.csv": "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,64,48,cat,1,2,65,22\n"}
    )
    assert (found.width, found.height) == (64, 48)
    assert [each.box for each in found.annotations] == [Box(1, 2, 63, 20)]  # A pixel too far is cut.


def test_google_tables_are_relative_and_have_splits():
    text = (
        "TRAIN,gs://b/a.jpg,cat,0.25,0.5,,,0.75,1,,\n"
        "VALIDATION,gs://b/b.jpg,dog,0,0,1,0,1,1,0,1\n"
        "UNASSIGNED,gs://b/c.jpg,cat,dog\n"
    )
    assert told(text) == [
        ("gs://b/a.jpg", Split.TRAIN, [("cat", Box(0.25, 0.5, 0.5, 0.5))]),
        ("gs://b/b.jpg", Split.TEST, [("dog", Box(0, 0, 1, 1))]),
        ("gs://b/c.jpg", None, [CAT, DOG]),
    ]
    assert [each.relative for each in read(CsvFiles(), {"a.csv": text})] == [True, True, False]


def test_the_split_comes_from_a_column_or_the_name_of_the_file():
    assert [split for _, split, _ in told("image,label,split\na.jpg,cat,test\nb.jpg,cat,\n", "set/train.csv")] == [
        Split.TEST,
        Split.TRAIN,
    ]


def test_a_bad_line_is_named_with_all_that_is_wrong_and_the_others_stay():
    head = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
    text = head + "a.jpg,64,48,cat,1,2,3,4\na.jpg,64,48,cat,1,2,x,4\na.jpg,64,48,,1,2,3,4\n,64,48,cat,1,2,3,4\n"
    found, rejection = read(CsvFiles(), {"a.csv": text + '"a.jpg,64,48,cat\n'})[:2]
    assert isinstance(found, ImportedImage)
    assert len(found.annotations) == 1
    assert [(problem.code, problem.path) for problem in found.problems] == [
        ("ERROR_INVALID_BOUNDING_BOX", "a.csv, line 3"),
        ("ERROR_INVALID_LABEL_NAME", "a.csv, line 4"),
    ]
    assert isinstance(rejection, Rejection)
    assert (rejection.code, rejection.place.line) == ("ERROR_MISSING_SOURCE_REF", 5)


@pytest.mark.parametrize("names", ["filename,size", "photo,label", "foo,bar"])
def test_columns_that_are_not_known_are_named_with_those_that_are(names):
    with pytest.raises(FormatError) as refusal:
        read(CsvFiles(), {"a.csv": f"{names}\na.jpg,cat\n"})
    error = refusal.value
    assert (error.code, error.place.file, error.place.line) == ("ERROR_UNKNOWN_COLUMNS", "a.csv", 1)
    for named in (names.replace(",", ", "), "filename", "classname", "mlusage", "xmin, ymin, xmax, ymax"):
        assert named in error.message
    assert "a.csv" not in error.message


def test_names_of_images_need_no_suffix():
    assert told("0001,cat\n0002,dog\n") == [("0001", None, [CAT]), ("0002", None, [DOG])]


def test_what_is_written_opens_in_a_spreadsheet():
    files = written(
        CsvFiles(), [image("a.jpg", ('say "hi"', None), ("cat", Box(1, 2, 10.5, 20))), image("b.jpg", size=None)]
    )
    assert files["annotations.csv"].decode() == (
        "filename,width,height,class,xmin,ymin,xmax,ymax,split\n"
        'a.jpg,640,480,"say ""hi""",,,,,train\n'
        "a.jpg,640,480,cat,1,2,11.5,22,train\n"
        "b.jpg,,,,,,,,train\n"
    )


@pytest.mark.parametrize("edge", ["0e99999999999999999999", "1e999999999", "sNaN", "Infinity"])
def test_edges_that_no_box_can_have_are_told(edge):
    (found,) = read(CsvFiles(), {"a.csv": f"image,xmin,ymin,xmax,ymax,label\na.jpg,{edge},0,4,4,cat\n"})
    problems = found.problems if isinstance(found, ImportedImage) else (found,)
    assert [problem.code for problem in problems] == ["ERROR_INVALID_BOUNDING_BOX"]


def test_a_giant_cell_is_told():
    (found,) = read(CsvFiles(), {"a.csv": f"{'x' * 200_000}.jpg,cat\n"})
    assert isinstance(found, Rejection)
    assert found.code == "ERROR_INVALID_LINE"
