"""The client: one method for each thing that a user wants done."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from google.rpc import code_pb2

from sightsmith.api.inference.v1 import deployment_pb2, deployment_service_pb2, prediction_service_pb2
from sightsmith.api.inference.v1.deployment_service_pb2_grpc import DeploymentServiceStub
from sightsmith.api.inference.v1.prediction_service_pb2_grpc import PredictionServiceStub
from sightsmith.api.labeling.v1 import dataset_pb2, labeling_service_pb2, project_pb2
from sightsmith.api.labeling.v1.labeling_service_pb2_grpc import LabelingServiceStub
from sightsmith.api.training.v1 import evaluation_pb2, model_pb2
from sightsmith.api.training.v1.training_job_pb2 import TrainingJob
from sightsmith.api.training.v1.training_service_pb2_grpc import TrainingServiceStub
from sightsmith.client.annotations import Annotations
from sightsmith.client.batch_predictions import BatchPredictions
from sightsmith.client.calls import all_pages, calling, open_channel
from sightsmith.client.changes import Changes
from sightsmith.client.connection import Connection
from sightsmith.client.evaluation_jobs import EvaluationJobs
from sightsmith.client.evaluations import Evaluations
from sightsmith.client.images import Images
from sightsmith.client.labels import Labels
from sightsmith.client.models import Models
from sightsmith.client.patience import Patience
from sightsmith.client.predictions import NamedImage, stream_predictions
from sightsmith.client.reports import Reports
from sightsmith.client.retrainings import Retrainings
from sightsmith.client.reviews import Reviews
from sightsmith.client.serving import Serving
from sightsmith.client.similarity import Similarity
from sightsmith.client.snapshots import Snapshots
from sightsmith.client.suggestions import Suggestions
from sightsmith.client.trainings import Trainings
from sightsmith.client.transfers import Transfers
from sightsmith.client.uploads import ImageToUpload, upload_requests
from sightsmith.client.validation import Validation
from sightsmith.errors import SightsmithError
from sightsmith.names import DatasetName, DeploymentName, ProjectName, ServingModelName
from sightsmith.rpc.status import from_status
from sightsmith.sizes import MEBIBYTE

_DEPLOYMENT_MOVING = (deployment_pb2.Deployment.STATE_STARTING, deployment_pb2.Deployment.STATE_UPDATING)
_BATCH_IMAGES = 16
_BATCH_BYTES = 16 * MEBIBYTE


class Client:
    """Talks to the three services. The generated stubs are there too, for what has no method here.

    Every method raises `SightsmithError` with the reason that the service gave.

    Attributes:
        labeling, training, deployments, predictions: the generated stubs.
        trainings: what makes models.
        models: the model versions.
        serving: who answers under the names of deployments.
        retrainings: of the models of deployments.
        evaluations: how good they are.
        reports: files and pictures that tell of it.
        snapshots: what is labelled, fixed at one moment.
        transfers: imports and exports.
        batch_predictions: predictions for any number of stored images.
        validation: validations and splits.
    """

    def __init__(self, connection: Connection) -> None:
        """Opens channels; nothing is sent yet."""
        self._channels = {
            target: open_channel(target, connection)
            for target in {connection.labeling, connection.training, connection.inference}
        }
        self.labeling = LabelingServiceStub(self._channels[connection.labeling])
        self.images = Images(self._channels[connection.labeling])
        self.annotations = Annotations(self._channels[connection.labeling])
        self.labels = Labels(self._channels[connection.labeling])
        self.changes = Changes(self._channels[connection.labeling])
        self.snapshots = Snapshots(self._channels[connection.labeling])
        self.suggestions = Suggestions(self._channels[connection.labeling])
        self.reviews = Reviews(self._channels[connection.labeling])
        self.similarity = Similarity(self._channels[connection.labeling])
        self.transfers = Transfers(self._channels[connection.labeling])
        self.validation = Validation(self._channels[connection.labeling])
        self.training = TrainingServiceStub(self._channels[connection.training])
        self.trainings = Trainings(self._channels[connection.training])
        self.models = Models(self._channels[connection.training])
        self.retrainings = Retrainings(self._channels[connection.training])
        self.evaluations = Evaluations(self._channels[connection.training])
        self.evaluation_jobs = EvaluationJobs(self._channels[connection.training])
        self.reports = Reports(self._channels[connection.training])
        self.deployments = DeploymentServiceStub(self._channels[connection.inference])
        self.serving = Serving(self.deployments)
        self.predictions = PredictionServiceStub(self._channels[connection.inference])
        self.batch_predictions = BatchPredictions(self._channels[connection.inference])

    @classmethod
    def connect(cls, data_dir: Path | None = None) -> "Client":
        """Connects to what the environment names or to the stack that runs on this machine.

        Raises:
            ConnectionNotFoundError: if there is neither.
        """
        return cls(Connection.find(data_dir))

    def close(self) -> None:
        """Closes the channels."""
        for channel in self._channels.values():
            channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # Labeling

    def ensure_project(self, project: str) -> project_pb2.Project:
        """Returns the project, creating it if it is not there."""
        try:
            with calling():
                return self.labeling.CreateProject(labeling_service_pb2.CreateProjectRequest(project_id=project))
        except SightsmithError as error:
            if error.code != code_pb2.ALREADY_EXISTS:
                raise
        return self.project(project)

    def project(self, project: str) -> project_pb2.Project:
        """A project, by id."""
        with calling():
            return self.labeling.GetProject(labeling_service_pb2.GetProjectRequest(name=str(ProjectName(project))))

    def ensure_dataset(self, project: str, split: dataset_pb2.Split.ValueType) -> dataset_pb2.Dataset:
        """Returns the project's dataset of a split, creating it (`train` or `test`) if it is not there."""
        for dataset in self.datasets(project):
            if dataset.split == split:
                return dataset
        request = labeling_service_pb2.CreateDatasetRequest(
            parent=str(ProjectName(project)),
            dataset_id="train" if split == dataset_pb2.SPLIT_TRAIN else "test",
            dataset=dataset_pb2.Dataset(split=split),
        )
        with calling():
            return self.labeling.CreateDataset(request)

    def datasets(self, project: str) -> list[dataset_pb2.Dataset]:
        """The datasets of a project, with their counts."""
        parent = str(ProjectName(project))
        return list(
            all_pages(
                lambda token: self.labeling.ListDatasets(
                    labeling_service_pb2.ListDatasetsRequest(parent=parent, page_token=token)
                ),
                lambda page: page.datasets,
            )
        )

    def upload(
        self,
        dataset: DatasetName,
        images: Iterable[ImageToUpload],
        on_unreadable: Callable[[ImageToUpload, OSError], None],
    ) -> Iterator[labeling_service_pb2.UploadImagesResponse]:
        """Uploads images; yields what became of each as soon as it is known.

        Args:
            dataset: where they go.
            images: the files.
            on_unreadable: told of a file that cannot be opened; the others go on.
        """
        with calling():
            yield from self.labeling.UploadImages(upload_requests(str(dataset), images, on_unreadable))

    def download(self, image: str) -> bytes:
        """The stored bytes of an image.

        Args:
            image: `projects/{project}/datasets/{dataset}/images/{image}`.
        """
        with calling():
            answer = self.labeling.DownloadImage(labeling_service_pb2.DownloadImageRequest(name=image))
            return b"".join(part.chunk for part in answer)

    def thumbnail(self, image: str) -> bytes:
        """A small picture of an image, a JPEG.

        Args:
            image: `projects/{project}/datasets/{dataset}/images/{image}`.
        """
        with calling():
            return self.labeling.DownloadThumbnail(labeling_service_pb2.DownloadThumbnailRequest(name=image)).jpeg

    # Training

    def train(self, project: str, snapshot: str, seed: int = 0, wishes: TrainingJob | None = None) -> TrainingJob:
        """Queues a training, see `Trainings.begin`."""
        return self.trainings.begin(project, snapshot, seed, wishes)

    def training_jobs(self, project: str) -> Iterator[TrainingJob]:
        """The trainings of a project, newest first."""
        return self.trainings.list(project)

    def training_job(self, name: str) -> TrainingJob:
        """A training, by `projects/{project}/trainingJobs/{training_job}`."""
        return self.trainings.get(name)

    def watch(self, job: str, after_revision: int = 0) -> Iterator[TrainingJob]:
        """Every change of a training after a revision, up to its end, see `Trainings.watch`."""
        return self.trainings.watch(job, after_revision)

    def wait_for_training(self, job: str) -> TrainingJob:
        """Waits for the end of a training.

        Raises:
            SightsmithError: the training's own error, if it failed; reason WRONG_STATE if it was cancelled.
        """
        return self.trainings.wait(job)

    def model(self, name: str) -> model_pb2.Model:
        """A model, by `projects/{project}/models/{model}`."""
        return self.models.get(name)

    def list_models(self, project: str) -> Iterator[model_pb2.Model]:
        """The models of a project, newest first."""
        return self.models.list(project)

    def evaluation(self, model: str) -> evaluation_pb2.Evaluation:
        """How good a model is, by `projects/{project}/models/{model}`."""
        return self.evaluations.get(model)

    def evaluated_images(self, model: str) -> Iterator[evaluation_pb2.EvaluatedImage]:
        """The images that a model was judged by, the most confident mistakes first."""
        return self.evaluations.images(model)

    # Inference

    def deploy(
        self,
        project: str,
        deployment: str,
        model: str,
        runtime: deployment_pb2.Deployment.Runtime.ValueType = deployment_pb2.Deployment.RUNTIME_UNSPECIFIED,
        sampling: deployment_pb2.SamplingPolicy | None = None,
        replicas: deployment_pb2.Replicas | None = None,
        tuning: deployment_pb2.Deployment.Tuning.ValueType | None = None,
    ) -> deployment_pb2.Deployment:
        """Puts a model behind a deployment's name, creating the deployment if it is not there. Does not wait.

        Args:
            project: id of the project.
            deployment: id of the deployment.
            model: `projects/{project}/models/{model}`.
            runtime: what runs it; chosen by the service if not given.
            sampling: which predictions go into the review queue; None leaves that as it is.
            replicas: how many replicas answer; None leaves that as it is.
            tuning: how the model is set up; None leaves that as it is.
        """
        name = str(DeploymentName(project, deployment))
        optional = {"sampling": sampling, "replicas": replicas, "tuning": tuning}
        given: dict[str, Any] = {field: value for field, value in optional.items() if value is not None}
        wanted = deployment_pb2.Deployment(name=name, model=model, runtime=runtime, **given)
        create = deployment_service_pb2.CreateDeploymentRequest(
            parent=str(ProjectName(project)), deployment_id=deployment, deployment=wanted
        )
        try:
            with calling():
                return self.deployments.CreateDeployment(create)
        except SightsmithError as error:
            if error.code != code_pb2.ALREADY_EXISTS:
                raise
        update = deployment_service_pb2.UpdateDeploymentRequest(deployment=wanted)
        update.update_mask.paths.extend(["model", "runtime", *given])
        with calling():
            return self.deployments.UpdateDeployment(update)

    def deployment(self, name: str) -> deployment_pb2.Deployment:
        """A deployment, by `projects/{project}/deployments/{deployment}`."""
        with calling():
            return self.deployments.GetDeployment(deployment_service_pb2.GetDeploymentRequest(name=name))

    def wait_for_deployment(self, name: str, timeout_seconds: float = 300.0) -> deployment_pb2.Deployment:
        """Waits until a deployment serves the model that it was asked to serve.

        Raises:
            SightsmithError: the deployment's own error, if the model cannot be served.
            TimeoutError: if it takes longer.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            deployment = self.deployment(name)
            if deployment.HasField("error"):
                raise from_status(deployment.error)
            # What is idle was asked to serve, did, and will.
            is_idle = deployment.state == deployment_pb2.Deployment.STATE_IDLE
            is_there = is_idle or deployment.serving_model == deployment.model
            if deployment.state not in _DEPLOYMENT_MOVING and is_there:
                return deployment
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} does not serve {deployment.model} after {timeout_seconds:.0f} s")
            time.sleep(0.2)

    def predict(
        self,
        project: str,
        deployment: str,
        image: bytes | prediction_service_pb2.ImageReference,
        min_confidence: float | None = None,
        max_results: int = 0,
        labels: Sequence[str] = (),
    ) -> prediction_service_pb2.PredictResponse:
        """Asks what is in an image.

        Args:
            project: id of the project.
            deployment: id of the deployment.
            image: the encoded image, or where it is.
            min_confidence: labels below it, 0 to 1, are left out; None for the model's own rule, 0 for every label.
            max_results: how many labels at most; 0 for no limit.
            labels: all others are left out; empty for none.
        """
        request = prediction_service_pb2.PredictRequest(
            deployment=str(DeploymentName(project, deployment)),
            min_confidence=min_confidence,
            max_results=max_results,
            labels=labels,
        )
        if isinstance(image, bytes):
            request.image = image
        else:
            request.reference.CopyFrom(image)
        with calling():
            return self.predictions.Predict(request)

    def predict_many(
        self,
        project: str,
        deployment: str,
        images: Iterable[bytes],
        min_confidence: float | None = None,
        max_results: int = 0,
        labels: Sequence[str] = (),
        patience: Patience | None = None,
    ) -> Iterator[prediction_service_pb2.BatchPredictResponse.Result]:
        """Asks what is in many images, in batches; one result for each, in order. A bad image has an `error`.

        The arguments are those of `predict_stream`.
        """
        patience = patience or Patience()
        for batch in _batches(images):
            request = prediction_service_pb2.BatchPredictRequest(
                deployment=str(DeploymentName(project, deployment)),
                images=batch,
                min_confidence=min_confidence,
                max_results=max_results,
                labels=labels,
            )
            yield from patience.until_answered(partial(self._predict_batch, request)).results

    def _predict_batch(
        self, request: prediction_service_pb2.BatchPredictRequest
    ) -> prediction_service_pb2.BatchPredictResponse:
        with calling():
            return self.predictions.BatchPredict(request)

    def predict_stream(
        self,
        project: str,
        deployment: str,
        images: Iterable[NamedImage],
        min_confidence: float | None = None,
        max_results: int = 0,
        labels: Sequence[str] = (),
        patience: Patience | None = None,
    ) -> Iterator[prediction_service_pb2.StreamPredictResponse]:
        """Asks what is in images as they come, any number of them; one answer for each, in order.

        A bad image has an `error`. The images are iterated in another thread, and no faster than the answers are taken.
        To stop early, close the iterator.

        Args:
            project: id of the project.
            deployment: id of the deployment.
            images: what each is known by, which comes back as `id`, and the encoded image or where it is.
            min_confidence: labels below it, 0 to 1, are left out; None for the model's own rule, 0 for every label.
            max_results: how many labels at most; 0 for no limit.
            labels: all others are left out; empty for none.
            patience: with a service that is away: it goes on from the first image that has no answer. A minute after
                each answer if left out.
        """
        options = prediction_service_pb2.StreamPredictRequest.Options(
            deployment=str(DeploymentName(project, deployment)),
            min_confidence=min_confidence,
            max_results=max_results,
            labels=labels,
        )
        return stream_predictions(self.predictions, options, images, patience)

    def serving_model(self, project: str, deployment: str) -> prediction_service_pb2.ServingModel:
        """What must be known to ask the model that answers now by way of Triton itself."""
        name = str(ServingModelName(project, deployment))
        with calling():
            return self.predictions.GetServingModel(prediction_service_pb2.GetServingModelRequest(name=name))


def _batches(images: Iterable[bytes]) -> Iterator[Sequence[bytes]]:
    """Batches that are neither too many images nor too many bytes for one message."""
    batch: list[bytes] = []
    size = 0
    for image in images:
        if batch and (len(batch) == _BATCH_IMAGES or size + len(image) > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(image)
        size += len(image)
    if batch:
        yield batch
