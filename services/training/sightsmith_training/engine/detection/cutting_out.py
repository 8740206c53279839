"""From the picture of a logo to the logo: plain or transparent margins go, and with them what is not the logo."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Picture = npt.NDArray[np.uint8]
"""Shape [height, width, 3 or 4]: RGB, or RGB with opacity."""

_ALIKE = 24  # Largest difference of a colour, of 255, to that of the margin: pictures are compressed with losses.
_PLAIN = 0.9  # Share of the pixels along the edges that have one colour if the picture has a margin.
_OPAQUE = 64
_LEAST_SIDE = 8  # Pixels; below this nothing is left of a picture but its margin.


def cut_out(picture: Picture, *, with_plate: bool) -> Image.Image:
    """Takes a logo out of its picture.

    Args:
        picture: of one logo, either with transparent surroundings, with a margin of one colour, or filling it.
        with_plate: whether the colour of the margin stays where the logo does not cover it, as on a label or a sign.

    Returns:
        RGBA, without margin; all of the picture where it has none.
    """
    image = Image.fromarray(picture).convert("RGBA")
    logo = _without_surroundings(image)
    box = _opaque_part(logo)
    if box is None or min(box[2] - box[0], box[3] - box[1]) < _LEAST_SIDE:
        return image
    if not with_plate:
        return logo.crop(box)
    plate = Image.new("RGBA", image.size, _edge_colour(image))
    plate.alpha_composite(image)
    return plate.crop(box)


def _without_surroundings(image: Image.Image) -> Image.Image:
    """Makes transparent what has the colour of the edges and hangs together with them."""
    if not _has_plain_edges(image):
        return image
    # One pixel around the picture leads from its corners to all of its edges.
    colour = _edge_colour(image)
    wider = Image.new("RGBA", (image.width + 2, image.height + 2), colour)
    wider.paste(image, (1, 1))
    ImageDraw.floodfill(wider, (0, 0), (0, 0, 0, 0), thresh=3 * _ALIKE)
    return wider.crop((1, 1, image.width + 1, image.height + 1))


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
