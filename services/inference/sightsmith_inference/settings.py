"""Settings of the inference service."""

import os

from pydantic import Field

from sightsmith.images import ImageLimits
from sightsmith.settings import MEBIBYTE
from sightsmith_inference.batches.settings import BatchSettings
from sightsmith_inference.models import Processor


class InferenceSettings(BatchSettings):
    """What the inference service needs to know beyond what every process does."""

    listen: str = "127.0.0.1:50053"

    # Predictions. Images beyond `max_images_in_flight` are refused at once rather than piled up.
    max_batch_images: int = Field(default=256, ge=1)
    max_images_in_flight: int = Field(default=1024, ge=1)
    max_chunks_in_flight: int = Field(default=4, ge=1)
    decode_threads: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)
    triton_timeout_seconds: float = Field(default=30.0, gt=0)

    # Predictions that were picked for review and wait to be stored; further ones are dropped and counted.
    max_sampled_bytes_waiting: int = Field(default=64 * MEBIBYTE, ge=0)

    # What Triton runs ONNX models on: decides which of a model's exports suits deployments that do not say.
    triton_processor: Processor = Processor.CPU

    # Deployments. TensorRT may build an engine while a model is loaded, which takes minutes.
    model_load_timeout_seconds: float = Field(default=600.0, gt=0)
    reconcile_seconds: float = Field(default=1.0, gt=0)
    # Longer than `routes_refresh_seconds`: by then every replica has turned away from a model that is to be unloaded.
    unload_delay_seconds: float = Field(default=5.0, ge=0)
    routes_refresh_seconds: float = Field(default=1.0, gt=0)
    # How soon a change of a model's thresholds is seen.
    thresholds_refresh_seconds: float = Field(default=10.0, gt=0)
    lease_seconds: float = Field(default=15.0, ge=2)

    # How often to look for backbones that were published without a word reaching this process.
    backbone_listing_seconds: float = Field(default=30.0, gt=0)

    @property
    def image_limits(self) -> ImageLimits:
        """What an image may be at most and must be at least."""
        return ImageLimits(self.max_image_bytes, self.max_image_pixels, self.min_image_side)
