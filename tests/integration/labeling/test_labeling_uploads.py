"""Uploads: what is taken, what is refused and how, and that nothing is lost or doubled."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator

import pytest
from grpc import StatusCode, aio

from sightsmith.api.labeling.v1 import labeling_service_pb2 as pb
from tests.integration.conftest import TOKEN

from .conftest import MakeProcess
from .labeling_client import (
    CREATED,
    REJECTED,
    UNCHANGED,
    Failure,
    LabelingClient,
    Sample,
    header,
    rejection,
    upload_requests,
)
from .sample_images import animated_gif, bomb, encode, jpeg, noise, png_16_bit, rotated_jpeg


async def test_images_come_back_as_they_were(client: LabelingClient, dataset: str) -> None:
    large = encode(noise(7, 800, 700), "PNG")
    assert len(large) > 1024 * 1024
    samples = [Sample("a/b ü.jpg", jpeg(1), ("dog", "cat")), Sample("large.png", large, ())]
    answers = await client.upload(dataset, samples)
    for sample, answer in zip(samples, answers, strict=True):
        image = answer.image
        assert (answer.outcome, answer.source, image.source) == (CREATED, sample.source, sample.source)
        assert image.name.startswith(f"{dataset}/images/")
        assert image.sha256 == hashlib.sha256(sample.data).hexdigest()
        assert image.size_bytes == len(sample.data)
        assert tuple(image.labels) == tuple(sorted(sample.labels))
        assert await client.stub.GetImage(pb.GetImageRequest(name=image.name), metadata=client.metadata) == image
        assert await client.download(image.name) == sample.data
    assert answers[1].image.media_type == "image/png"


async def test_unusual_images_are_taken(client: LabelingClient, dataset: str) -> None:
    samples = [
        Sample("cmyk.jpg", encode(noise(1, 50, 40, "CMYK"), "JPEG")),
        Sample("16 bit.png", png_16_bit(2)),
        Sample("rotated.jpg", rotated_jpeg(3)),
        Sample("画像\n'\"; drop table.webp", encode(noise(4, 33, 44), "WEBP")),
        Sample("transparent.png", encode(noise(5, 20, 30, "RGBA"), "PNG")),
    ]
    answers = await client.upload(dataset, samples)
    assert [answer.outcome for answer in answers] == [CREATED] * 5
    assert [answer.image.source for answer in answers] == [sample.source for sample in samples]
    sizes = [(answer.image.width, answer.image.height) for answer in answers]
    assert sizes == [(50, 40), (40, 30), (60, 80), (33, 44), (20, 30)]


async def test_bad_images_are_refused_and_the_others_are_not(client: LabelingClient, dataset: str) -> None:
    bad = {
        "IMAGE_EMPTY": b"",
        "IMAGE_TRUNCATED": jpeg(1, 300, 300)[:-5000],
        "IMAGE_UNREADABLE": b"%PDF-1.7 not an image",
        "IMAGE_TOO_SMALL": encode(noise(1, 1, 1), "PNG"),
        "IMAGE_ANIMATED": animated_gif(),
    }
    too_large = {"bomb.png": bomb(), "many bytes.jpg": bytes(3_500_000)}
    good = [Sample(f"{seed}.jpg", jpeg(seed)) for seed in range(3)]
    samples = [
        good[0],
        *(Sample(reason, data) for reason, data in bad.items()),
        good[1],
        *(Sample(source, data) for source, data in too_large.items()),
        good[2],
    ]
    answers = await client.upload(dataset, samples)
    assert [answer.source for answer in answers] == [sample.source for sample in samples]
    refused = {answer.source: rejection(answer) for answer in answers if answer.outcome == REJECTED}
    assert {source: error.reason for source, error in refused.items()} == {
        **{reason: reason for reason in bad},
        **dict.fromkeys(too_large, "IMAGE_TOO_LARGE"),
    }
    for source, error in refused.items():
        assert [violation.field for violation in error.violations] == [source]
        assert source in error.message
    assert refused["bomb.png"].metadata["limit"] == "10000000"
    assert refused["many bytes.jpg"].metadata["limit"] == "3000000"
    assert refused["IMAGE_TOO_SMALL"].metadata["limit"] == "16"
    assert (await client.dataset(dataset)).image_count == 3


async def test_a_wrong_header_refuses_its_image_alone(client: LabelingClient, dataset: str) -> None:
    samples = [
        Sample("a.jpg", jpeg(1), ("cat", "")),
        Sample("b.jpg", jpeg(2), ("cat", "x" * 256, "cat", "a\nb")),
        Sample("c" * 1025, jpeg(3)),
        Sample("d.jpg", jpeg(4), ("x" * 255,)),
    ]
    answers = await client.upload(dataset, samples)
    fields = [[violation.field for violation in rejection(answer).violations] for answer in answers[:3]]
    assert fields == [["labels[1]"], ["labels[1]", "labels[2]", "labels[3]"], ["source"]]
    assert answers[3].outcome == CREATED


async def test_the_same_image_again_changes_nothing(client: LabelingClient, dataset: str) -> None:
    (first,) = await client.upload(dataset, [Sample("first.jpg", jpeg(1), ("cat", "dog"))])
    (second,) = await client.upload(dataset, [Sample("second.jpg", jpeg(1), ("dog", "cat"))])
    assert second.outcome == UNCHANGED
    assert second.source == "second.jpg"
    assert second.image == first.image
    assert (await client.dataset(dataset)).image_count == 1


async def test_the_same_image_under_other_labels_is_refused(client: LabelingClient, dataset: str) -> None:
    (there,) = await client.upload(dataset, [Sample("there.jpg", jpeg(1), ("cat",))])
    answers = await client.upload(dataset, [Sample("new.jpg", jpeg(1), ("dog",)), Sample("none.jpg", jpeg(1), ())])
    for answer in answers:
        error = rejection(answer)
        assert (error.code, error.reason) == (StatusCode.ALREADY_EXISTS.value[0], "IMAGE_CONFLICTING_LABELS")
        assert error.metadata == {"image": there.image.name, "labels": json.dumps(["cat"])}
        assert "'there.jpg'" in error.message
        assert "'cat'" in error.message
    assert "'dog'" in rejection(answers[0]).message


async def test_one_upload_may_contradict_itself(client: LabelingClient, dataset: str) -> None:
    samples = [Sample(f"{index}.jpg", jpeg(1), (f"label {index}",)) for index in range(20)]
    answers = await client.upload(dataset, samples)
    assert sorted(answer.outcome for answer in answers) == [CREATED] + [REJECTED] * 19
    (winner,) = (answer for answer in answers if answer.outcome == CREATED)
    assert {rejection(answer).metadata["image"] for answer in answers if answer is not winner} == {winner.image.name}


async def test_two_uploads_at_once_may_contradict_each_other(client: LabelingClient, dataset: str) -> None:
    def samples(label: str) -> list[Sample]:
        return [Sample(f"{label} {seed}.jpg", jpeg(seed), (label,)) for seed in range(40)]

    both = await asyncio.gather(*(client.upload(dataset, samples(label)) for label in ("cat", "dog")))
    for one, other in zip(*both, strict=True):
        assert sorted([one.outcome, other.outcome]) == [CREATED, REJECTED]
        winner, loser = (one, other) if one.outcome == CREATED else (other, one)
        assert rejection(loser).metadata["image"] == winner.image.name
    found = await client.dataset(dataset)
    assert found.image_count == sum(count.image_count for count in found.label_counts) == 40


async def test_an_upload_that_fails_ends_no_other_one(make_process: MakeProcess) -> None:
    process = make_process({"SIGHTSMITH_MAX_LABELS_PER_PROJECT": "1"})
    process.start()
    client = LabelingClient(process.target, TOKEN)
    async with client.channel:
        dataset = await client.new_dataset()
        await client.upload(dataset, [Sample("first.jpg", jpeg(0), ("cat",))])

        async def upload(label: str, seed: int) -> None:
            (answer,) = await client.upload(dataset, [Sample(f"{seed}.jpg", jpeg(seed), (label,))])
            assert answer.outcome == CREATED

        async def fail(seed: int) -> None:
            with Failure(StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED"):
                await upload("dog", seed)

        # They come at the same time, so that they share transactions.
        await asyncio.gather(*(fail(seed) if seed % 2 else upload("cat", seed) for seed in range(1, 17)))
        assert (await client.dataset(dataset)).image_count == 9


async def test_a_dataset_that_is_deleted_ends_its_uploads(client: LabelingClient, dataset: str) -> None:
    calls = [client.stub.UploadImages(metadata=client.metadata) for _ in range(2)]
    for seed, call in enumerate(calls):
        await call.write(pb.UploadImagesRequest(parent=dataset))
        await call.write(header("begun.jpg", "cat"))
        await call.write(pb.UploadImagesRequest(chunk=jpeg(seed)))
        await call.write(header("too late.jpg", "cat"))
        assert (await call.read()).outcome == CREATED
    await client.stub.DeleteDataset(pb.DeleteDatasetRequest(name=dataset, force=True), metadata=client.metadata)

    async def end(seed: int, call: aio.StreamStreamCall) -> None:
        await call.write(pb.UploadImagesRequest(chunk=jpeg(seed)))
        await call.done_writing()
        with Failure(StatusCode.NOT_FOUND, "NOT_FOUND") as failure:
            await call.read()
        assert failure.error.metadata == {"name": dataset}

    await asyncio.gather(*(end(10 + seed, call) for seed, call in enumerate(calls)))


async def test_the_parts_come_in_their_order(client: LabelingClient, dataset: str) -> None:
    parent, chunk = pb.UploadImagesRequest(parent=dataset), pb.UploadImagesRequest(chunk=b"x")
    wrong = {
        "parent": [[header("a.jpg")], [chunk], [], [parent, header("a.jpg"), parent]],
        "chunk": [[parent, chunk]],
        "part": [[parent, pb.UploadImagesRequest()]],
        "header.source": [[parent, header("", "cat")]],
    }
    for field, uploads in wrong.items():
        for requests in uploads:
            with Failure(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
                await asyncio.to_thread(client.send_at_once, requests)
            assert failure.fields == [field]
    with Failure(StatusCode.NOT_FOUND, "NOT_FOUND") as failure:
        await asyncio.to_thread(client.send_at_once, [pb.UploadImagesRequest(parent=f"{dataset}x"), header("a.jpg")])
    assert failure.error.metadata == {"name": f"{dataset}x"}


async def test_the_header_may_have_the_first_bytes_or_all(client: LabelingClient, dataset: str) -> None:
    def begin(seed: int, size: int | None) -> pb.UploadImagesRequest:
        header = pb.UploadImagesRequest.Header(source=f"{seed}.jpg", labels=["cat"], data=jpeg(seed)[:size])
        return pb.UploadImagesRequest(header=header)

    too_large = pb.UploadImagesRequest.Header(source="too large.jpg", data=bytes(1_600_000))
    requests = [
        pb.UploadImagesRequest(parent=dataset),
        begin(1, None),
        begin(2, 100),
        pb.UploadImagesRequest(chunk=jpeg(2)[100:]),
        pb.UploadImagesRequest(header=too_large),
        pb.UploadImagesRequest(chunk=bytes(1_600_000)),
        begin(3, None),
    ]
    answers = sorted(client.send_at_once(requests), key=lambda answer: answer.index)
    whole, split, refused, last = answers
    assert [answer.image.sha256 for answer in (whole, split, last)] == [
        hashlib.sha256(jpeg(seed)).hexdigest() for seed in (1, 2, 3)
    ]
    assert rejection(refused).reason == "IMAGE_TOO_LARGE"


async def test_images_before_a_wrong_part_are_answered(client: LabelingClient, dataset: str) -> None:
    async def requests() -> AsyncIterator[pb.UploadImagesRequest]:
        async for request in upload_requests(dataset, [Sample("a.jpg", jpeg(1)), Sample("b.jpg", jpeg(2))]):
            yield request
        yield pb.UploadImagesRequest(parent=dataset)

    answers = []
    with Failure(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        async for answer in client.stub.UploadImages(requests(), metadata=client.metadata):
            answers.append(answer)
    assert [(answer.index, answer.outcome) for answer in answers] == [(0, CREATED)]


async def test_a_client_that_vanishes_leaves_no_half_image(client: LabelingClient, dataset: str) -> None:
    for seed in range(20):
        call = client.stub.UploadImages(metadata=client.metadata)
        await call.write(pb.UploadImagesRequest(parent=dataset))
        await call.write(header("half.jpg", "cat"))
        # A whole image as far as a decoder can tell: only the end of the stream would say so.
        await call.write(pb.UploadImagesRequest(chunk=jpeg(seed)))
        await asyncio.sleep(0.01 * (seed % 3))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call.read()
    await asyncio.sleep(0.3)
    assert (await client.dataset(dataset)).image_count == 0


async def test_each_image_is_answered_when_it_is_stored(client: LabelingClient, dataset: str) -> None:
    """An answer does not wait for the end of the upload."""
    call = client.stub.UploadImages(metadata=client.metadata)
    await call.write(pb.UploadImagesRequest(parent=dataset))
    await call.write(header("0.jpg"))
    for index in range(3):
        await call.write(pb.UploadImagesRequest(chunk=jpeg(index)))
        await call.write(header(f"{index + 1}.jpg"))
        answer = await asyncio.wait_for(call.read(), timeout=10)
        assert isinstance(answer, pb.UploadImagesResponse)
        assert (answer.index, answer.outcome) == (index, CREATED)
        request = pb.GetImageRequest(name=answer.image.name)
        assert await client.stub.GetImage(request, metadata=client.metadata) == answer.image
    call.cancel()


async def test_a_client_that_does_not_read_is_held_back(client: LabelingClient, dataset: str) -> None:
    """Images are neither lost nor piled up without bound while answers are not taken."""
    samples = [Sample(f"{seed}.jpg", jpeg(seed, 40, 40)) for seed in range(600)]
    call = client.stub.UploadImages(upload_requests(dataset, samples), metadata=client.metadata)
    await asyncio.sleep(2)
    answers = [answer.index async for answer in call]
    assert sorted(answers) == list(range(600))


async def test_images_are_listed_as_they_came(client: LabelingClient, dataset: str) -> None:
    for batch in range(3):
        await client.upload(dataset, [Sample(f"{batch}-{seed}", jpeg(10 * batch + seed)) for seed in range(4)])
    found, token = [], ""
    while True:
        request = pb.ListImagesRequest(parent=dataset, page_size=5, page_token=token)
        page = await client.stub.ListImages(request, metadata=client.metadata)
        found += [image.source for image in page.images]
        if not (token := page.next_page_token):
            break
    assert len(found) == len(set(found)) == 12
    assert [source[0] for source in found] == list("000011112222")
