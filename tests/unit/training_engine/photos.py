"""A small set of real photos: crops of pictures that come with scikit-image and scikit-learn, one label a picture."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage import data
from sklearn.datasets import load_sample_images

from sightsmith_training.engine.specification import SpecEntry, Split, TrainingOptions, TrainingSpec

_CROP = 200


@dataclass(frozen=True)
class Project:
    """A folder that is an object store, and where the artefacts go."""

    folder: Path

    @property
    def store(self) -> Path:
        return self.folder / "objects"

    def put(self, name: str, encoded: bytes, split: Split, labels: list[str]) -> SpecEntry:
        digest = hashlib.sha256(encoded).hexdigest()
        file = self.store / "images" / digest
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encoded)
        return SpecEntry(
            image=f"projects/p/datasets/d/images/{name}",
            sha256=digest,
            key=f"images/{digest}",
            split=split,
            labels=labels,
            source=f"{name}.jpg",
        )

    def spec(self, entries: list[SpecEntry], **changes: Any) -> TrainingSpec:
        values: dict[str, Any] = {
            "entries": entries,
            "object_store_url": self.store.as_uri(),
            "checkpoint_prefix": "checkpoints/job",
            "backbone_prefix": "backbones",
            "output_dir": self.folder / "output",
            "seed": 7,
            # Without fine-tuning, and with more time than any machine needs: the same result everywhere.
            "options": TrainingOptions(effort="fast", budget_seconds=600),
        }
        return TrainingSpec(**values | changes)


def picture(name: str) -> np.ndarray:
    return np.asarray(Image.open(Path(data.__file__).with_name(f"{name}.png")).convert("RGB"))


def pictures() -> dict[str, np.ndarray]:
    china, flower = load_sample_images().images
    return {"temple": china, "flower": flower, "cat": picture("chelsea"), "coffee": picture("coffee")}


def crops(project: Project, train: int = 6, test: int = 3) -> list[SpecEntry]:
    """Random crops: each picture is a label."""
    random = np.random.default_rng(0)
    entries = []
    for label, picture in pictures().items():
        for number in range(train + test):
            top, left = (int(random.integers(0, size - _CROP)) for size in picture.shape[:2])
            buffer = io.BytesIO()
            Image.fromarray(picture[top : top + _CROP, left : left + _CROP]).save(buffer, "JPEG", quality=92)
            split: Split = "train" if number < train else "test"
            entries.append(project.put(f"{label}-{number}", buffer.getvalue(), split, [label]))
    return entries
