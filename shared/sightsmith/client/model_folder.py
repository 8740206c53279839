"""A model as a folder that runs with onnxruntime alone, and an example in it that needs no Sightsmith."""

import errno
import hashlib
import json
import shutil
import uuid
from importlib.resources import files
from pathlib import Path

from sightsmith.api.training.v1.model_pb2 import Artifact, Model, Recommendation
from sightsmith.client.file_download import OnBytes
from sightsmith.client.models import Models
from sightsmith.errors import FailedPreconditionError

SUMS = "SHA256SUMS"
_ONNX_FILE = "1/model.onnx"
# What inference takes for a label that the model has no threshold for.
_DEFAULT_THRESHOLD = 0.5


def recommended_for_cpu(model: Model) -> Artifact.Format.ValueType:
    """Which of its ONNX files a model recommends for a processor; the full one if it recommends nothing."""
    for recommendation in model.recommendations:
        if recommendation.runtime == Recommendation.RUNTIME_ONNXRUNTIME_CPU:
            return recommendation.format
    return Artifact.FORMAT_ONNX


def onnx_file_of(model: Model, wanted: Artifact.Format.ValueType = Artifact.FORMAT_ONNX) -> Artifact:
    """An ONNX file of a model: the full one, or a variant.

    Raises:
        FailedPreconditionError: if it has none.
    """
    for artifact in model.artifacts:
        if artifact.format == wanted and artifact.path == _ONNX_FILE:
            return artifact
    raise no_file_of(model, wanted)


def no_file_of(model: Model, wanted: Artifact.Format.ValueType) -> FailedPreconditionError:
    """The error that a model has no file of a format, with what the model knows of the reason."""
    reasons = {variant.format: variant.reason for variant in model.variants}
    name = Artifact.Format.Name(wanted).removeprefix("FORMAT_").lower()
    return FailedPreconditionError(
        f"{model.name} has no {name} file: {reasons.get(wanted, 'its training did not try that')}"
    )


def thresholds_of(model: Model) -> dict[str, float]:
    """The least score at which each label holds; none for a model whose answer is the label with the best score."""
    if not model.thresholds and model.task == Model.TASK_CLASSIFICATION:
        return {}
    return {
        **dict.fromkeys(model.labels, _DEFAULT_THRESHOLD),
        **{item.label: item.threshold for item in model.thresholds},
    }


def export_model(
    models: Models, model: Model, folder: Path, on_bytes: OnBytes | None = None, file: Artifact | None = None
) -> None:
    """Writes the folder of a model, which is there only if it is whole.

    Args:
        models: where the model comes from.
        model: the one to export.
        folder: that is to be made; it may be there if it is empty.
        on_bytes: told of the bytes of the ONNX file as they come.
        file: the ONNX file; the one that the model recommends for processors if not given.

    Raises:
        SightsmithError: if the service cannot give what is needed.
        OSError: if the folder is not empty or cannot be written.
    """
    file = file or onnx_file_of(model, recommended_for_cpu(model))
    folder = folder.absolute()
    _require_empty(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.part")
    draft.mkdir()
    try:
        models.download(model.name, file, draft / "model.onnx", on_bytes)
        _write_json(draft / "labels.json", list(model.labels))
        _write_json(draft / "thresholds.json", thresholds_of(model))
        _write_json(draft / "task.json", Model.Task.Name(model.task).removeprefix("TASK_").lower())
        (draft / "model_card.md").write_text(models.card(model.name), encoding="utf-8")
        (draft / "predict.py").write_bytes(_example(model))
        (draft / SUMS).write_text(_sums(draft), encoding="utf-8")
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _require_empty(folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()):
        raise OSError(errno.ENOTEMPTY, "is not empty", str(folder))
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "is not a folder", str(folder))


def _example(model: Model) -> bytes:
    name = "find_objects.py" if model.task == Model.TASK_DETECTION else "tell_labels.py"
    return (files("sightsmith.client") / "examples" / name).read_bytes()


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _sums(folder: Path) -> str:
    """What `sha256sum -c` reads."""
    paths = sorted(path for path in folder.iterdir())
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in paths)
