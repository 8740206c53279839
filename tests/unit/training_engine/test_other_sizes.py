"""A classifier of another input size than the usual one, from the images to the exported files."""

import io
import json
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from obstore.store import LocalStore
from PIL import Image

from sightsmith_training.engine import other_sizes
from sightsmith_training.engine.backbones import load_backbone
from sightsmith_training.engine.catalogue import CATALOGUE
from sightsmith_training.engine.classification.heads import Head
from sightsmith_training.engine.classification.probes import join_features
from sightsmith_training.engine.embeddings import BackboneCache
from sightsmith_training.engine.exports import compose_classifier, trace_classifier, write_export
from sightsmith_training.engine.job import Job
from sightsmith_training.engine.network import Classifier, PixelBackbone, score_with_network
from sightsmith_training.engine.other_sizes import LARGER_SIDE, SMALLER_SIDE, OtherSize, other_side
from sightsmith_training.engine.parity import are_equal, compare_exports
from sightsmith_training.engine.samples import select_samples
from sightsmith_training.engine.specification import DetectorLimits, SpecEntry
from sightsmith_training.engine.tasks import TaskDecision

from .photos import Project

LITE0 = CATALOGUE[0]
SIDE = 64


def _entries(project: Project, side: int = 40) -> list[SpecEntry]:
    random = np.random.default_rng(0)
    entries = []
    for number in range(9):
        buffer = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(buffer, "PNG")
        entry = project.put(f"{number}", buffer.getvalue(), "test" if number > 5 else "train", ["ab"[number % 2]])
        entries.append(entry.model_copy(update={"width": side, "height": side}))
    return entries


def _job(project: Project, entries: list[SpecEntry], **limits: int) -> Job:
    spec = project.spec(entries, detector_limits=DetectorLimits(**limits))
    decision = TaskDecision("classification", "")
    return Job(spec, decision, 1, project.folder, LocalStore(project.store), time.monotonic() + 600, [])


def test_tiny_pictures_are_looked_at_smaller_and_others_larger(project: Project) -> None:
    assert other_side(_entries(project, 40)) == SMALLER_SIDE
    assert other_side(_entries(project, 300)) == LARGER_SIDE
    unknown = [entry.model_copy(update={"width": 0, "height": 0}) for entry in _entries(project)]
    assert other_side(unknown) == LARGER_SIDE


def test_features_of_that_size_are_what_the_exported_files_compute(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(other_sizes, "SMALLER_SIDE", SIDE)  # Quicker, and as good an example as any.
    entries = _entries(project)
    job, samples = _job(project, entries), select_samples(entries, "classification", 3)
    cache = BackboneCache(job.store, "backbones")
    other = OtherSize(job, cache, samples, [LITE0])
    choice = other.choices[LITE0.name]
    told: list[float] = []
    features = choice.features(told.append)
    assert told == sorted(told)
    assert told[-1] == 1
    assert features.shape == (6, 1280)
    assert other.pixels.shape == (9, SIDE, SIDE, 3)

    head = Head(np.random.default_rng(0).normal(0, 0.1, (2, 1280)), np.zeros(2), "softmax")
    (name, backbone), *_ = other.backbones.items()
    network = Classifier([PixelBackbone(load_backbone(backbone))], head)
    scores = score_with_network(network, np.ascontiguousarray(other.pixels))
    np.testing.assert_allclose(head.predict(join_features({name: features}, [name])), scores[:6], atol=1e-5)
    write_export(tmp_path, "onnx", compose_classifier([(name, cache.get(backbone))], head, samples.labels, SIDE))
    write_export(tmp_path, "torchscript", trace_classifier(network, samples.labels, SIDE))
    assert are_equal(compare_exports(scores, other.pixels, tmp_path, 1e-4, 1, lambda share: None))
    told = {each.key: each.value for each in onnx.load(tmp_path / "onnx/1/model.onnx").metadata_props}
    assert told["image_side"] == json.dumps(SIDE)


def test_what_does_not_fit_or_is_gone_is_not_looked_at(project: Project) -> None:
    entries = _entries(project)
    samples = select_samples(entries, "classification", 3)
    cache = BackboneCache(LocalStore(project.store), "backbones")
    assert OtherSize(_job(project, entries, decoded_bytes=1000), cache, samples, [LITE0]).choices == {}
    (project.store / samples.entries[0].key).unlink()
    other = OtherSize(_job(project, entries), cache, samples, [LITE0])
    assert other.choices[LITE0.name].features(lambda share: None) is None
