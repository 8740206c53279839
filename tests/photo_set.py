"""A small set of real, labelled photographs, cut from those that scikit-image and scikit-learn bring along."""

import random
from pathlib import Path

import skimage.data
from PIL import Image
from sklearn.datasets import load_sample_images

_SIDE = 160


def write_photo_set(folder: Path, images_per_label: int = 14, seed: int = 0) -> Path:
    """Writes `folder/<label>/<number>.jpg`: crops of one photograph a label, no two alike.

    Returns:
        The folder.
    """
    for label, photo in _photos().items():
        (folder / label).mkdir(parents=True)
        for number, crop in enumerate(_crops(photo, images_per_label, random.Random(f"{seed} {label}"))):
            crop.save(folder / label / f"{number:02}.jpg", quality=90)
    return folder


def _photos() -> dict[str, Image.Image]:
    china, flower = load_sample_images().images
    arrays = {
        "astronaut": skimage.data.astronaut(),
        "cat": skimage.data.chelsea(),
        "coffee": skimage.data.coffee(),
        "flower": flower,
        "temple": china,
    }
    return {label: Image.fromarray(array) for label, array in arrays.items()}


def _crops(photo: Image.Image, count: int, chance: random.Random) -> list[Image.Image]:
    crops = []
    for _ in range(count):
        side = chance.randint(min(photo.size) * 3 // 5, min(photo.size) * 9 // 10)
        left, top = chance.randint(0, photo.width - side), chance.randint(0, photo.height - side)
        crops.append(photo.crop((left, top, left + side, top + side)).resize((_SIDE, _SIDE)))
    return crops
