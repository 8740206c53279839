"""Which export each runtime should use."""

from collections.abc import Sequence

from sightsmith_training.engine.contract import ExportFormat, Recommendation, VariantFormat
from sightsmith_training.engine.variants.variant import Variant

_WORTH_IT = 0.9  # Of the full model's time: a variant that saves less is not worth any loss.


def recommend(variants: Sequence[Variant]) -> list[Recommendation]:
    """Chooses among the full model and the variants that were kept."""
    on_cpu, why_on_cpu = _for_cpu(_kept(variants, "onnx_int8"))
    on_gpu, why_on_gpu = _for_gpu(_kept(variants, "onnx_fp16"))
    return [
        Recommendation(runtime="onnxruntime-cpu", format=on_cpu, reason=why_on_cpu),
        Recommendation(runtime="onnxruntime-cuda", format=on_gpu, reason=why_on_gpu),
        Recommendation(runtime="tensorrt", format=on_gpu, reason=why_on_gpu),
        Recommendation(runtime="pytorch", format="torchscript", reason="the only format that it reads"),
    ]


def _kept(variants: Sequence[Variant], wanted: VariantFormat) -> Variant | None:
    return next((variant for variant in variants if variant.format == wanted and variant.kept), None)


def _for_cpu(int8: Variant | None) -> tuple[ExportFormat, str]:
    # Never fp16: a CPU computes it in 32 bits and converts before and after.
    if int8 is None:
        return "onnx", "no int8 variant loses little enough"
    before, after = int8.milliseconds_before, int8.milliseconds_after
    times = f"{after:.1f} ms an image instead of {before:.1f} on the CPU of the training"
    if after > _WORTH_IT * before:
        return "onnx", f"int8 gains too little: {times}"
    return "onnx_int8", f"{times}; {int8.reason}"


def _for_gpu(fp16: Variant | None) -> tuple[ExportFormat, str]:
    if fp16 is None:
        return "onnx", "no fp16 variant loses little enough"
    return "onnx_fp16", f"GPUs compute sixteen bits faster than 32; {fp16.reason}"
