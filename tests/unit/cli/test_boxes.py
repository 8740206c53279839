import pytest
import typer

from sightsmith.api.labeling.v1.annotation_pb2 import BoundingBox
from sightsmith.cli.boxes import box_text, read_box


def test_a_box_is_written_as_it_is_read() -> None:
    box = BoundingBox(left=1, top=2, width=30.5, height=40)
    assert read_box(" 1,2, 30.5,40") == box
    assert box_text(box) == "1,2,30.5,40"
    assert read_box(box_text(box)) == box


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "1,2,nan,4", "1,2,inf,4", "a,b,c,d", "1 2 3 4"])
def test_what_is_no_box_says_what_one_is(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="four numbers LEFT,TOP,WIDTH,HEIGHT"):
        read_box(text)
