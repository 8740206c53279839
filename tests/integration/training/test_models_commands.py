"""`sightsmith models`."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

from sightsmith.api.inference.v1.deployment_pb2 import Deployment
from sightsmith.client import Client
from tests.integration.inference.tiny_models import LABELS, SIDE, TinyModel
from tests.integration.training.finished_training import RECOMMENDATIONS
from tests.integration.training.neighbours import Neighbours

PublishModel = Callable[..., Awaitable[str]]
NewProject = Callable[[], str]
Run = Callable[..., Result]
# What the exported example needs, and what these need themselves.
_PACKAGES = ("onnxruntime", "numpy", "PIL", "numpy.libs", "pillow.libs")


@pytest.fixture(scope="session")
def tiny() -> TinyModel:
    return TinyModel.of_seed(3)


@pytest.fixture
async def project(publish_model: PublishModel, new_project: NewProject, tiny: TinyModel) -> str:
    """The id of a project with the model `v1`."""
    id_ = new_project()
    files = {"onnx": tiny.onnx, "torchscript": tiny.torchscript}
    await publish_model(id_, files, labels=LABELS, side=SIDE)
    return id_


@pytest.fixture(scope="session")
def three_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to import from in which there is nothing but onnxruntime, numpy and pillow."""
    folder = tmp_path_factory.mktemp("packages")
    spec = find_spec("numpy")
    assert spec is not None
    assert spec.origin is not None
    site = Path(spec.origin).parents[1]
    for name in _PACKAGES:
        if (site / name).exists():
            (folder / name).symlink_to(site / name)
    return folder


def result_of(done: Result, exit_code: int = 0) -> Any:
    assert done.exit_code == exit_code, done.output
    return json.loads(done.stdout)


def test_models_are_listed_with_and_without_the_word(run: Run, project: str) -> None:
    short, long = run("models", project, "--json"), run("models", "list", project, "--json")
    assert [model["name"] for model in result_of(short)["models"]] == [f"projects/{project}/models/v1"]
    assert result_of(long) == result_of(short)
    assert result_of(run("models", "list", project, "--label", "dark", "--order", "best", "--json")) == result_of(short)
    assert result_of(run("models", "list", project, "--tag", "stage=prod", "--json")) == {"models": []}
    assert "v1" in run("models", project).stdout
    assert "nowhere does not exist" in run("models", "nowhere").stderr


def test_a_model_is_described_tagged_and_shown(run: Run, project: str) -> None:
    result_of(run("models", "describe", project, "v1", "for the till", "--json"))
    result_of(run("models", "tag", project, "v1", "stage=test", "owner=ada", "empty=", "--json"))
    tagged = result_of(run("models", "tag", project, "v1", "stage=prod", "--remove", "owner", "--json"))
    assert tagged["tags"] == {"stage": "prod", "empty": ""}
    assert result_of(run("models", "show", project, "--json")) == tagged
    shown = run("models", "show", project, "v1").stdout
    assert "for the till" in shown
    assert "empty=, stage=prod" in shown
    assert "stage" in run("models", "list", project, "--tag", "stage=prod", "--json").stdout


def test_a_model_is_copied_and_deleted(run: Run, client: Client, project: str, new_project: NewProject) -> None:
    copy = result_of(run("models", "copy", project, "v1", other := new_project(), "--json"))
    assert copy["name"] == f"projects/{other}/models/v1"
    assert result_of(run("models", "delete", project, "v1", "--yes", "--json")) == {
        "deleted": [f"projects/{project}/models/v1"]
    }
    assert list(client.list_models(project)) == []
    assert client.model(copy["name"]).copied_from == f"projects/{project}/models/v1"


def test_a_deletion_is_asked_about(run: Run, client: Client, project: str) -> None:
    done = run("models", "delete", project, "v1")  # There is nobody to answer.
    assert done.exit_code == 1
    assert f"Delete projects/{project}/models/v1 for good?" in done.stderr
    assert len(list(client.list_models(project))) == 1


def test_a_deployed_model_is_not_deleted(run: Run, client: Client, project: str, neighbours: Neighbours) -> None:
    (model,) = client.list_models(project)
    neighbours.deployments.append(Deployment(name=f"projects/{project}/deployments/live", model=model.name))
    done = run("models", "delete", project, "v1", "--yes", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stderr)["error"]["reason"] == "IN_USE"
    assert client.model(model.name) == model


