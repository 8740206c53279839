"""Tables of a model's variants, and of what it recommends to runtimes."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from sightsmith.api.training.v1.model_pb2 import Artifact, Model, Recommendation, Variant


def format_name(value: Artifact.Format.ValueType) -> str:
    """The format of a file in lower case, such as `onnx_int8`."""
    return Artifact.Format.Name(value).removeprefix("FORMAT_").lower()


def variant_tables(model: Model) -> Iterator[RenderableType]:
    """What there is to tell: nothing of a model for which no variants were tried."""
    if model.variants:
        yield _variants(model)
        # Not in the table, whose columns leave no room for sentences on a narrow screen.
        yield from (f"{format_name(variant.format)}: {escape(variant.reason)}" for variant in model.variants)
    if model.recommendations:
        yield _recommendations(model)


def _variants(model: Model) -> Table:
    figure = "mAP50-95" if model.task == Model.TASK_DETECTION else "macro F1"
    table = Table("variant", "kept", figure, "full", "same labels", "ms an image", "full")
    for variant in model.variants:
        table.add_row(
            format_name(variant.format),
            "yes" if variant.kept else "no",
            _share(variant, "figure"),
            _share(variant, "full_figure"),
            _share(variant, "label_agreement"),
            f"{variant.milliseconds_per_image:.1f}",
            f"{variant.full_milliseconds_per_image:.1f}",
        )
    return table


def _share(variant: Variant, field: str) -> str:
    return f"{getattr(variant, field):.3f}" if variant.HasField(field) else "–"  # type: ignore[arg-type]


def _recommendations(model: Model) -> Table:
    table = Table("runtime", "should use", "why")
    for recommendation in model.recommendations:
        runtime = Recommendation.Runtime.Name(recommendation.runtime).removeprefix("RUNTIME_").lower()
        table.add_row(runtime, format_name(recommendation.format), escape(recommendation.reason))
    return table
