"""Which export each runtime should use."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sightsmith_training.engine.variants.variant import Kind, Variant

Runtime = Literal["onnxruntime-cpu", "onnxruntime-cuda", "tensorrt", "pytorch"]
Export = Literal["float32", "fp16", "int8", "torchscript"]

_WORTH_IT = 0.9  # Of the full model's time: a variant that saves less is not worth any loss.


@dataclass(frozen=True)
class Recommendation:
    """The export for a runtime, and why, in plain words."""

    export: Export
    reason: str


def recommend(variants: Sequence[Variant]) -> dict[Runtime, Recommendation]:
    """Chooses among the full model and the variants that were kept."""
    on_gpu = _for_gpu(_kept(variants, "fp16"))
    return {
        "onnxruntime-cpu": _for_cpu(_kept(variants, "int8")),
        "onnxruntime-cuda": on_gpu,
        "tensorrt": on_gpu,
        "pytorch": Recommendation("torchscript", "the only format that it reads"),
    }


def _kept(variants: Sequence[Variant], kind: Kind) -> Variant | None:
    return next((variant for variant in variants if variant.kind == kind and variant.kept), None)


def _for_cpu(int8: Variant | None) -> Recommendation:
    # Never fp16: a CPU computes it in 32 bits and converts before and after.
    if int8 is None:
        return Recommendation("float32", "no int8 variant loses little enough")
    before, after = int8.milliseconds_before, int8.milliseconds_after
    times = f"{after:.1f} ms an image instead of {before:.1f} on the CPU of the training"
    if after > _WORTH_IT * before:
        return Recommendation("float32", f"int8 gains too little: {times}")
    return Recommendation("int8", f"{times}; {int8.reason}")


def _for_gpu(fp16: Variant | None) -> Recommendation:
    if fp16 is None:
        return Recommendation("float32", "no fp16 variant loses little enough")
    return Recommendation("fp16", f"GPUs compute sixteen bits faster than 32; {fp16.reason}")