def test_files_are_downloaded_as_triton_reads_them(run: Run, project: str, tiny: TinyModel, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    result = result_of(run("models", "download", project, "v1", folder, "--format", "torchscript", "--json"))
    assert {artifact["path"] for artifact in result["artifacts"]} == {"config.pbtxt", "1/model.pt"}
    assert (folder / "1" / "model.pt").read_bytes() == tiny.torchscript
    assert f'name: "{project}.v1.torchscript.' in (folder / "config.pbtxt").read_text()


@pytest.mark.parametrize(
    ("arguments", "expected"), [([], b"eight bits"), (["--format", "onnx"], b"full"), (["--format", "onnx-fp16"], None)]
)
async def test_the_recommended_file_is_exported_unless_another_is_asked_for(
    run: Run,
    publish_model: PublishModel,
    new_project: NewProject,
    tmp_path: Path,
    arguments: list[str],
    expected: bytes | None,
) -> None:
    id_, folder = new_project(), tmp_path / "model"
    await publish_model(id_, {"onnx": b"full", "onnx_int8": b"eight bits"}, recommendations=RECOMMENDATIONS)
    done = run("models", "export", id_, "v1", folder, *arguments)
    if expected is None:
        assert done.exit_code == 1
        assert "has no onnx_fp16 file: its training did not try that" in done.stderr
        assert not folder.exists()
    else:
        assert (folder / "model.onnx").read_bytes() == expected


def test_a_card_is_told_as_it_is(run: Run, client: Client, project: str) -> None:
    card = client.models.card(f"projects/{project}/models/v1")
    assert run("models", "card", project).stdout == card
    assert result_of(run("models", "card", project, "v1", "--json"))["markdown"] == card


def images(folder: Path) -> list[Path]:
    """A large photo that lies on its side, and a picture with holes."""
    blocks = np.random.default_rng(5).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    photo, holes = Image.fromarray(blocks).resize((800, 600)), Image.fromarray(blocks[:16, :16]).convert("RGBA")
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save(folder / "photo.jpg", exif=exif)
    holes.putalpha(Image.fromarray(blocks[:16, :16, 0]))
    holes.save(folder / "holes.png")
    return [folder / "photo.jpg", folder / "holes.png"]


def test_an_exported_model_answers_without_sightsmith(
    run: Run, project: str, tiny: TinyModel, three_packages: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "exports" / "model"
    assert result_of(run("models", "export", project, "v1", folder, "--json"))["folder"] == str(folder)
    pictures = images(tmp_path)
    launch = f"import runpy, sys; sys.path.insert(0, {str(three_packages)!r}); sys.argv = sys.argv[1:]; "
    launch += "runpy.run_path(sys.argv[0], run_name='__main__'); assert 'sightsmith' not in sys.modules"
    # -I and -S: no site-packages, nothing of the environment, nothing of the folder that it runs in.
    command = [sys.executable, "-I", "-S", "-c", launch, str(folder / "predict.py"), *map(str, pictures)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, dict[str, float]] = {}
    for line in done.stdout.splitlines():
        path, label, score = line.split("\t")
        told.setdefault(path, {})[label] = float(score)
    for picture in pictures:
        scores = tiny.scores(picture.read_bytes())
        best = max(scores, key=lambda label: scores[label])
        assert told[str(picture)] == pytest.approx({best: scores[best]}, abs=1e-6)


def test_an_exported_folder_has_everything_and_can_be_checked(
    run: Run, client: Client, project: str, tiny: TinyModel, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()  # An empty folder will do.
    result_of(run("models", "export", project, "latest", folder, "--json"))
    assert (folder / "model.onnx").read_bytes() == tiny.onnx
    assert json.loads((folder / "labels.json").read_text()) == list(LABELS)
    assert json.loads((folder / "thresholds.json").read_text()) == {}
    assert json.loads((folder / "task.json").read_text()) == "classification"
    assert (folder / "model_card.md").read_text() == client.models.card(f"projects/{project}/models/v1")
    files = {"model.onnx", "labels.json", "thresholds.json", "task.json", "model_card.md", "predict.py"}
    sums = dict(reversed(line.split("  ")) for line in (folder / "SHA256SUMS").read_text().splitlines())
    assert sums == {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files}
    assert {path.name for path in folder.iterdir()} == {*files, "SHA256SUMS"}
    checked = subprocess.run([shutil.which("sha256sum") or "", "-c", "SHA256SUMS"], cwd=folder, check=False)
    assert checked.returncode == 0


def test_an_export_never_leaves_half_a_folder(
    run: Run, client: Client, project: str, store: Path, tmp_path: Path
) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    done = run("models", "export", project, "v1", full)
    assert (done.exit_code, f"{full}: is not empty" in done.stderr.replace("\n", "")) == (1, True)
    for artifact in client.model(f"projects/{project}/models/v1").artifacts:
        (store / artifact.key).unlink()
    done = run("models", "export", project, "v1", tmp_path / "half")
    assert done.exit_code == 1
    assert "is not in the object store" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"full"}
    assert (full / "mine.txt").read_text() == "mine"
