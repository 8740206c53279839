"""Processes are killed without warning; what was answered OK is there afterwards, and jobs go on."""

import hashlib
import time
from collections.abc import Callable

import pytest

from sightsmith.api.inference.v1.deployment_pb2 import Deployment
from sightsmith.api.training.v1.training_job_pb2 import TrainingJob, TrainingProgress
from sightsmith.client import Client
from sightsmith.stack import Stack
from tests.e2e.conftest import Command, Shop


def test_a_training_goes_on_when_its_worker_is_killed(stack: Stack, client: Client, shop: Shop) -> None:
    job = client.train(
        shop.project, client.model(shop.model).snapshot, seed=1, wishes=TrainingJob(effort=TrainingJob.EFFORT_FAST)
    )
    killed = False
    revisions = []
    for change in client.watch(job.name):
        revisions.append(change.revision)
        if not killed and change.progress.phase >= TrainingProgress.PHASE_EMBEDDING:
            stack.kill("worker")
            killed = True
        job = change
    assert killed
    assert job.state == TrainingJob.STATE_SUCCEEDED
    assert job.attempt == 2
    assert revisions == list(range(1, job.revision + 1))
    assert client.model(job.model).evaluation.accuracy > 0.8


def test_a_running_training_is_cancelled(sightsmith: Command, client: Client, shop: Shop) -> None:
    job = client.train(
        shop.project, client.model(shop.model).snapshot, seed=2, wishes=TrainingJob(effort=TrainingJob.EFFORT_FAST)
    )
    is_asked, seen = False, {}
    for change in client.watch(job.name):
        seen.setdefault(change.state, time.monotonic())
        if not is_asked and change.state == TrainingJob.STATE_RUNNING:
            is_asked = True
            done = sightsmith("cancel", shop.project, job.name.rpartition("/")[2], "--json")
            assert done.code == 0, done.errors
        job = change
    assert job.state == TrainingJob.STATE_CANCELLED
    assert seen[TrainingJob.STATE_CANCELLED] - seen[TrainingJob.STATE_CANCELLING] < 5
    assert not job.model


@pytest.mark.parametrize("process", ["labeling", "training", "inference", "triton", "nats", "postgres"])
def test_nothing_is_lost_when_a_process_is_killed(stack: Stack, client: Client, shop: Shop, process: str) -> None:
    deployment = f"projects/{shop.project}/deployments/live"

    def everything() -> list[str]:
        image = next(iter(client.evaluated_images(shop.model))).image
        answers = [
            *client.datasets(shop.project),
            *client.list_models(shop.project),
            client.model(shop.model),
            client.evaluation(shop.model),
            client.deployment(deployment),
        ]
        for answer in answers:
            if answer.DESCRIPTOR.name == "Deployment":  # These tell of its coming back and of use by the case before.
                answer.ClearField("update_time")
                answer.ClearField("revision")
                answer.scale.ClearField("last_use_time")
        return [*map(str, answers), hashlib.sha256(client.download(image)).hexdigest()]

    # The process killed before may have taken the model along; it has come back when this test sets out.
    until(lambda: client.deployment(deployment).state, Deployment.STATE_RUNNING)
    before = everything()
    stack.kill(process)
    stack.wait_ready()
    until(everything, before)
    cat = (shop.photos / "cat" / "00.jpg").read_bytes()
    until(lambda: client.predict(shop.project, "live", cat).predictions[0].label, "cat")


def until(look: Callable[[], object], wanted: object, seconds: float = 60) -> None:
    """Waits until a look gives what is wanted; errors while a process comes up again are part of the waiting."""
    deadline = time.monotonic() + seconds
    while True:
        seen: object
        try:
            seen = look()
        except Exception as error:
            seen = error
        if seen == wanted:
            return
        if time.monotonic() > deadline:
            assert seen == wanted
        time.sleep(0.5)
