"""One request can be followed through the logs of every service; every process has metrics."""

import json
import urllib.request
import uuid

from sightsmith.api.training.v1 import training_job_pb2, training_service_pb2
from sightsmith.client import Client
from sightsmith.stack import Stack
from tests.e2e.conftest import Shop


def test_a_request_id_crosses_services(stack: Stack, client: Client, shop: Shop) -> None:
    request_id = f"followed-{uuid.uuid4()}"
    job = training_job_pb2.TrainingJob(snapshot=client.model(shop.model).snapshot, seed=3)
    request = training_service_pb2.CreateTrainingJobRequest(parent=f"projects/{shop.project}", training_job=job)
    created = client.training.CreateTrainingJob(request, metadata=[("x-request-id", request_id)])
    client.training.CancelTrainingJob(training_service_pb2.CancelTrainingJobRequest(name=created.name))
    logs = stack.endpoints.data_dir / "logs"
    for service, method in (("training", "CreateTrainingJob"), ("labeling", "GetSnapshot")):
        lines = [json.loads(line) for line in (logs / f"{service}.log").read_text().splitlines() if request_id in line]
        assert any(line["method"].endswith(method) and line["code"] == "OK" for line in lines), service


def test_no_log_holds_a_token(stack: Stack, shop: Shop) -> None:
    folder = stack.endpoints.data_dir
    secrets = [(folder / name).read_text().strip() for name in ("admin-token", "nats-token")]
    for log in (folder / "logs").glob("*.log"):
        text = log.read_text(errors="replace")
        assert not any(secret in text for secret in secrets), log.name


def test_every_process_has_metrics(stack: Stack, shop: Shop) -> None:
    texts = {}
    for process, url in stack.endpoints.metrics.items():
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own address
            texts[process] = answer.read().decode()
    assert set(texts) >= {"labeling", "training", "worker", "inference", "triton"}
    for service in ("labeling", "training", "inference"):
        assert 'sightsmith_rpc_total{code="OK"' in texts[service]
    assert 'sightsmith_training_jobs_total{outcome="succeeded"}' in texts["worker"]
    assert "nv_inference_count" in texts["triton"]
