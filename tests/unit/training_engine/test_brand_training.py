"""From pictures of objects to composed scenes, and from those to a detector."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from sightsmith_training.engine import brand_scenes
from sightsmith_training.engine.brand_samples import select_brand_samples
from sightsmith_training.engine.brand_scenes import BrandMaterial, compose_brand_scenes
from sightsmith_training.engine.catalogue import NANODET
from sightsmith_training.engine.detection import pace, search
from sightsmith_training.engine.detection.composing import Logos, compose_scene
from sightsmith_training.engine.detection.detecting import detect, network_finder
from sightsmith_training.engine.detection.detector import Detector
from sightsmith_training.engine.detection.judgement import judge
from sightsmith_training.engine.detection.labelling import Labelling
from sightsmith_training.engine.detection.network import NanoDet, load_pretrained
from sightsmith_training.engine.detection.scenes import Scenes, Variety
from sightsmith_training.engine.detection.tuning import Recipe, Tuner
from sightsmith_training.engine.job import Job
from sightsmith_training.engine.specification import SpecBox, SpecEntry, Split, TrainingOptions, TrainingSpec
from sightsmith_training.engine.tasks import decide_task
from sightsmith_training.engine.training import train
from sightsmith_training.weights.errors import WeightsError
from sightsmith_training.weights.files import weights_files
from sightsmith_training.weights.settings import WeightsSettings
from sightsmith_training.weights.store import WeightsStore
from tests.drawn_scenes import LABELS, SIDE, draw_scenes

from .photos import Project

_SCENES = 24
_COLOURS = {"red": (220, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 220), "yellow": (210, 210, 0)}


@pytest.fixture(autouse=True)
def _few_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brand_scenes, "_MOST_SCENES", _SCENES)


def picture(project: Project, name: str, label: str, colour: tuple[int, int, int]) -> SpecEntry:
    """A patch of one colour, twice as wide as high, that nothing surrounds."""
    image = Image.new("RGBA", (80, 60))
    image.paste((*colour, 255), (10, 15, 70, 45))
    return put(project, name, image, "train", [label])


def put(
    project: Project, name: str, image: Image.Image, split: Split, labels: list[str], boxes: list[SpecBox] | None = None
) -> SpecEntry:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    entry = project.put(name, buffer.getvalue(), split, labels)
    return entry.model_copy(update={"width": image.width, "height": image.height, "boxes": boxes or []})


def judged_images(project: Project, count: int = 2) -> list[SpecEntry]:
    """Photos with discs and squares drawn on them."""
    return [
        project.put(scene.name, scene.encoded, "test", []).model_copy(
            update={
                "width": SIDE,
                "height": SIDE,
                "boxes": [
                    SpecBox(label=label, left=left, top=top, width=width, height=height)
                    for label, left, top, width, height in scene.boxes
                ],
            }
        )
        for scene in draw_scenes(count, seed=4)
    ]


def snapshot(project: Project) -> list[SpecEntry]:
    pictures = [picture(project, f"disc-{name}", "disc", colour) for name, colour in _COLOURS.items()]
    grey = [put(project, "grey", Image.new("RGB", (64, 48), "grey"), "train", [])]
    return [*pictures, picture(project, "square", "square", (250, 250, 250)), *grey, *judged_images(project)]


def quick(project: Project, entries: list[SpecEntry]) -> TrainingSpec:
    options = TrainingOptions(effort="fast", budget_seconds=1, preference="speed")
    return project.spec(entries, options=options, threads=2)


def compose(project: Project, entries: list[SpecEntry]) -> BrandMaterial:
    spec = quick(project, entries)
    with Job.begin(spec, decide_task(entries, "auto")) as job:
        samples = select_brand_samples(entries, spec.max_unusable_fraction)
        return compose_brand_scenes(job, samples, lambda share: None)


def colours_shown(material: BrandMaterial, rows: list[int], label: int) -> set[str]:
    """The colours in the middle of the boxes of a label."""
    shown = set()
    for row in rows:
        labelling = material.given.labellings[row]
        for box in labelling.boxes[labelling.labels == label] * material.given.squares.shape[1]:
            middle = material.given.squares[row][int((box[1] + box[3]) / 2), int((box[0] + box[2]) / 2)]
            mixture = middle / max(1, middle.max())
            shown.add(min(_COLOURS, key=lambda name: np.abs(mixture - np.array(_COLOURS[name]) / 220).sum()))
    return shown


def test_scenes_that_judge_show_pictures_that_the_others_do_not(project: Project) -> None:
    material = compose(project, snapshot(project))
    given = material.given
    assert given.squares.shape == (_SCENES, 320, 320, 3)
    assert given.judged is not None
    judged = given.judged.tolist()
    assert judged == [0, 6, 12, 18]
    learned = [row for row in range(_SCENES) if row not in judged]
    known, new = colours_shown(material, learned, 0), colours_shown(material, judged, 0)
    assert len(known) == 3
    assert len(new) == 1
    assert not known & new
    # There is but one picture of the other label, and it may be learned from.
    assert any(1 in given.labellings[row].labels for row in learned)


def test_the_same_images_and_seed_give_the_same_scenes(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = snapshot(project)
    monkeypatch.setattr(brand_scenes, "_MOST_SCENES", 6)
    one, other = compose(project, entries), compose(project, entries[::-1])
    assert np.array_equal(one.given.squares, other.given.squares)


def test_a_picture_that_cannot_be_read_is_left_out_and_named(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brand_scenes, "_MOST_SCENES", 6)
    entries = snapshot(project)
    (project.store / entries[0].key).unlink()
    material = compose(project, entries)
    assert [image.entry.image for image in material.unusable] == [entries[0].image]
    assert material.samples.training == len(entries) - 3
    assert material.samples.images_by_label() == [3, 1]


def test_more_labels_and_more_time_give_more_scenes(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brand_scenes, "_MOST_SCENES", 2000)
    entries = snapshot(project)
    counts = []
    for labels, seconds in ((2, 1), (2, 300), (100, 1), (250, 3000)):
        spec = project.spec(entries, options=TrainingOptions(budget_seconds=seconds))
        with Job.begin(spec, decide_task(entries, "auto")) as job:
            counts.append(brand_scenes.scene_count(job, labels))
    assert counts == [200, 600, 800, 2000]


def _weights() -> Path | None:
    try:
        return weights_files(NANODET, WeightsStore(WeightsSettings().weights_dir))[0]
    except WeightsError:
        return None


needs_weights = pytest.mark.skipif(_weights() is None, reason="needs `sightsmith models fetch nanodet-g`")


@pytest.fixture
def one_thread_each() -> Iterator[None]:
    """As in the engine's own process: one core for each piece of a batch."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def sign(label: str) -> np.ndarray:
    """What is drawn on the photos, alone: one picture of it."""
    image = Image.new("RGBA", (90, 90))
    pen = ImageDraw.Draw(image)
    draw = pen.ellipse if label == "disc" else pen.rectangle
    draw((5, 5, 84, 84), fill=LABELS[label], outline="white", width=5)
    return np.asarray(image)


