"""Backbones beside those of the catalogue, which an administrator names in a setting: any network that timm knows.

What a network needs and gives is found out once, when its weights are fetched, and kept beside them
(`engine/backbone_description.py`). From then on no torch and no hub is needed to tell what there is.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from sightsmith_training.engine.catalogue import Backbone, LocalFile, TimmHub, WeightsFile
from sightsmith_training.weights.errors import WeightsError
from sightsmith_training.weights.store import WeightsStore, read_sums

WEIGHTS_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")

_DESCRIPTION_FILE = "backbone.json"
_WISH = re.compile(r"timm:(?P<model>\w+(\.\w+)?)(=(?P<file>.+))?", re.ASCII)


class BackboneDescription(BaseModel):
    """What was found out about a network and its weights; the fields are those of `catalogue.Backbone`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: str
    licence: str
    input_side: int
    fixed_side: int | None
    parameters: int
    cost: float
    features: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class _Kept(BaseModel):
    wish: str
    description: BackboneDescription


@dataclass(frozen=True)
class ExtraBackbone:
    """A backbone that is wished for.

    Attributes:
        model: name of the network in timm, and of its pretrained weights after a dot.
        file: of the weights; None to take them from a model hub.
    """

    model: str
    file: Path | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `timm:NAME` or `timm:NAME=/path/to/file`.

        Raises:
            ValueError: if it is neither.
        """
        match = _WISH.fullmatch(text)
        if match is None:
            raise ValueError(f"a backbone looks like timm:NAME or timm:NAME=/path/to/file, not {text[:200]!r}")
        if match["file"] is None:
            return cls(match["model"])
        file = Path(match["file"])
        if not file.is_absolute() or file.suffix not in WEIGHTS_SUFFIXES:
            raise ValueError(f"a file of weights has an absolute path and ends in {' or '.join(WEIGHTS_SUFFIXES)}")
        return cls(match["model"], file)

    @property
    def wish(self) -> str:
        """How it is written in the settings."""
        return f"timm:{self.model}" if self.file is None else f"timm:{self.model}={self.file}"

    @property
    def name(self) -> str:
        """Under which results mention it: lower-case letters, digits and hyphens."""
        text = self.model if self.file is None else f"{self.model}-{self.file.stem}"
        return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")

    def find(self, store: WeightsStore) -> Backbone | None:
        """The backbone, if its weights have been fetched; the newest, if they were replaced. They are not verified."""
        for folder in store.sets():
            description = self._description_in(folder)
            if description is not None:
                return self._backbone(description, folder)
        return None

    def get(self, store: WeightsStore) -> Backbone:
        """The backbone.

        Raises:
            WeightsError: if its weights have not been fetched.
        """
        found = self.find(store)
        if found is None:
            raise WeightsError(
                f"the backbone {self.wish} is not in {store.folder}: run 'sightsmith models fetch {self.wish}'"
            )
        return found

    def keep(self, description: BackboneDescription, folder: Path) -> None:
        """Writes what was found out beside the weights."""
        kept = _Kept(wish=self.wish, description=description)
        (folder / _DESCRIPTION_FILE).write_text(kept.model_dump_json(indent=2), encoding="utf-8")

    def _description_in(self, folder: Path) -> BackboneDescription | None:
        try:
            kept = _Kept.model_validate_json((folder / _DESCRIPTION_FILE).read_bytes())
        except (OSError, ValidationError):
            return None
        return kept.description if kept.wish == self.wish else None

    def _backbone(self, description: BackboneDescription, folder: Path) -> Backbone:
        files = (WeightsFile(name, sha256) for name, sha256 in read_sums(folder).items() if name != _DESCRIPTION_FILE)
        return Backbone(
            name=self.name,
            source=TimmHub(self.model) if self.file is None else LocalFile(self.file),
            files=tuple(files),
            **dict(description),
        )
