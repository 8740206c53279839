"""The frozen backbones that training publishes: standing models, loaded at all times, that embed images."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, Field, ValidationError

from sightsmith.errors import NotFoundError, SightsmithError, UnavailableError
from sightsmith.logs import get_logger
from sightsmith.names import BackboneName
from sightsmith.objects import Objects
from sightsmith_inference.errors import ModelNotServableError
from sightsmith_inference.model_configuration import check_configuration
from sightsmith_inference.models import Runtime
from sightsmith_inference.retries import Retries
from sightsmith_inference.settings import InferenceSettings
from sightsmith_inference.tensors import OutputTensor, vector_output
from sightsmith_inference.trained_models import ModelFile, checked_file
from sightsmith_inference.triton_repository import TritonRepository
from sightsmith_inference.tritons import Tritons

PUBLISHED_PREFIX = "backbones/published"
"""Here training puts a descriptor for each backbone."""

_log = get_logger(__name__)


class BackboneState(StrEnum):
    """Whether a backbone can be used."""

    STARTING = "STARTING"
    READY = "READY"
    FAILED = "FAILED"


class _DescribedFile(BaseModel):
    path: str
    key: str
    sha256: str
    size_bytes: int


class _Descriptor(BaseModel):
    """What training says of a backbone that it published."""

    name: str
    network: str
    image_side: int = Field(ge=1)
    features: int = Field(ge=1)
    # A folder's name: no separators, nothing hidden.
    triton_model: str = Field(pattern=r"^backbone\.[a-z0-9][a-z0-9.-]*$")
    files: list[_DescribedFile]


@dataclass(frozen=True)
class Backbone:
    """A backbone that was published.

    Attributes:
        network: its name in the catalogue of the trainings.
        image_side: side in pixels of the square images that it takes.
        features: how many it gives for each image.
        triton_model: its name in Triton.
        max_batch_size: how many images Triton takes in one request, at least 1.
    """

    name: BackboneName
    network: str
    image_side: int
    features: int
    triton_model: str
    max_batch_size: int

    @property
    def outputs(self) -> tuple[OutputTensor, ...]:
        """What it gives for each image."""
        return vector_output(self.features)


class Backbones:
    """Stages the published backbones, and keeps them loaded in Triton. Every replica does so: it does no harm twice."""

    def __init__(
        self, settings: InferenceSettings, objects: Objects, repository: TritonRepository, triton: Tritons
    ) -> None:
        self._settings = settings
        self._objects = objects
        self._repository = repository
        self._triton = triton
        self._woken = asyncio.Event()
        self._retries = Retries()
        self._found: dict[str, Backbone] = {}
        self._states: dict[str, BackboneState] = {}
        self._next_listing = 0.0

    def all(self) -> Sequence[tuple[Backbone, BackboneState]]:
        """The backbones that are known, ordered by name, and whether each can be used."""
        return [(self._found[name], self._states[name]) for name in sorted(self._found)]

    def ready(self, name: BackboneName) -> Backbone:
        """A backbone that can be used.

        Raises:
            NotFoundError: if there is none of that name.
            UnavailableError: with the reason WRONG_STATE, if it cannot be used now.
        """
        backbone, state = self._found.get(str(name)), self._states.get(str(name))
        if backbone is None:
            raise NotFoundError(str(name))
        if state is not BackboneState.READY:
            message = f"{name} does not answer, it is {state}"
            raise UnavailableError(message, reason="WRONG_STATE", metadata={"state": str(state)})
        return backbone

    def look_for_new(self) -> None:
        """Says that a backbone may have been published."""
        self._next_listing = 0.0
        self._woken.set()

    def wake(self) -> None:
        """Says that Triton may have lost what it had loaded."""
        self._woken.set()

    async def run(self) -> None:
        """Works until cancelled."""
        while True:
            await self._look()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.reconcile_seconds):
                    await self._woken.wait()
            self._woken.clear()

    async def _look(self) -> None:
        try:
            if time.monotonic() >= self._next_listing:
                await self._find_published()
                self._next_listing = time.monotonic() + self._settings.backbone_listing_seconds
            if self._found:
                await self._load_missing(await self._triton.loaded_everywhere())
        except SightsmithError as error:
            _log.warning("backbones are not looked after", error=error.message)

    async def _find_published(self) -> None:
        for key in await self._objects.keys(PUBLISHED_PREFIX):
            if not self._retries.is_due(key):
                continue
            try:
                backbone = await self._stage(key)
            except ModelNotServableError as error:
                self._retries.postpone(key)
                _log.warning("backbone cannot be used", descriptor=key, error=error.message)
            else:
                self._found[str(backbone.name)] = backbone
                self._states.setdefault(str(backbone.name), BackboneState.STARTING)

    async def _stage(self, key: str) -> Backbone:
        """Reads a descriptor, and puts the backbone's files into the Triton repository."""
        try:
            descriptor = _Descriptor.model_validate_json(await self._objects.get(key))
        except (FileNotFoundError, ValidationError) as error:
            raise ModelNotServableError(f"{key} describes no backbone: {error}") from error
        files = _files_of(descriptor)
        text = await self._repository.configuration(files)
        outputs = vector_output(descriptor.features)
        size = check_configuration(text, descriptor.triton_model, Runtime.ONNX, descriptor.image_side, outputs)
        await self._repository.put(descriptor.triton_model, files)
        return Backbone(
            name=BackboneName.parse(descriptor.name),
            network=descriptor.network,
            image_side=descriptor.image_side,
            features=descriptor.features,
            triton_model=descriptor.triton_model,
            max_batch_size=size,
        )

    async def _load_missing(self, loaded: frozenset[str]) -> None:
        for name, backbone in self._found.items():
            if backbone.triton_model in loaded:
                self._states[name] = BackboneState.READY
            elif self._retries.is_due(name):
                await self._load(name, backbone)

    async def _load(self, name: str, backbone: Backbone) -> None:
        self._states[name] = BackboneState.STARTING
        try:
            await self._triton.load(backbone.triton_model, self._settings.model_load_timeout_seconds)
        except ModelNotServableError as error:
            self._states[name] = BackboneState.FAILED
            self._retries.postpone(name)
            _log.warning("backbone cannot be loaded", backbone=name, error=error.message)
        else:
            self._states[name] = BackboneState.READY
            self._retries.forget(name)
            _log.info("backbone stands ready", backbone=name)


def _files_of(descriptor: _Descriptor) -> Mapping[str, ModelFile]:
    return {file.path: checked_file(file, f"files[{index}]") for index, file in enumerate(descriptor.files)}
