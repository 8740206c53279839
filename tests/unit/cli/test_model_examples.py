"""The examples that exported models bring along: they must see exactly the pixels that the service sees."""

import json
import runpy
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from sightsmith.api.training.v1.model_pb2 import LabelThreshold, Model
from sightsmith.client.model_folder import thresholds_of
from sightsmith.images import decode_square
from sightsmith.names import ModelName
from sightsmith_inference.trained_models import trained_model_of

SIDE = 24
BLOCKS = np.random.default_rng(7).integers(0, 256, (31, 43, 3), dtype=np.uint8)
PHOTO = Image.fromarray(BLOCKS).resize((430, 310), Image.Resampling.BICUBIC)


def exif(orientation: int) -> Image.Exif:
    made = Image.Exif()
    made[0x0112] = orientation
    return made


def with_holes(picture: Image.Image) -> Image.Image:
    holed = picture.copy()
    holed.putalpha(Image.fromarray(BLOCKS[:, :, 0]).resize(picture.size))
    return holed


PICTURES = {
    "plain.png": (PHOTO, {}),
    "plain.jpg": (PHOTO, {"quality": 95}),
    "grey.jpg": (PHOTO.convert("L"), {}),
    "cmyk.jpg": (PHOTO.convert("CMYK"), {}),
    "palette.gif": (PHOTO.convert("P"), {}),
    "see-through.gif": (PHOTO.convert("P"), {"transparency": 3}),
    "holes.png": (with_holes(PHOTO), {}),
    "grey-holes.png": (with_holes(PHOTO.convert("L")), {}),
    "holes.webp": (with_holes(PHOTO), {"lossless": True}),
    "lying-holes.png": (with_holes(PHOTO), {"exif": exif(6)}),
    "lying.tif": (PHOTO, {"exif": exif(8)}),
    "tiny.bmp": (PHOTO.resize((3, 5)), {}),
    **{f"turned-{number}.jpg": (PHOTO, {"exif": exif(number)}) for number in range(1, 9)},
}


def folder_of(
    folder: Path,
    example: str,
    model: onnx.ModelProto,
    labels: list[str],
    thresholds: object,
    task: str = "multi_label_classification",
) -> Path:
    onnx.checker.check_model(model)
    (folder / "task.json").write_text(json.dumps(task))
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    (folder / "labels.json").write_text(json.dumps(labels))
    (folder / "thresholds.json").write_text(json.dumps(thresholds))
    (folder / "predict.py").write_bytes((files("sightsmith.client") / "examples" / example).read_bytes())
    return folder / "predict.py"


