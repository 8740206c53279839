"""Wrong things that users do: each gets a clear answer that names what is wrong, and nothing is half-written."""

import hashlib
import io
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from sightsmith.api.labeling.v1 import dataset_pb2
from sightsmith.client import Client, ImageToUpload, SightsmithError
from sightsmith.names import DatasetName
from sightsmith.stack.stack import Stack
from tests.e2e.conftest import Command, Shop
from tests.photo_set import write_photo_set


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_photo_set(tmp_path / "photos", images_per_label=4)


def test_bad_files_are_reported_and_the_others_imported(sightsmith: Command, folder: Path) -> None:
    cats, flowers = folder / "cat", folder / "flower"
    photo = (cats / "00.jpg").read_bytes()
    (cats / "empty.jpg").touch()
    (cats / "truncated.jpg").write_bytes(photo[: len(photo) // 2])
    (cats / "text.jpg").write_text("not an image")
    Image.new("RGB", (1, 1)).save(cats / "dot.png")
    frames = [Image.new("RGB", (64, 64), color) for color in ("red", "blue")]
    frames[0].save(cats / "moving.gif", save_all=True, append_images=frames[1:])
    (flowers / "cat-again.jpg").write_bytes(photo)
    done = sightsmith("import", "bad-files", folder, "--json")
    assert done.code == 0, done.errors
    assert {rejection["file"]: rejection["reason"] for rejection in done.json["rejected"]} == {
        "cat/empty.jpg": "IMAGE_EMPTY",
        "cat/truncated.jpg": "IMAGE_TRUNCATED",
        "cat/text.jpg": "IMAGE_UNREADABLE",
        "cat/dot.png": "IMAGE_TOO_SMALL",
        "cat/moving.gif": "IMAGE_ANIMATED",
        "flower/cat-again.jpg": "IMAGE_CONFLICTING_LABELS",
    }
    assert done.json["created"] == 20
    assert sum(done.json["labels"].values()) == 20


def test_an_image_in_train_and_test_under_two_labels_is_refused(sightsmith: Command, folder: Path) -> None:
    split = folder.parent / "split"
    write_photo_set(split / "train", images_per_label=4)
    write_photo_set(split / "test", images_per_label=2, seed=1)
    (split / "test" / "flower" / "cat.jpg").write_bytes((split / "train" / "cat" / "00.jpg").read_bytes())
    done = sightsmith("import", "two-splits", split, "--json")
    (rejection,) = done.json["rejected"]
    assert (rejection["file"], rejection["reason"]) == ("test/flower/cat.jpg", "IMAGE_CONFLICTING_LABELS")
    assert "projects/two-splits/datasets/train" in rejection["message"]
    assert done.json["created"] == 30


def test_a_decompression_bomb_is_refused_unread(sightsmith: Command, folder: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(folder / "cat" / "bomb.png")
    done = sightsmith("import", "bomb", folder, "--json")
    assert [(r["file"], r["reason"]) for r in done.json["rejected"]] == [("cat/bomb.png", "IMAGE_TOO_LARGE")]


def test_odd_but_good_images_are_imported(sightsmith: Command, folder: Path) -> None:
    cats = folder / "cat"
    photo = Image.open(cats / "00.jpg")
    photo.convert("CMYK").save(cats / "cmyk.jpg")
    photo.convert("L").convert("I;16").point(lambda value: value * 256).save(cats / "deep.png")
    turned = photo.getexif()
    turned[0x0112] = 6
    photo.crop((0, 0, 100, 50)).save(cats / "turned.jpg", exif=turned)
    (cats / "Kätzchen 'n' 🐈; $(x) %s.jpg").write_bytes(_jpeg(photo.rotate(3)))
    done = sightsmith("import", "odd-files", folder, "--json")
    assert done.code == 0, done.errors
    assert done.json["rejected"] == []
    assert done.json["created"] == 24


def test_one_label_is_imported_but_not_enough_to_train(sightsmith: Command, folder: Path, tmp_path: Path) -> None:
    lonely = tmp_path / "lonely"
    lonely.mkdir()
    (folder / "cat").rename(lonely / "cat")
    done = sightsmith("import", "lonely", lonely, "--json")
    assert (done.code, done.json["created"]) == (0, 4), done.errors
    assert any("only one label" in warning for warning in done.json["warnings"])
    trained = sightsmith("train", "lonely")
    assert trained.code == 1
    assert "NOT_ENOUGH_DATA" in trained.errors


def test_the_service_too_asks_for_two_labels(client: Client, folder: Path) -> None:
    client.ensure_project("single")
    dataset = DatasetName.parse(client.ensure_dataset("single", dataset_pb2.SPLIT_TRAIN).name)
    cats = [ImageToUpload(file, file.name, ["cat"]) for file in sorted((folder / "cat").iterdir())]
    assert len(list(client.upload(dataset, cats, on_unreadable=lambda image, _: pytest.fail(image.source)))) == 4
    with pytest.raises(SightsmithError) as raised:
        client.train("single", client.snapshots.take("single").name)
    assert raised.value.reason == "NOT_ENOUGH_DATA"
    assert "found 'cat'" in raised.value.violations[0].description


def test_a_label_with_two_images_is_named(sightsmith: Command, folder: Path) -> None:
    for number in ("02", "03"):
        (folder / "cat" / f"{number}.jpg").unlink()
    imported = sightsmith("import", "few", folder, "--json")
    assert any("'cat' has only 2 images" in warning for warning in imported.json["warnings"])
    trained = sightsmith("train", "few")
    assert trained.code == 1
    assert "NOT_ENOUGH_DATA" in trained.errors
    assert "run 'sightsmith train few'" in sightsmith("deploy", "few").errors
    assert "'cat'" in trained.errors
    assert sightsmith("models", "few", "--json").json == {"models": []}


def test_images_that_vanish_fail_a_training_and_leave_no_model(sightsmith: Command, stack: Stack, folder: Path) -> None:
    """What is wrong with the data comes out only in the worker, and reaches the one who asked in words."""
    # Pictures that no other project has: the store keeps the same bytes once for all of them.
    for photo in folder.rglob("*.jpg"):
        with Image.open(photo) as image:
            ImageOps.invert(image.convert("RGB")).save(photo)
    assert sightsmith("import", "vanishing", folder).code == 0
    store = Path(stack.endpoints.data_dir, "objects")
    before = {file for file in store.rglob("*") if "models" in file.parts}
    gone = sorted(folder.joinpath("cat").iterdir()) + sorted(folder.joinpath("coffee").iterdir())
    for photo in gone:
        (stored,) = store.rglob(hashlib.sha256(photo.read_bytes()).hexdigest())
        stored.unlink()
    trained = sightsmith("train", "vanishing", "--effort", "balanced")
    assert trained.code == 1
    assert "TOO_MANY_UNUSABLE_IMAGES" in trained.errors
    assert "is not in the object store" in trained.errors
    assert sightsmith("models", "vanishing", "--json").json == {"models": []}
    assert {file for file in store.rglob("*") if "models" in file.parts} == before
    (job,) = sightsmith("jobs", "vanishing", "--json").json["training_jobs"]
    assert job["state"] == "STATE_FAILED"


def test_an_unknown_project_is_named(sightsmith: Command) -> None:
    for command in ("train", "models", "jobs", "deploy", "evaluate"):
        done = sightsmith(command, "nowhere")
        assert done.code == 1
        assert "projects/nowhere does not exist" in done.errors


def test_a_bad_project_id_is_named(sightsmith: Command, folder: Path) -> None:
    done = sightsmith("import", "My Shop!", folder)
    assert done.code == 1
    assert "project_id" in done.errors


def test_a_wrong_token_is_refused(sightsmith: Command, shop: Shop) -> None:
    done = sightsmith("models", shop.project, SIGHTSMITH_TOKEN="wrong")
    assert done.code == 1
    assert "INVALID_TOKEN" in done.errors
    assert "wrong" not in done.errors


def test_a_missing_folder_is_named(sightsmith: Command, tmp_path: Path) -> None:
    done = sightsmith("import", "missing", tmp_path / "nothing-here")
    assert done.code == 1
    assert "nothing-here" in done.errors


def test_an_unknown_model_or_deployment_is_named(sightsmith: Command, shop: Shop) -> None:
    for model in ("v99", "abc", "v" + "9" * 40):
        deployed = sightsmith("deploy", shop.project, model, "--name", "never")
        assert deployed.code == 1
        assert f"projects/{shop.project}/models/{model}" in deployed.errors
        assert "NOT_FOUND" in deployed.errors
    cat = shop.photos / "cat" / "00.jpg"
    predicted = sightsmith("predict", shop.project, cat, "--deployment", "nowhere")
    assert predicted.code == 1
    assert f"projects/{shop.project}/deployments/nowhere" in predicted.errors


def test_files_that_cannot_be_sent_are_named_and_the_others_answered(
    sightsmith: Command, shop: Shop, tmp_path: Path
) -> None:
    huge = tmp_path / "huge.jpg"
    with huge.open("wb") as file:
        file.truncate(40 * 1024 * 1024)
    cat = shop.photos / "cat" / "00.jpg"
    done = sightsmith("predict", shop.project, huge, tmp_path / "missing.jpg", cat, "--json")
    assert done.code == 1
    too_large, missing, good = done.json["predictions"]
    assert (too_large["file"], too_large["error"]["reason"]) == (str(huge), "TOO_LARGE")
    assert (missing["file"], missing["error"]["reason"]) == (str(tmp_path / "missing.jpg"), "FILE_UNREADABLE")
    assert good["labels"][0]["label"] == "cat"


def test_a_wrong_setting_is_named_as_in_the_environment(sightsmith: Command) -> None:
    done = sightsmith("up", SIGHTSMITH_LABELING_PORT="abc")
    assert done.code == 2
    assert "SIGHTSMITH_LABELING_PORT" in done.errors


def test_no_stack_says_what_to_do(sightsmith: Command, tmp_path: Path) -> None:
    done = sightsmith("models", "shop", SIGHTSMITH_DATA_DIR=str(tmp_path))
    assert done.code == 1
    assert f"sightsmith --data-dir {tmp_path} up" in done.errors


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG")
    return buffer.getvalue()
