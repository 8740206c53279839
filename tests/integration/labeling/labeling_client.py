"""A client as a user would write it, with short ways to what most tests need."""

import uuid
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import cast

import grpc
import pytest
from grpc import aio

from sightsmith.api.labeling.v1 import labeling_service_pb2 as pb
from sightsmith.api.labeling.v1.dataset_pb2 import SPLIT_TRAIN, Dataset, Split
from sightsmith.api.labeling.v1.labeling_service_pb2_grpc import LabelingServiceStub
from sightsmith.api.labeling.v1.project_pb2 import Project
from sightsmith.api.labeling.v1.snapshot_service_pb2_grpc import SnapshotServiceStub
from sightsmith.errors import SightsmithError
from sightsmith.rpc.channel import channel_options, error_of
from sightsmith.rpc.status import from_status

CREATED = pb.UploadImagesResponse.OUTCOME_CREATED
UNCHANGED = pb.UploadImagesResponse.OUTCOME_UNCHANGED
REJECTED = pb.UploadImagesResponse.OUTCOME_REJECTED
CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True)
class Sample:
    """An image to upload."""

    source: str
    data: bytes
    labels: tuple[str, ...] = ("cat",)


class LabelingClient:
    """Calls a labeling server."""

    def __init__(self, target: str, token: str) -> None:
        self.target = target
        self.channel = aio.insecure_channel(target, channel_options())
        self.stub = LabelingServiceStub(self.channel)
        self.snapshots = SnapshotServiceStub(self.channel)
        self.metadata = (("authorization", f"Bearer {token}"),)

    async def new_project(self) -> str:
        request = pb.CreateProjectRequest(project_id=f"p-{uuid.uuid4().hex[:12]}")
        return (await self.stub.CreateProject(request, metadata=self.metadata)).name

    async def new_dataset(
        self, project: str | None = None, dataset_id: str = "train", split: Split.ValueType = SPLIT_TRAIN
    ) -> str:
        request = pb.CreateDatasetRequest(
            parent=project or await self.new_project(), dataset_id=dataset_id, dataset=Dataset(split=split)
        )
        return (await self.stub.CreateDataset(request, metadata=self.metadata)).name

    async def send(self, requests: AsyncIterator[pb.UploadImagesRequest]) -> list[pb.UploadImagesResponse]:
        """Uploads what is given, and returns the answers by index."""
        call = self.stub.UploadImages(requests, metadata=self.metadata)
        return sorted([answer async for answer in call], key=lambda answer: answer.index)

    def send_at_once(self, requests: Iterable[pb.UploadImagesRequest]) -> list[pb.UploadImagesResponse]:
        """Uploads from a blocking client.

        The asyncio client loses the server's status if the server ends the call while the client still writes.
        """
        with grpc.insecure_channel(self.target) as channel:
            return list(LabelingServiceStub(channel).UploadImages(iter(requests), metadata=self.metadata))

    async def upload(self, dataset: str, samples: Iterable[Sample]) -> list[pb.UploadImagesResponse]:
        answers = await self.send(upload_requests(dataset, samples))
        assert [answer.index for answer in answers] == list(range(len(answers)))
        return answers

    async def download(self, image: str) -> bytes:
        call = self.stub.DownloadImage(pb.DownloadImageRequest(name=image), metadata=self.metadata)
        chunks = [response.chunk async for response in call]
        assert all(len(chunk) <= 1024 * 1024 for chunk in chunks)
        return b"".join(chunks)

    async def project(self, name: str) -> Project:
        return await self.stub.GetProject(pb.GetProjectRequest(name=name), metadata=self.metadata)

    async def dataset(self, name: str) -> Dataset:
        return await self.stub.GetDataset(pb.GetDatasetRequest(name=name), metadata=self.metadata)


async def upload_requests(dataset: str, samples: Iterable[Sample]) -> AsyncIterator[pb.UploadImagesRequest]:
    yield pb.UploadImagesRequest(parent=dataset)
    for sample in samples:
        yield header(sample.source, *sample.labels)
        for begin in range(0, len(sample.data), CHUNK_BYTES):
            yield pb.UploadImagesRequest(chunk=sample.data[begin : begin + CHUNK_BYTES])


def header(source: str, *labels: str) -> pb.UploadImagesRequest:
    return pb.UploadImagesRequest(header=pb.UploadImagesRequest.Header(source=source, labels=labels))


class Failure:
    """The error of the call inside the block, as the client sees it."""

    def __init__(self, code: grpc.StatusCode, reason: str) -> None:
        self._code = code
        self._reason = reason
        self._raises = pytest.raises(grpc.RpcError)
        self.error: SightsmithError

    def __enter__(self) -> "Failure":
        self._caught = self._raises.__enter__()
        return self

    def __exit__(self, *details: object) -> bool:
        handled = self._raises.__exit__(*details)  # type: ignore[arg-type]
        assert cast(grpc.Call, self._caught.value).code() == self._code, self._caught.value
        self.error = error_of(self._caught.value)
        assert self.error.reason == self._reason
        return handled

    @property
    def fields(self) -> list[str]:
        return [violation.field for violation in self.error.violations]


def rejection(answer: pb.UploadImagesResponse) -> SightsmithError:
    assert answer.outcome == REJECTED, answer
    assert not answer.HasField("image")
    return from_status(answer.error)
