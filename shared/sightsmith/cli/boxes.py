"""How boxes are written on the command line."""

import math

import typer

from sightsmith.api.labeling.v1.annotation_pb2 import BoundingBox

BOX = "LEFT,TOP,WIDTH,HEIGHT"
BOX_HELP = "in pixels of the upright image, from its top left corner"
_EDGES = 4


def read_box(text: str) -> BoundingBox:
    """Reads a box such as `10,20,30.5,40`.

    Raises:
        BadParameter: if it is no box.
    """
    try:
        edges = [float(edge) for edge in text.split(",")]
    except ValueError:
        edges = []
    if len(edges) != _EDGES or not all(map(math.isfinite, edges)):
        raise typer.BadParameter(f"must be four numbers {BOX}, not {text[:80]!r}")
    left, top, width, height = edges
    return BoundingBox(left=left, top=top, width=width, height=height)


def box_text(box: BoundingBox) -> str:
    """A box as it is written on the command line."""
    return f"{box.left:g},{box.top:g},{box.width:g},{box.height:g}"