def model_of(nodes: list[onnx.NodeProto], outputs: list[onnx.ValueInfoProto], constants: dict) -> onnx.ModelProto:
    images = helper.make_tensor_value_info("INPUT__0", TensorProto.UINT8, ["batch", SIDE, SIDE, 3])
    held = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "example", [images], outputs, held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def lines_of(script: Path, paths: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> list:
    monkeypatch.setattr(sys, "argv", [str(script), *map(str, paths)])
    runpy.run_path(str(script), run_name="__main__")
    return [line.split("\t") for line in capsys.readouterr().out.splitlines()]


def test_every_pixel_is_the_service_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """By a model whose scores are the pixels."""
    nodes = [
        helper.make_node("Cast", ["INPUT__0"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["pixels", "most"], ["shares"]),
        helper.make_node("Flatten", ["shares"], ["OUTPUT__0"]),
    ]
    outputs = [helper.make_tensor_value_info("OUTPUT__0", TensorProto.FLOAT, ["batch", SIDE * SIDE * 3])]
    model = model_of(nodes, outputs, {"most": np.array(255, np.float32)})
    labels = [str(number) for number in range(SIDE * SIDE * 3)]
    script = folder_of(tmp_path, "tell_labels.py", model, labels, {})
    paths = []
    for name, (picture, options) in PICTURES.items():
        picture.save(tmp_path / name, **options)
        paths.append(tmp_path / name)
    seen = {path: np.zeros(len(labels)) for path in paths}
    for path, label, score in lines_of(script, paths, monkeypatch, capsys):
        seen[Path(path)][int(label)] = float(score)
    for path in paths:
        ours = decode_square(path.read_bytes(), SIDE).ravel()
        theirs = np.rint(seen[path] * 255)
        assert np.array_equal(theirs, ours), f"{path.name}: off by up to {np.abs(theirs - ours).max()}"


@pytest.mark.parametrize(
    ("task", "thresholds", "answers"),
    [
        ("multi_label_classification", {"a": 0.2, "b": 0.8, "c": 0.5}, [["c", "0.500000"], ["a", "0.250000"]]),
        ("classification", {}, [["b", "0.750000"]]),
        ("classification", {"a": 0.0, "b": 0.7, "c": 0.0}, [["b", "0.750000"]]),
        ("classification", {"a": 0.0, "b": 0.8, "c": 0.0}, []),
    ],
)
def test_the_answer_is_what_the_task_and_the_thresholds_say(
    task: str,
    thresholds: dict[str, float],
    answers: list[list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    nodes = [helper.make_node("Identity", ["scores"], ["OUTPUT__0"])]
    outputs = [helper.make_tensor_value_info("OUTPUT__0", TensorProto.FLOAT, [1, 3])]
    model = model_of(nodes, outputs, {"scores": np.array([[0.25, 0.75, 0.5]], np.float32)})
    script = folder_of(tmp_path, "tell_labels.py", model, ["a", "b", "c"], thresholds, task)
    PHOTO.save(tmp_path / "photo.png")
    lines = lines_of(script, [tmp_path / "photo.png"], monkeypatch, capsys)
    assert [line[1:] for line in lines] == answers


def test_found_objects_are_told_with_their_boxes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    boxes = np.array([[[0, 0.25, 0.5, 1], [0.1, 0.2, 0.3, 0.4], [0, 0, 0, 0]]], np.float32)
    constants = {
        "boxes": boxes,
        "scores": np.array([[0.875, 0.5, 0]], np.float32),
        "positions": np.array([[1, 0, 0]], np.int32),
    }
    kinds = (TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.INT32)
    nodes, outputs = [], []
    for number, (name, kind) in enumerate(zip(constants, kinds, strict=True)):
        nodes.append(helper.make_node("Identity", [name], [f"OUTPUT__{number}"]))
        outputs.append(helper.make_tensor_value_info(f"OUTPUT__{number}", kind, constants[name].shape))
    labels = ["cat", "dog"]
    script = folder_of(
        tmp_path, "find_objects.py", model_of(nodes, outputs, constants), labels, {"cat": 0.6, "dog": 0.5}
    )
    PHOTO.save(tmp_path / "photo.png")
    lines = lines_of(script, [tmp_path / "photo.png"], monkeypatch, capsys)
    assert lines == [[str(tmp_path / "photo.png"), "dog", "0.875000", "0.00000 0.25000 0.50000 1.00000"]]


@pytest.mark.parametrize(
    ("task", "thresholds", "expected"),
    [
        (Model.TASK_CLASSIFICATION, {}, {}),
        (Model.TASK_CLASSIFICATION, {"b": 0.25}, {"a": 0.5, "b": 0.25}),
        (Model.TASK_MULTI_LABEL_CLASSIFICATION, {}, {"a": 0.5, "b": 0.5}),
        (Model.TASK_DETECTION, {"a": 0.75}, {"a": 0.75, "b": 0.5}),
    ],
)
def test_thresholds_are_those_that_the_service_takes(
    task: Model.Task.ValueType, thresholds: dict[str, float], expected: dict[str, float]
) -> None:
    model = Model(task=task, labels=["a", "b"])
    model.thresholds.extend(LabelThreshold(label=label, threshold=value) for label, value in thresholds.items())
    assert thresholds_of(model) == expected
    model.image_side = SIDE
    served = trained_model_of(ModelName("shop", "v1"), model).thresholds
    assert served == (tuple(expected.values()) or None)


@pytest.fixture
def telling(tmp_path: Path) -> Path:
    """An example whose model says `a` of everything."""
    nodes = [helper.make_node("Identity", ["scores"], ["OUTPUT__0"])]
    outputs = [helper.make_tensor_value_info("OUTPUT__0", TensorProto.FLOAT, [1, 1])]
    model = model_of(nodes, outputs, {"scores": np.array([[0.75]], np.float32)})
    return folder_of(tmp_path, "tell_labels.py", model, ["a"], {})


def test_what_is_no_image_is_named_and_the_others_go_on(
    telling: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    folder = telling.parent
    PHOTO.save(folder / "first.jpg")
    (folder / "cut.jpg").write_bytes((folder / "first.jpg").read_bytes()[:2000])
    (folder / "text.jpg").write_text("no image")
    PHOTO.save(folder / "last.png")
    names = ["first.jpg", "text.jpg", "cut.jpg", "gone.jpg", ".", "last.png"]
    monkeypatch.setattr(sys, "argv", [str(telling), *(str(folder / name) for name in names)])
    with pytest.raises(SystemExit) as exited:
        runpy.run_path(str(telling), run_name="__main__")
    assert [Path(line.split("\t")[0]).name for line in capsys.readouterr().out.splitlines()] == [
        "first.jpg",
        "last.png",
    ]
    told = str(exited.value.code).splitlines()  # What Python prints to standard error before it exits with code 1.
    assert [line.split(" cannot be read as an image: ")[0] for line in told] == [
        str(folder / name) for name in names[1:-1]
    ]


@pytest.mark.parametrize("example", ["tell_labels.py", "find_objects.py"])
def test_no_image_at_all_is_wrong_usage(
    example: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    script = str(files("sightsmith.client") / "examples" / example)
    monkeypatch.setattr(sys, "argv", [script])
    with pytest.raises(SystemExit) as exited:
        runpy.run_path(script, run_name="__main__")
    assert exited.value.code == 2
    assert "usage: python predict.py IMAGE…" in capsys.readouterr().err