def map_50(network: NanoDet, side: int) -> float:
    """On photos with signs, none of which was composed."""
    drawn = draw_scenes(12, seed=3)
    pictures = [Image.open(io.BytesIO(scene.encoded)).resize((side, side)) for scene in drawn]
    labellings = [
        Labelling(
            np.array([[x, y, x + w, y + h] for _, x, y, w, h in scene.boxes], np.float32).reshape(-1, 4) / SIDE,
            np.array([list(LABELS).index(label) for label, *_ in scene.boxes], np.intp),
        )
        for scene in drawn
    ]
    sizes = [(side, side)] * len(drawn)
    found = detect(network_finder(Detector(network, side)), np.stack(pictures), sizes)
    return judge(np.arange(len(drawn)), found, labellings, sizes, len(LABELS)).map_50


@needs_weights
def test_one_picture_of_each_sign_teaches_to_find_it_on_photos(one_thread_each: None) -> None:
    weights, side = _weights(), 128
    assert weights is not None
    logos = Logos([sign(label) for label in LABELS], [1.0] * len(LABELS), range(len(LABELS)))
    scenes = [compose_scene(logos, [], side, np.random.default_rng([0, number])) for number in range(40)]
    squares, labellings = np.stack([pixels for pixels, _ in scenes]), [labelling for _, labelling in scenes]
    torch.manual_seed(0)
    network = load_pretrained(weights, len(LABELS))
    untrained = map_50(network.eval(), side)
    recipe = Recipe(steps=40, side=side, part=side, rate=1e-3, frozen=2, memory=0.05)
    tuner = Tuner(network, Scenes(squares, labellings, Variety(), seed=0), recipe, threads=2)
    tuner.train(recipe.steps)
    assert map_50(tuner.averaged, side) > max(0.8, untrained + 0.3)


@needs_weights
def test_a_whole_training_leads_from_pictures_to_a_checked_model(
    project: Project, monkeypatch: pytest.MonkeyPatch, one_thread_each: None
) -> None:
    for module in (pace, search):
        monkeypatch.setattr(module, "LEAST_STEPS", 4)
    result = train(quick(project, snapshot(project)), lambda progress: None)
    assert result.labels == ["disc", "square"]
    assert "scenes are composed" in result.task_reason
    assert (result.training_images, result.test_images) == (6, 2)
    assert len(result.chosen.scores) == 1  # On composed scenes.
    assert result.evaluation.evaluated_on == "test"
    assert [advice.labels for advice in result.evaluation.advice if advice.code == "SCENES_COMPOSED"] == [["square"]]
    assert max(result.parity.onnx, result.parity.torchscript) <= result.parity.tolerance
    assert all(Path(project.folder / "output" / file.path).exists() for file in result.artifacts)
