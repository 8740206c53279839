"""What is taken of picked predictions while the store is slow."""

from pathlib import Path

import numpy as np
from prometheus_client import REGISTRY

from sightsmith.database import Database
from sightsmith.names import DeploymentName
from sightsmith.objects import Objects, open_object_store
from sightsmith_inference.findings import read_findings
from sightsmith_inference.models import Runtime, ServableModel
from sightsmith_inference.sampling import Sampler
from sightsmith_inference.sampling_policy import SamplingPolicy


def test_what_finds_no_room_is_dropped_and_counted(tmp_path: Path) -> None:
    def dropped() -> float:
        return REGISTRY.get_sample_value("sightsmith_inference_sampled_predictions_total", {"outcome": "dropped"}) or 0

    model = ServableModel("m", "projects/shop/models/v1", Runtime.ONNX, ("a", "b"), 8, 4)
    # Nothing is connected, and nobody takes from the queue: as when database and store are away for long.
    nowhere = Database("postgresql+psycopg://nowhere")
    sampler = Sampler(nowhere, Objects(open_object_store(tmp_path.as_uri())), max_waiting_bytes=250, keep_days=30)
    before = dropped()
    findings = read_findings(model, [np.array([[0.2, 0.8]] * 5, np.float32)])
    sampler.offer(SamplingPolicy(share=1), DeploymentName("shop", "live"), model, [b"x" * 100] * 5, findings)
    assert dropped() - before == 3
    assert list(tmp_path.iterdir()) == []
