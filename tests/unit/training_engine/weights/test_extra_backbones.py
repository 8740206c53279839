"""Any network of timm's as a backbone, by a name and by a file."""

import json
import pickle
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch.nn import functional as F  # noqa: N812

from sightsmith.names import BackboneName
from sightsmith_training.engine import hub_download
from sightsmith_training.engine.backbone_description import describe_backbone
from sightsmith_training.engine.backbones import build_backbone, load_backbone
from sightsmith_training.engine.catalogue import IMAGE_SIDE, Backbone, LocalFile, TimmHub
from sightsmith_training.engine.classification.heads import Head
from sightsmith_training.engine.embeddings import session_scorer
from sightsmith_training.engine.exports import compose_classifier, export_backbone, trace_classifier, write_export
from sightsmith_training.engine.network import Classifier, PixelBackbone, score_with_network
from sightsmith_training.engine.parity import compare_exports
from sightsmith_training.weights.errors import WeightsError
from sightsmith_training.weights.extra_backbones import BackboneDescription, ExtraBackbone
from sightsmith_training.weights.fetching import Fetcher
from sightsmith_training.weights.files import fetched_extras
from sightsmith_training.weights.settings import WeightsSettings
from sightsmith_training.weights.store import WeightsStore

from ..conftest import Run, run_engine
from ..photos import Project, crops
from .servers import serving

TRANSFORMER = "test_vit.r160_in1k"
TINY = "test_convnext.r160_in1k"
DRAFT = BackboneDescription(
    architecture=TINY,
    licence="Apache-2.0",
    input_side=160,
    fixed_side=None,
    parameters=1,
    cost=0.1,
    features=64,
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
)


def make_weights(model: str, file: Path, seed: int = 0) -> Path:
    """A file with random weights, and batch statistics that are not those of a new network."""
    torch.manual_seed(seed)
    network = timm.create_model(model, pretrained=False)
    numbers = {name: value.clone() for name, value in network.state_dict().items()}
    for name, value in numbers.items():
        if name.endswith("running_mean"):
            value.normal_(std=0.1)
    save_file(numbers, file)
    return file


@pytest.fixture
def settings(tmp_path: Path) -> WeightsSettings:
    return WeightsSettings(weights_dir=tmp_path / "weights")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pixels_of(images: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (images, IMAGE_SIDE, IMAGE_SIDE, 3), dtype=np.uint8)


def plain_features(backbone: Backbone, file: Path, pixels: np.ndarray) -> np.ndarray:
    """What timm itself computes."""
    side = backbone.fixed_side or IMAGE_SIDE
    options = {"img_size": side} if backbone.fixed_side else {}
    overlay = {"file": str(file)}
    network = timm.create_model(backbone.architecture, pretrained=True, pretrained_cfg_overlay=overlay, **options)
    mean, std = (torch.tensor(numbers).view(1, 3, 1, 1) for numbers in (backbone.mean, backbone.std))
    planes = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - mean) / std
    if side != IMAGE_SIDE:
        planes = F.interpolate(planes, (side, side), mode="bilinear", align_corners=False)
    with torch.inference_mode():
        network.eval()
        return network.forward_head(network.forward_features(planes), pre_logits=True).numpy()


