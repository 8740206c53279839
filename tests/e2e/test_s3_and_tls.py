"""The main job as in production: objects in S3, every service behind TLS."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from pydantic import SecretStr

from sightsmith.api.inference.v1.batch_prediction_job_pb2 import BatchPredictionJob, ImageUrls
from sightsmith.api.labeling.v1 import dataset_pb2
from sightsmith.api.training.v1.training_job_pb2 import TrainingJob
from sightsmith.client import Client, Connection, ImageToUpload, SightsmithError
from sightsmith.client.labelled_folder import read_labelled_folder
from sightsmith.names import DatasetName
from sightsmith.objects import image_key
from sightsmith.stack import Stack, StackSettings
from tests.photo_set import write_photo_set
from tests.seaweedfs import BUCKET, s3_server


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="sightsmith-s3-"))
    folder.chmod(0o711)  # for PostgreSQL's system user to pass through
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def stack(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(folder / "certificate.pem"))
    monkeypatch.setenv("SIGHTSMITH_TLS_CERTIFICATE_FILE", str(folder / "certificate.pem"))
    monkeypatch.setenv("SIGHTSMITH_TLS_KEY_FILE", str(folder / "key.pem"))
    monkeypatch.setenv("SIGHTSMITH_TLS_CA_FILE", str(folder / "ca.pem"))
    monkeypatch.setenv("SIGHTSMITH_PREDICTION_SOURCES", f'["s3://{BUCKET}/prefix/images/"]')
    with s3_server(tmp_path) as s3:
        for name, value in s3.items():
            monkeypatch.setenv(name, value)
        settings = StackSettings(data_dir=folder / "data", free_ports=True, start_timeout_seconds=180)
        with Stack(settings) as running:
            yield running


def test_the_main_job_with_s3_and_tls(stack: Stack, folder: Path, tmp_path: Path) -> None:
    photos = read_labelled_folder(write_photo_set(tmp_path / "photos", images_per_label=6))
    endpoints = stack.endpoints
    connection = Connection(
        endpoints.labeling,
        endpoints.training,
        endpoints.inference,
        SecretStr(endpoints.token_file.read_text().strip()),
        folder / "ca.pem",
    )
    with Client(connection) as client:
        client.ensure_project("shop")
        dataset = DatasetName.parse(client.ensure_dataset("shop", dataset_pb2.SPLIT_TRAIN).name)
        files = [ImageToUpload(file.path, file.source, [file.label]) for file in photos.train]
        answers = list(client.upload(dataset, files, on_unreadable=lambda image, _: pytest.fail(image.source)))
        assert len(answers) == 30
        job = client.wait_for_training(
            client.train(
                "shop", client.snapshots.take("shop").name, wishes=TrainingJob(effort=TrainingJob.EFFORT_FAST)
            ).name
        )
        client.wait_for_deployment(client.deploy("shop", "live", job.model).name)
        temple = (tmp_path / "photos" / "temple" / "00.jpg").read_bytes()
        assert client.predict("shop", "live", temple).predictions[0].label == "temple"
        assert client.download(answers[0].image.name)
        # Images by their URLs, the lines of the shards, and the results: all of it in the bucket.
        images = [f"s3://{BUCKET}/prefix/{image_key(answer.image.sha256)}" for answer in answers]
        wanted = BatchPredictionJob(deployment="projects/shop/deployments/live", image_urls=ImageUrls(urls=images))
        batch = client.batch_predictions.wait(client.batch_predictions.begin("shop", wanted).name)
        assert (batch.progress.answered_count, batch.progress.failed_count) == (30, 0)
        assert batch.results[0].url.startswith(f"s3://{BUCKET}/prefix/outputs/shop/")
        client.batch_predictions.download(batch.name, batch.results[0], tmp_path / "results.jsonl")
        assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 30
    assert not any((folder / "data" / "objects").iterdir())

    without_tls = Connection(endpoints.labeling, endpoints.training, endpoints.inference, connection.token)
    with Client(without_tls) as client, pytest.raises(SightsmithError) as raised:
        client.ensure_project("other")
    assert raised.value.reason == "UNAVAILABLE"
