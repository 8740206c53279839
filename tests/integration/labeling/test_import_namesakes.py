"""Images of an import that are called like images which are there."""

import hashlib

import pytest

from sightsmith.api.labeling.v1.import_job_pb2 import ImportJob

from .labeling_client import LabelingClient, Sample
from .sample_images import jpeg
from .transfer_client import TransferClient, zipped

pytestmark = pytest.mark.usefixtures("worker")


def sha256(seed: int) -> str:
    return hashlib.sha256(jpeg(seed)).hexdigest()


@pytest.mark.parametrize("existing", [ImportJob.EXISTING_IMAGES_MERGE, ImportJob.EXISTING_IMAGES_REPLACE])
async def test_another_picture_of_the_same_name_is_another_image(
    client: LabelingClient, project: str, dataset: str, existing: int
) -> None:
    transfers = TransferClient(client)
    for seed, label in ((1, "cat"), (2, "dog")):
        archive = zipped({f"{label}/1.jpg": jpeg(seed), "both/1.jpg": jpeg(seed + 10)})
        job = await transfers.import_bytes(project, "animals.zip", archive, existing_images=existing)
        assert (job.result.created_count, job.result.updated_count) == (2, 0)
    found = {image.sha256: (image.source, list(image.labels)) for image in await transfers.images(dataset)}
    assert found == {
        sha256(1): ("cat/1.jpg", ["cat"]),
        sha256(2): ("dog/1.jpg", ["dog"]),
        sha256(11): ("both/1.jpg", ["both"]),
        sha256(12): ("both/1.jpg", ["both"]),
    }


async def test_a_name_that_very_many_have_tells_pictures_apart_too(
    client: LabelingClient, project: str, dataset: str
) -> None:
    transfers = TransferClient(client)
    await client.upload(dataset, [Sample(f"{seed}/1.jpg", jpeg(seed), ("old",)) for seed in range(20)])
    archive = zipped({"images/new/1.jpg": jpeg(50), "images/3/1.jpg": jpeg(51)})
    job = await transfers.import_bytes(project, "more.zip", archive)
    assert job.result.created_count == 2
    images = await transfers.images(dataset)
    assert len(images) == 22
    assert [image.sha256 for image in images if "old" not in image.labels] == [
        image.sha256 for image in images if image.sha256 in (sha256(50), sha256(51))
    ]