def assert_equal(features: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def draft_of(model: str, **known: object) -> Backbone:
    draft = Backbone(**dict(DRAFT), files=(), name="extra", source=LocalFile(Path("/weights.pth")))
    return replace(draft, architecture=model, **known)


@pytest.mark.parametrize(
    "backbone",
    [
        draft_of(TINY),
        draft_of(TINY, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
        draft_of(TRANSFORMER, fixed_side=IMAGE_SIDE),
        draft_of(TRANSFORMER, fixed_side=224, mean=(0.4, 0.5, 0.6)),
    ],
    ids=["convolutions", "other normalisation", "fixed side", "other fixed side"],
)
def test_a_network_gives_what_timm_gives_and_its_export_gives_the_same(tmp_path: Path, backbone: Backbone) -> None:
    file = make_weights(backbone.architecture, tmp_path / "weights.safetensors")
    network = PixelBackbone(build_backbone(backbone, file)).eval()
    pixels = pixels_of(5)
    eager = score_with_network(network, pixels)
    assert_equal(eager, plain_features(backbone, file, pixels))
    scorer = session_scorer(export_backbone(network))
    for images in (1, 5):
        assert_equal(scorer(pixels[:images]), eager[:images])


def test_what_a_network_needs_and_gives_is_found_out(tmp_path: Path) -> None:
    file = make_weights(TRANSFORMER, tmp_path / "weights.safetensors")
    found = describe_backbone(TRANSFORMER, file)
    assert 0 < found.cost < 5
    expected = DRAFT.model_copy(
        update={"architecture": TRANSFORMER, "fixed_side": IMAGE_SIDE, "parameters": 314_240, "cost": found.cost}
    )
    assert found == expected


def test_a_hub_s_weights_are_fetched_once_and_then_need_no_hub(
    settings: WeightsSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = make_weights(TINY, tmp_path / "model.safetensors")
    extra = ExtraBackbone.parse(f"timm:{TINY}")
    fetcher = Fetcher(settings)
    with pytest.raises(WeightsError, match=f"run 'sightsmith models fetch timm:{TINY}'"):
        extra.get(fetcher.store)
    with serving({f"/timm/{TINY}/resolve/main/model.safetensors": file.read_bytes()}) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        fetched = fetcher.fetch(extra, lambda done, of: None)
    again = fetcher.fetch(extra, lambda done, of: None)
    assert (fetched.was_there, again.was_there) == (False, True)
    backbone = extra.get(fetcher.store)
    assert fetched.entry == again.entry == backbone
    assert backbone.source == TimmHub(TINY)
    assert (backbone.licence, backbone.features) == ("Apache-2.0", 64)
    features = score_with_network(PixelBackbone(load_backbone(backbone, fetcher.store)), pixels_of(2))
    assert features.shape == (2, 64)
    assert features.min() < 0
    fetched.files[0].write_bytes(b"altered")
    with pytest.raises(WeightsError, match="sightsmith models fetch"):
        load_backbone(backbone, fetcher.store)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_net.in1k", "timm has no network no_such_net.in1k"),
        ("vit_base_patch16_18x2_224", "no pretrained weights"),
    ],
)
def test_what_no_hub_has_is_said_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    assert hub_download.main([name, str(tmp_path)]) == 1
    printed, errors = capsys.readouterr()
    assert (printed, message in errors) == ("", True)


@pytest.fixture
def kept(tmp_path: Path) -> WeightsSettings:
    """Settings that name a file as a backbone, which has been fetched."""
    file = make_weights(TINY, tmp_path / "mine.safetensors")
    settings = WeightsSettings(weights_dir=tmp_path / "weights", extra_backbones=(f"timm:{TINY}={file}",))
    (extra,) = settings.extras
    store = WeightsStore(settings.weights_dir)
    with store.scratch() as scratch:
        made = scratch / "made"
        made.mkdir()
        shutil.copyfile(file, made / "weights.safetensors")
        extra.keep(DRAFT, made)
        store.add(made)
    return settings


def test_a_file_that_the_administrator_replaces_is_taken_anew(tmp_path: Path, kept: WeightsSettings) -> None:
    file, fetcher, (extra,) = tmp_path / "mine.safetensors", Fetcher(kept), kept.extras
    first = fetcher.fetch(extra, lambda done, of: None)
    make_weights(TINY, file, seed=1)
    second = fetcher.fetch(extra, lambda done, of: None)
    assert (first.was_there, second.was_there) == (True, False)
    assert extra.get(fetcher.store) == second.entry
    assert second.entry.content_name != first.entry.content_name
    assert second.entry.name == "test-convnext-r160-in1k-mine"


def test_trainings_try_what_was_fetched_and_do_without_the_rest(
    kept: WeightsSettings, caplog: pytest.LogCaptureFixture
) -> None:
    (extra,) = kept.extras
    settings = kept.model_copy(update={"extra_backbones": (*kept.extra_backbones, "timm:resnet18.a1_in1k")})
    assert fetched_extras(settings) == [extra.get(WeightsStore(kept.weights_dir))]
    assert "run 'sightsmith models fetch timm:resnet18.a1_in1k'" in caplog.text
    for file in kept.weights_dir.rglob("*.safetensors"):
        file.write_bytes(b"altered")
    assert fetched_extras(kept) == []


def test_it_is_a_candidate_of_a_training(
    trained: Run, trained_project: Project, kept: WeightsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTSMITH_WEIGHTS_DIR", str(kept.weights_dir))
    monkeypatch.setenv("SIGHTSMITH_EXTRA_BACKBONES", json.dumps(kept.extra_backbones))
    folder = trained_project.folder / "extra"
    result = run_engine(trained_project.spec(crops(trained_project), output_dir=folder), folder / "run").result
    tried = {tuple(candidate.backbones): candidate for candidate in result.candidates}
    name, others = kept.extras[0].name, list(trained.result.candidates[-1].backbones)
    assert tried[(name,)].licences == {name: "Apache-2.0"}
    assert tried[(*others, name)].licences[name] == "Apache-2.0"
    assert tried[tuple(others[:1])].scores == trained.result.candidates[0].scores


def test_a_classifier_over_features_of_either_sign_is_exported_as_it_is(tmp_path: Path) -> None:
    backbone = PixelBackbone(
        build_backbone(draft_of(TINY), make_weights(TINY, tmp_path / "weights.safetensors"))
    ).eval()
    random = np.random.default_rng(0)
    head = Head(random.normal(size=(3, 64)), random.normal(size=3), "softmax")
    labels, pixels = ["a", "b", "c"], pixels_of(5)
    write_export(tmp_path, "onnx", compose_classifier([("extra", export_backbone(backbone))], head, labels))
    network = Classifier([backbone], head)
    write_export(tmp_path, "torchscript", trace_classifier(network, labels))
    scores = score_with_network(network, pixels)
    assert np.isfinite(scores).all()
    parity = compare_exports(scores, pixels, tmp_path, 1e-4, 1, lambda share: None)
    assert max(parity.onnx, parity.torchscript) <= 1e-5


class Bomb:
    """Makes a file where it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.target,)


def test_a_file_cannot_run_anything(tmp_path: Path) -> None:
    file, target = tmp_path / "weights.pth", tmp_path / "it-ran"
    torch.save({"stem.weight": Bomb(target)}, file)
    with pytest.raises(WeightsError, match="does not fit the network"):
        describe_backbone(TINY, file)
    file.write_bytes(pickle.dumps(Bomb(target)))
    with pytest.raises(WeightsError, match="does not fit the network"):
        describe_backbone(TINY, file)
    assert not target.exists()


@pytest.mark.parametrize("labels", [1000, 7, 0])
def test_torch_files_with_any_classifier_are_read_as_well(tmp_path: Path, labels: int) -> None:
    numbers = load_file(make_weights(TINY, tmp_path / "weights.safetensors"))
    draft, pixels = draft_of(TINY), pixels_of(1)
    whole = score_with_network(PixelBackbone(build_backbone(draft, tmp_path / "weights.safetensors")), pixels)
    changed = {name: value[:labels] if name.startswith("head.fc.") else value for name, value in numbers.items()}
    kept = {name: value for name, value in changed.items() if len(value)}
    torch.save({"state_dict": kept}, tmp_path / "weights.pth")
    np.testing.assert_array_equal(
        score_with_network(PixelBackbone(build_backbone(draft, tmp_path / "weights.pth")), pixels), whole
    )


def test_weights_that_lack_a_layer_are_refused(tmp_path: Path) -> None:
    numbers = load_file(make_weights(TINY, tmp_path / "weights.safetensors"))
    del numbers["stages.0.blocks.0.mlp.fc1.weight"]
    save_file(numbers, tmp_path / "weights.safetensors")
    with pytest.raises(WeightsError, match=r"(?s)does not fit .*Missing.*stages\.0\.blocks\.0\.mlp\.fc1\.weight"):
        describe_backbone(TINY, tmp_path / "weights.safetensors")


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    file = make_weights(TINY, tmp_path / "weights.safetensors")
    with pytest.raises(WeightsError, match=f"does not fit the network {TRANSFORMER}"):
        describe_backbone(TRANSFORMER, file)
    with pytest.raises(WeightsError, match="timm has no network no_such_net"):
        describe_backbone("no_such_net", file)
    with pytest.raises(WeightsError, match=r"no pretrained weights resnet18\.nobodys"):
        describe_backbone("resnet18.nobodys", file)


@pytest.mark.parametrize(
    "text",
    [
        "resnet18",
        "timm:",
        "timm:../resnet18",
        "timm:a b",
        "timm:resnet18.a.b",
        "timm:resnet18=weights.pth",
        "timm:resnet18=/weights.exe",
        "timm:resnet18=",
        "hf:resnet18",
    ],
)
def test_what_names_no_backbone_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match=r"timm:NAME|absolute path"):
        WeightsSettings(extra_backbones=(text,))


def test_the_setting_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTSMITH_EXTRA_BACKBONES", '["timm:resnet18.a1_in1k", "timm:resnet18=/srv/w.pth"]')
    extras = WeightsSettings().extras
    assert extras == (ExtraBackbone("resnet18.a1_in1k"), ExtraBackbone("resnet18", Path("/srv/w.pth")))
    assert [extra.name for extra in extras] == ["resnet18-a1-in1k", "resnet18-w"]
    with pytest.raises(ValidationError, match="named once"):
        WeightsSettings(extra_backbones=("timm:resnet18", "timm:resnet18"))


@given(st.from_regex(r"timm:[a-zA-Z0-9_]{1,60}(\.[a-zA-Z0-9_]{1,40})?(=/[a-z./]{0,30}w\.pth)?", fullmatch=True))
def test_every_wish_can_be_read_back_and_gives_an_id(text: str) -> None:
    extra = ExtraBackbone.parse(text)
    assert ExtraBackbone.parse(extra.wish) == extra
    assert str(BackboneName("x" + extra.name[:20].rstrip("-")))
