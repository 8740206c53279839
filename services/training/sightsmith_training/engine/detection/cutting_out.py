"""From the picture of a logo to the logo: plain or transparent margins go, and with them what is not the logo."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

_ALIKE = 24  # Largest difference of a colour, of 255, to that of the margin: pictures are compressed with losses.
_PLAIN = 0.6  # Share of the pixels along the edges that have one colour if the picture has a margin.
_OPAQUE = 64
_LEAST_SIDE = 8  # Pixels; below this nothing is left of a picture but its margin.
_ROUND = 3.0  # Exponent of a superellipse (Lamé curve): between an ellipse and a rectangle.


@dataclass(frozen=True)
class Logo:
    """A logo that was cut out.

    Attributes:
        pixels: RGBA; of what is pasted.
        shape: grey, of the same size; how much of each pixel belongs to the logo itself.
    """

    pixels: Image.Image
    shape: Image.Image


def cut_out(image: Image.Image, plate: float | None = None) -> Logo:
    """Takes a logo out of its picture.

    Where neither opacity nor a margin tells the logo from what is around it, all of the picture is pasted, and the logo
    is taken for a rounded form that fills it: most logos leave the corners free, which matters once they are turned.

    Args:
        image: RGBA, of one logo, either with transparent surroundings, with a margin of one colour, or filling it.
        plate: how much of the colour of the margin stays around the logo, as on a label or a sign, as a share of the
            logo's longer side; None: nothing, and also not where the logo lets it shine through.
    """
    logo = _without_surroundings(image)
    box = _opaque_part(logo)
    if box is None or min(box[2] - box[0], box[3] - box[1]) < _LEAST_SIDE or _is_whole(logo):
        return Logo(image, rounded_shape(image.size, _ROUND))
    cut = logo.crop(box)
    if plate is None:
        return Logo(cut, cut.getchannel("A"))
    room = round(plate * max(cut.size))
    size = (cut.width + 2 * room, cut.height + 2 * room)
    pixels, shape = Image.new("RGBA", size, _edge_colour(image)), Image.new("L", size)
    pixels.alpha_composite(cut, (room, room))
    shape.paste(cut.getchannel("A"), (room, room))
    return Logo(pixels, shape)


def rounded_shape(size: tuple[int, int], exponent: float) -> Image.Image:
    """A superellipse with soft edges that fills a grey picture.

    Args:
        size: width and height in pixels.
        exponent: 2 for an ellipse, more for less round corners.
    """
    x, y = (np.abs(np.linspace(-1, 1, side)) ** exponent for side in size)
    inside = 1 - (y[:, None] + x[None, :])
    return Image.fromarray((255 * (1 + 8 * inside).clip(0, 1)).astype(np.uint8))


def _is_whole(image: Image.Image) -> bool:
    return image.getchannel("A").getextrema() == (255, 255)


def _without_surroundings(image: Image.Image) -> Image.Image:
    """Makes transparent what has the colour of the edges and hangs together with them."""
    if not _has_plain_edges(image):
        return image
    pixels = np.array(image)
    differences = np.abs(pixels[..., :3].astype(np.int16) - np.array(_edge_colour(image)[:3])).sum(axis=2)
    # One pixel around the picture leads from its corners to all of its edges.
    alike = np.pad(differences <= 3 * _ALIKE, 1, constant_values=True)
    pieces, _ = ndimage.label(alike)
    pixels[(pieces == pieces[0, 0])[1:-1, 1:-1]] = 0
    return Image.fromarray(pixels)


def _has_plain_edges(image: Image.Image) -> bool:
    edges = _edges(image)
    alike = np.abs(edges[:, :3].astype(np.int16) - np.array(_edge_colour(image)[:3])).max(axis=1) <= _ALIKE
    return bool((edges[:, 3] == 255).all() and alike.mean() >= _PLAIN)


def _edge_colour(image: Image.Image) -> tuple[int, int, int, int]:
    """The usual colour along the edges; white where they are transparent."""
    edges = _edges(image)
    solid = edges[edges[:, 3] == 255, :3]
    red, green, blue = np.median(solid, axis=0).astype(int).tolist() if len(solid) else (255, 255, 255)
    return red, green, blue, 255


def _edges(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Shape [pixels, 4]."""
    pixels = np.asarray(image)
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])


def _opaque_part(image: Image.Image) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom; None if there is none."""
    opaque = image.getchannel("A").point(lambda level: 255 * (level >= _OPAQUE))
    return opaque.getbbox()
