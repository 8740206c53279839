"""The page of a model card, in the order of Mitchell et al., "Model Cards for Model Reporting" (2019)."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from sightsmith.api.labeling.v1.snapshot_pb2 import Snapshot
from sightsmith.api.training.v1.evaluation_pb2 import Evaluation
from sightsmith.api.training.v1.model_pb2 import Artifact, Model, Recommendation
from sightsmith.counting import counted
from sightsmith_training.engine.contract import INPUT_NAME, OUTPUT_NAME

_TASKS = {
    Model.TASK_CLASSIFICATION: "gives a whole image one label out of several",
    Model.TASK_MULTI_LABEL_CLASSIFICATION: "gives a whole image any number of labels, also none",
    Model.TASK_DETECTION: "finds objects: boxes with labels",
}
_BASES = {
    Evaluation.BASIS_TEST: "test images, which it did not learn from",
    Evaluation.BASIS_CROSS_VALIDATION: (
        "training images, each predicted by a model that did not learn from it, because there were no test images"
    ),
}
_BOUNDS = {
    Model.TASK_MULTI_LABEL_CLASSIFICATION: "Anything else on an image goes unmentioned",
    Model.TASK_DETECTION: "Objects of other kinds are not found, or are taken for one of these",
}
_OUTPUTS = {
    Model.TASK_DETECTION: (
        "`OUTPUT__0` `float32` [n, k, 4]: boxes as left, top, right and bottom, in shares of the image's sides, 0 to 1",
        "`OUTPUT__1` `float32` [n, k]: scores, 0 to 1, descending; 0 where there is no further object",
        "`OUTPUT__2` `int32` [n, k]: labels, by their position in the list above",
    )
}
# Below this many judged images, a label's figures say little.
_FEW_IMAGES = 10
_SPECIAL = re.compile(r"([\\`*_\[\]|<>#])")


def model_card_page(
    model: Model, evaluation: Evaluation, snapshot: Snapshot | None, licences: Mapping[str, str]
) -> str:
    """Writes the page. The same arguments give the same text.

    Args:
        model: what it is about.
        evaluation: how good the model is.
        snapshot: what it learned from; None if that is gone.
        licences: SPDX identifiers of the licences of pretrained weights, by the name of their network.

    Returns:
        Markdown, with a line end at its end.
    """
    sections = (
        ("# " + model.name, _summary(model)),
        ("## What it learned from", _data(model, snapshot)),
        ("## How it was made", _making(model, licences)),
        ("## How good it is", _figures(model, evaluation)),
        ("## What to beware of", _limits(model, evaluation)),
        ("## How to run it", _running(model)),
    )
    return "\n\n".join(part for heading, body in sections for part in (heading, *body)) + "\n"


def _summary(model: Model) -> Iterator[str]:
    if model.description:
        yield _plain(model.description)
    rows = [
        ("task", _TASKS.get(model.task, "not known")),
        ("labels", ", ".join(map(_plain, model.labels))),
        ("available since", f"{model.create_time.ToDatetime():%Y-%m-%d %H:%M:%S} UTC"),
        ("time of training", f"{model.training_duration.ToTimedelta().total_seconds():.1f} s"),
        ("training job", model.training_job),
        ("snapshot", model.snapshot),
        ("seed", str(model.seed)),
    ]
    if model.copied_from:
        rows.append(("copy of", model.copied_from))
    rows += [(f"tag {_plain(name)}", _plain(value)) for name, value in sorted(model.tags.items())]
    yield _table(("", ""), rows)


def _data(model: Model, snapshot: Snapshot | None) -> Iterator[str]:
    if model.left_out_labels:
        left_out = ", ".join(map(_plain, model.left_out_labels))
        yield f"Labels that were left out, because they have too few images to learn from: {left_out}."
    if snapshot is None:
        yield "The snapshot is gone with its project."
        return
    images = f"{snapshot.train_image_count} images to learn from and {snapshot.test_image_count} to test with"
    yield f"Snapshot `{snapshot.name}`: {images}; the SHA-256 of its manifest is `{snapshot.manifest_sha256}`."
    rows = (
        (
            _plain(count.label),
            str(count.train_image_count),
            str(count.test_image_count),
            str(count.train_box_count),
            str(count.test_box_count),
        )
        for count in snapshot.label_counts
    )
    yield _table(("label", "images to learn from", "to test with", "boxes to learn from", "to test with"), rows)


def _making(model: Model, licences: Mapping[str, str]) -> Iterator[str]:
    yield f"Candidates that were compared, on the training images alone: {len(model.candidates)}. The first was chosen."
    yield _table(
        ("candidate", "pretrained networks", "cross-validated score", "deviation"),
        (
            (
                _plain(candidate.display_name),
                _plain(", ".join(candidate.backbones)),
                f"{candidate.score_mean:.3f}",
                f"{candidate.score_deviation:.3f}",
            )
            for candidate in model.candidates
        ),
    )
    if model.candidates:
        yield "Licences of the pretrained weights that are in it:"
        chosen = sorted(model.candidates[0].backbones)
        yield _table(("network", "licence"), ((_plain(name), licences.get(name, "not known")) for name in chosen))
    yield "Libraries that took part:"
    yield _table(("library", "version"), sorted(model.library_versions.items()))


def _figures(model: Model, evaluation: Evaluation) -> Iterator[str]:
    summary = evaluation.summary
    yield f"Judged on {evaluation.image_count} {_BASES.get(evaluation.basis, 'images')}."
    labels = [
        (_plain(label.label), label.precision, label.recall, label.f1, label.image_count)
        for label in evaluation.label_metrics
    ]
    all_labels = (summary.macro_precision, summary.macro_recall, summary.macro_f1, evaluation.image_count)
    rows = (
        # Of a label that no image carries nothing can be said.
        (name, *(f"{share:.3f}" if images else "–" for share in shares), str(images))
        for name, *shares, images in [*labels, ("all labels (macro)", *all_labels)]
    )
    yield _table(("label", "precision", "recall", "F1", "images"), rows)
    yield from _thresholds(model)


def _thresholds(model: Model) -> Iterator[str]:
    asked = [item for item in model.thresholds if item.threshold > 0]
    if asked:
        others = "" if len(asked) == len(model.thresholds) else "; every other label from any score on"
        yield f"A label holds from these scores on{others}:"
        yield _table(("label", "score"), ((_plain(item.label), f"{item.threshold:.3f}") for item in asked))
    elif model.task == Model.TASK_CLASSIFICATION:
        yield "The surest label is the answer, however sure the model is."


def _limits(model: Model, evaluation: Evaluation) -> Iterator[str]:
    points = []
    if model.task in _TASKS:
        points.append(f"It knows {counted(len(model.labels), 'label')}. {_bounds(model)}.")
    if model.task == Model.TASK_CLASSIFICATION and evaluation.image_count:
        points.append(_accuracy(evaluation))
    few = [label for label in evaluation.label_metrics if label.image_count < _FEW_IMAGES]
    if few:
        names = ", ".join(f"{_plain(label.label)} ({label.image_count})" for label in few)
        points.append(f"Figures of labels with fewer than {_FEW_IMAGES} judged images say little: {names}.")
    side = model.image_side
    points.append(f"Images are squashed to {side} × {side} pixels: what cannot be seen at that size is not seen.")
    points.append("It is as good as said here on images like those it was judged on, and on no others.")
    yield "\n".join(f"- {point}" for point in points)


def _bounds(model: Model) -> str:
    """What it does with images of anything else."""
    if model.task != Model.TASK_CLASSIFICATION:
        return _BOUNDS[model.task]
    # The surest of n labels has a score of 1 / n at least.
    if all(item.threshold * len(model.labels) <= 1 for item in model.thresholds):
        return "An image of anything else is given one of them all the same"
    return "An image whose surest label stays below its score is given none; one of anything else may still reach it"


def _accuracy(evaluation: Evaluation) -> str:
    share, images = evaluation.summary.accuracy, counted(evaluation.image_count, "image")
    told = f"It was right on {share:.1%} of {images}"
    if not evaluation.HasField("accuracy_interval"):
        return f"{told}."
    expected = evaluation.accuracy_interval
    return (
        f"{told}. On more images of the same kind, expect {expected.lower:.1%} to {expected.upper:.1%} (95 % interval)."
    )


def _running(model: Model) -> Iterator[str]:
    side = model.image_side
    classes = (f"`{OUTPUT_NAME}` `float32` [n, {len(model.labels)}]: a score for each label, 0 to 1, in their order",)
    ends = [
        f"- in: `{INPUT_NAME}` `uint8` [n, {side}, {side}, 3]: images in RGB, turned upright as their EXIF says, laid "
        "over white where transparent, squashed to the square by a bicubic filter",
        *(f"- out: {output}" for output in _OUTPUTS.get(model.task, classes)),
    ]
    yield "\n".join(ends)
    parity = model.parity
    yield (
        f"Compared with the trained network on {counted(parity.image_count, 'image')}, no score of the ONNX file is "
        f"off by more than {parity.onnx_difference:.1e} and none of the TorchScript file by more than "
        f"{parity.torchscript_difference:.1e}."
    )
    yield from _variants(model)
    yield _table(
        ("format", "file", "bytes", "SHA-256"),
        (
            (
                _format_name(artifact.format),
                f"`{artifact.path}`",
                str(artifact.size_bytes),
                f"`{artifact.sha256}`",
            )
            for artifact in model.artifacts
        ),
    )


def _variants(model: Model) -> Iterator[str]:
    """Nothing, if no variants were tried."""
    if model.variants:
        yield "Variants of the ONNX file with fewer bits, which take and give the same:"
        rows = (
            (_format_name(each.format), "yes" if each.kept else "no", _plain(each.reason)) for each in model.variants
        )
        yield _table(("format", "kept", "why"), rows)
    if model.recommendations:
        yield "What each runtime should use:"
        yield _table(
            ("runtime", "format", "why"),
            (
                (
                    Recommendation.Runtime.Name(each.runtime).removeprefix("RUNTIME_").lower(),
                    _format_name(each.format),
                    _plain(each.reason),
                )
                for each in model.recommendations
            ),
        )


def _format_name(value: Artifact.Format.ValueType) -> str:
    return Artifact.Format.Name(value).removeprefix("FORMAT_").lower()


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _plain(text: str) -> str:
    """Text of users in one line that means nothing to Markdown."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
