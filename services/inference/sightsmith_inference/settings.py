"""Settings of the inference service."""

import os
from typing import Self

from pydantic import Field, model_validator

from sightsmith.images import ImageLimits
from sightsmith.places import AllowedPlaces
from sightsmith.settings import MEBIBYTE
from sightsmith_inference.batches.settings import BatchSettings
from sightsmith_inference.models import Processor


class InferenceSettings(BatchSettings):
    """What the inference service needs to know beyond what every process does."""

    listen: str = "127.0.0.1:50053"

    # Predictions. Images beyond `max_images_in_flight`, or of more encoded bytes, are refused at once rather than piled
    # up. Streams wait instead, while half of either is taken.
    max_batch_images: int = Field(default=256, ge=1)
    max_images_in_flight: int = Field(default=1024, ge=1)
    max_bytes_in_flight: int = Field(default=512 * MEBIBYTE, ge=1)
    max_chunks_in_flight: int = Field(default=4, ge=1)
    decode_threads: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)
    triton_timeout_seconds: float = Field(default=30.0, gt=0)
    # How long a prediction asks again when Triton has gone away, within its deadline.
    triton_retry_seconds: float = Field(default=10.0, ge=0)

    # Places that clients may have images read from: `["s3://bucket/folder/"]`. `{project}` stands for the project's id.
    prediction_sources: tuple[str, ...] = ()

    # Images of a stream that were read and whose answers were not taken yet.
    stream_window_images: int = Field(default=256, ge=1)
    # How long an image of a stream waits for others to be asked about together with it.
    stream_linger_seconds: float = Field(default=0.005, ge=0)
    # A stream whose client sends nothing, or takes no answer, for this long is ended.
    stream_idle_seconds: float = Field(default=120.0, gt=0)

    # Predictions that were picked for review and wait to be stored; further ones are dropped and counted.
    max_sampled_bytes_waiting: int = Field(default=64 * MEBIBYTE, ge=0)
    # For how long samples are kept where the deployment's policy does not say.
    sample_keep_days: float = Field(default=30.0, gt=0, le=3650)
    # An image has drifted if it is farther from what a model learned from than this share of those images is from
    # each other.
    drift_quantile: float = Field(default=0.95, gt=0, lt=1)
    # How many of the images that a model learned from are remembered for that: 5 KB each, as a rule.
    max_drift_references: int = Field(default=2000, ge=2)
    # Images that wait to be looked at for drift; further ones are dropped and counted.
    max_drift_bytes_waiting: int = Field(default=16 * MEBIBYTE, ge=0)

    # Copies of images that wait for shadows; further ones are dropped and counted.
    max_shadow_bytes_waiting: int = Field(default=16 * MEBIBYTE, ge=0)
    # How often it is written down how shadows do.
    shadow_figures_seconds: float = Field(default=5.0, gt=0)

    # What Triton runs ONNX models on: decides which of a model's exports suits deployments that do not say.
    triton_processor: Processor = Processor.CPU

    # How many cores each of them has: how many are divided among instances where a set-up is measured.
    triton_cores: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)
    # How long the set-ups of a model are measured, where that is wished for, before it gets traffic.
    profile_seconds: float = Field(default=30.0, gt=0)

    # Several Triton servers that see one model repository, as `["host:8001", …]`; `triton_target` if left out.
    triton_targets: tuple[str, ...] = ()

    # Where clients reach Triton themselves: `host:port` of its gRPC, URL of its HTTP. Nobody is told if left empty.
    triton_public_target: str = ""
    triton_public_url: str = ""

    # Deployments. TensorRT may build an engine while a model is loaded, which takes minutes.
    model_load_timeout_seconds: float = Field(default=600.0, gt=0)
    # On how many stored images a model must say what its training recorded before it gets traffic; 0 for none.
    check_images: int = Field(default=8, ge=0, le=250)
    # How many replicas a deployment may ask for.
    max_replicas: int = Field(default=32, ge=1)
    # Between their least and greatest number, replicas follow the mean time that requests wait in Triton's queue during
    # the last `scale_window_seconds`.
    scale_look_seconds: float = Field(default=2.0, gt=0)
    scale_window_seconds: float = Field(default=10.0, gt=0)
    scale_up_queue_seconds: float = Field(default=0.05, gt=0)
    scale_down_queue_seconds: float = Field(default=0.005, ge=0)
    # How long after a change there may be another one. A window at least, so that it shows what the change has brought.
    scale_up_after_seconds: float = Field(default=15.0, ge=0)
    scale_down_after_seconds: float = Field(default=120.0, ge=0)
    # How often it is written down, at most, that a deployment is used.
    last_use_seconds: float = Field(default=10.0, ge=0)
    # How long a request waits for a deployment that is idle to be loaded, within its deadline; 0 for not at all.
    warm_up_wait_seconds: float = Field(default=30.0, ge=0)
    reconcile_seconds: float = Field(default=1.0, gt=0)
    # Longer than `routes_refresh_seconds`: by then every replica has turned away from a model that is to be unloaded.
    unload_delay_seconds: float = Field(default=5.0, ge=0)
    routes_refresh_seconds: float = Field(default=1.0, gt=0)
    # How soon a change of a model's thresholds is seen.
    thresholds_refresh_seconds: float = Field(default=10.0, gt=0)
    # How often a watch that has nothing to tell shows that it is alive.
    watch_keepalive_seconds: float = Field(default=15.0, gt=0)
    lease_seconds: float = Field(default=15.0, ge=2)

    # How often to look for backbones that were published without a word reaching this process.
    backbone_listing_seconds: float = Field(default=30.0, gt=0)

    @model_validator(mode="after")
    def _check_bytes_in_flight(self) -> Self:
        # What a single message may bring must have room, even in the half that streams are let into.
        if self.max_bytes_in_flight < 2 * self.max_message_bytes:
            raise ValueError("max_bytes_in_flight must be at least twice max_message_bytes")
        return self

    @model_validator(mode="after")
    def _check_scaling(self) -> Self:
        # Else the same queue would call for more and for fewer.
        if self.scale_down_queue_seconds >= self.scale_up_queue_seconds:
            raise ValueError("scale_down_queue_seconds must be below scale_up_queue_seconds")
        return self

    @model_validator(mode="after")
    def _check_prediction_sources(self) -> Self:
        self.prediction_places_of("some-project")
        return self

    def prediction_places_of(self, project: str) -> AllowedPlaces:
        """The places from which images of a project, by its id, may be read.

        Raises:
            ValueError: if one of the URLs is neither of an object store nor of this machine.
        """
        places = [source.replace("{project}", project) for source in self.prediction_sources]
        return AllowedPlaces(places, "SIGHTSMITH_PREDICTION_SOURCES")

    @property
    def triton_servers(self) -> tuple[str, ...]:
        """The gRPC targets of all Triton servers, each once; at least one."""
        return tuple(dict.fromkeys(self.triton_targets)) or (self.triton_target,)

    @property
    def image_limits(self) -> ImageLimits:
        """What an image may be at most and must be at least."""
        return ImageLimits(self.max_image_bytes, self.max_image_pixels, self.min_image_side)
