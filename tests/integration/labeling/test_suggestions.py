"""Labels that models propose: made by a client or a job, accepted, corrected, rejected, once and for all."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import grpc
import pytest
from pydantic import SecretStr

from sightsmith.api.inference.v1.prediction_service_pb2 import BoundingBox as SharesBox
from sightsmith.api.labeling.v1 import suggestion_service_pb2 as pb
from sightsmith.api.labeling.v1.annotation_pb2 import Annotation, BoundingBox
from sightsmith.api.labeling.v1.image_pb2 import Image
from sightsmith.api.labeling.v1.job_pb2 import JOB_STATE_CANCELLED, JOB_STATE_FAILED, JOB_STATE_SUCCEEDED
from sightsmith.api.labeling.v1.labeling_service_pb2 import GetImageRequest
from sightsmith.api.labeling.v1.suggestion_pb2 import Suggestion, SuggestionJob
from sightsmith.api.labeling.v1.suggestion_service_pb2_grpc import SuggestionServiceStub
from sightsmith.settings import Settings
from tests.integration.conftest import TOKEN

from .conftest import MakeWorker
from .labeling_client import Failure, LabelingClient, Sample
from .prediction_stand_in import PredictionStandIn
from .sample_images import jpeg

MODEL = "elsewhere/model-1"
PENDING, ACCEPTED = Suggestion.STATE_PENDING, Suggestion.STATE_ACCEPTED
CORRECTED, REJECTED = Suggestion.STATE_CORRECTED, Suggestion.STATE_REJECTED
ACCEPT, REJECT = pb.BatchDecideSuggestionsRequest.DECISION_ACCEPT, pb.BatchDecideSuggestionsRequest.DECISION_REJECT


class SuggestionClient:
    """Calls SuggestionService for one project, as a person named Ann."""

    def __init__(self, client: LabelingClient, project: str) -> None:
        self._client = client
        self.project = project
        self.stub = SuggestionServiceStub(client.channel)
        self.metadata = (*client.metadata, ("x-sightsmith-actor", "ann"))

    async def bring(self, *suggestions: Suggestion) -> list[Suggestion]:
        request = pb.BatchCreateSuggestionsRequest(parent=self.project, suggestions=suggestions)
        return list((await self.stub.BatchCreateSuggestions(request, metadata=self.metadata)).suggestions)

    async def list(self, order: Any = 0, page_size: int = 0, **wanted: Any) -> list[Suggestion]:
        found: list[Suggestion] = []
        token = ""
        while True:
            request = pb.ListSuggestionsRequest(
                parent=self.project,
                filter=pb.SuggestionFilter(**wanted),
                order=order,
                page_size=page_size,
                page_token=token,
            )
            page = await self.stub.ListSuggestions(request, metadata=self.metadata)
            found += page.suggestions
            token = page.next_page_token
            if not token:
                return found

    async def decide(self, decision: Any, names: Sequence[str] = (), **fields: Any) -> Any:
        request = pb.BatchDecideSuggestionsRequest(parent=self.project, names=names, decision=decision, **fields)
        return await self.stub.BatchDecideSuggestions(request, metadata=self.metadata)

    async def correct(self, name: str, **fields: Any) -> pb.CorrectSuggestionResponse:
        request = pb.CorrectSuggestionRequest(name=name, **fields)
        return await self.stub.CorrectSuggestion(request, metadata=self.metadata)

    async def create_job(self, **fields: Any) -> SuggestionJob:
        fields = {"deployment": f"{self.project}/deployments/live", "min_confidence": 0.6, **fields}
        request = pb.CreateSuggestionJobRequest(parent=self.project, suggestion_job=SuggestionJob(**fields))
        return await self.stub.CreateSuggestionJob(request, metadata=self.metadata)

    async def run_job(self, **fields: Any) -> SuggestionJob:
        """Runs a job to its end, and watches it meanwhile."""
        job = await self.create_job(**fields)
        revisions = []
        async with asyncio.timeout(90):
            async for change in self.stub.WatchSuggestionJob(
                pb.WatchSuggestionJobRequest(name=job.name), metadata=self.metadata
            ):
                revisions.append(change.revision)
                job = change.suggestion_job
        assert revisions == sorted(revisions)
        return job

    async def image(self, name: str) -> Image:
        return await self._client.stub.GetImage(GetImageRequest(name=name), metadata=self.metadata)


@pytest.fixture
def suggestions(client: LabelingClient, project: str) -> SuggestionClient:
    return SuggestionClient(client, project)


AddImages = Callable[..., Any]


@pytest.fixture
def add_images(client: LabelingClient, dataset: str) -> AddImages:
    """Uploads images with these seeds, and returns their names."""

    async def add(*seeds: int, labels: tuple[str, ...] = ()) -> list[str]:
        answers = await client.upload(dataset, [Sample(f"{seed}.jpg", jpeg(seed), labels) for seed in seeds])
        return [answer.image.name for answer in answers]

    return add


def suggestion(image: str, label: str, confidence: float, model: str = MODEL, **fields: Any) -> Suggestion:
    return Suggestion(image=image, label=label, confidence=confidence, model=model, **fields)


async def test_accepting_puts_the_label_on_the_image(suggestions: SuggestionClient, add_images: AddImages) -> None:
    first, second = await add_images(1, 2)
    box = BoundingBox(left=1, top=2, width=30, height=20)
    made = await suggestions.bring(
        suggestion(first, "cat", 0.9), suggestion(first, "cat", 0.7, box=box), suggestion(second, "dog", 0.8)
    )
    assert [one.state for one in made] == [PENDING] * 3
    decided = await suggestions.decide(ACCEPT, [one.name for one in made[:2]])
    assert (decided.suggestion_count, decided.image_count) == (2, 1)
    assert [(count.label, count.suggestion_count) for count in decided.label_counts] == [("cat", 2)]
    image = await suggestions.image(first)
    found = [(one.label, one.HasField("box"), one.origin, one.author, one.confidence) for one in image.annotations]
    assert found == [
        ("cat", False, Annotation.ORIGIN_MODEL, MODEL, 0.9),
        ("cat", True, Annotation.ORIGIN_MODEL, MODEL, 0.7),
    ]
    assert image.annotations[1].box == box
    assert not (await suggestions.image(second)).annotations
    accepted, _, pending = await suggestions.list()
    assert (accepted.state, accepted.decider) == (ACCEPTED, "ann")
    assert accepted.HasField("decide_time")
    assert pending.state == PENDING


async def test_accepting_at_once_makes_one_annotation(suggestions: SuggestionClient, add_images: AddImages) -> None:
    images = await add_images(*range(10))
    made = await suggestions.bring(*(suggestion(image, "cat", 0.9) for image in images))
    names = [one.name for one in made]
    decided = await asyncio.gather(
        *(suggestions.decide(ACCEPT, names[:: 1 if place % 2 else -1]) for place in range(8)),
        *(suggestions.decide(ACCEPT, filter=pb.SuggestionFilter(label="cat")) for _ in range(4)),
    )
    assert sum(one.suggestion_count for one in decided) == 10
    for image in images:
        assert [annotation.label for annotation in (await suggestions.image(image)).annotations] == ["cat"]


async def test_what_is_decided_stays_decided(suggestions: SuggestionClient, add_images: AddImages) -> None:
    (image,) = await add_images(1)
    (made,) = await suggestions.bring(suggestion(image, "cat", 0.9))
    assert (await suggestions.decide(REJECT, [made.name])).suggestion_count == 1
    for validate_only in (True, False):
        again = await suggestions.decide(ACCEPT, [made.name], validate_only=validate_only)
        assert again.suggestion_count == 0
        (skipped,) = again.skipped_suggestions
        assert (skipped.name, skipped.state, skipped.decider) == (made.name, REJECTED, "ann")
    assert not (await suggestions.image(image)).annotations
    with Failure(grpc.StatusCode.FAILED_PRECONDITION, "WRONG_STATE"):
        await suggestions.correct(made.name, label="dog")
    # The same model does not ask again; another one does.
    assert await suggestions.bring(suggestion(image, "cat", 0.95)) == []
    (other,) = await suggestions.bring(suggestion(image, "cat", 0.95, model="elsewhere/model-2"))
    assert other.state == PENDING


async def test_correcting_is_the_work_of_a_person(suggestions: SuggestionClient, add_images: AddImages) -> None:
    (image,) = await add_images(1)
    box = BoundingBox(left=1, top=2, width=30, height=20)
    label, place = await suggestions.bring(suggestion(image, "cat", 0.9), suggestion(image, "dog", 0.8, box=box))
    corrected = await suggestions.correct(label.name, label="lynx")
    assert corrected.suggestion.state == CORRECTED
    assert corrected.suggestion.corrected_label == "lynx"
    moved = BoundingBox(left=5, top=2, width=30, height=20)
    corrected = await suggestions.correct(place.name, box=moved, etag=corrected.image.etag)
    assert corrected.suggestion.corrected_box == moved
    found = [(one.label, one.origin, one.author) for one in corrected.image.annotations]
    assert found == [("lynx", Annotation.ORIGIN_PERSON, "ann"), ("dog", Annotation.ORIGIN_PERSON, "ann")]
    with Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        (other,) = await suggestions.bring(suggestion(image, "cow", 0.8))
        await suggestions.correct(other.name, box=BoundingBox(left=1, top=1, width=1000, height=1))


async def test_a_changed_image_is_noticed(suggestions: SuggestionClient, add_images: AddImages) -> None:
    (image,) = await add_images(1)
    first, second = await suggestions.bring(suggestion(image, "cat", 0.9), suggestion(image, "dog", 0.8))
    etag = (await suggestions.image(image)).etag
    await suggestions.decide(ACCEPT, [first.name], etags={image: etag})
    with Failure(grpc.StatusCode.ABORTED, "ETAG_MISMATCH"):
        await suggestions.decide(ACCEPT, [second.name], etags={image: etag})
    assert [one.state for one in await suggestions.list()] == [ACCEPTED, PENDING]


async def test_the_same_model_replaces_what_is_pending(suggestions: SuggestionClient, add_images: AddImages) -> None:
    first, second = await add_images(1, 2)
    await suggestions.bring(suggestion(first, "cat", 0.9), suggestion(second, "cat", 0.9))
    await suggestions.bring(suggestion(first, "dog", 0.6, model="elsewhere/model-2"))
    await suggestions.bring(suggestion(first, "cow", 0.7), suggestion(first, "cow", 0.5))
    found = {(one.image, one.model, one.label, one.confidence) for one in await suggestions.list()}
    assert found == {
        (first, MODEL, "cow", 0.7),
        (first, "elsewhere/model-2", "dog", 0.6),
        (second, MODEL, "cat", 0.9),
    }


async def test_what_the_image_carries_is_not_suggested(suggestions: SuggestionClient, add_images: AddImages) -> None:
    (image,) = await add_images(1, labels=("cat",))
    near, far = BoundingBox(left=0, top=0, width=30, height=20), BoundingBox(left=0, top=0, width=30, height=26)
    (dog,) = await suggestions.bring(suggestion(image, "cat", 0.9), suggestion(image, "dog", 0.9, box=near))
    assert dog.label == "dog"
    await suggestions.decide(ACCEPT, [dog.name])
    # A box at nearly the same place says the same.
    assert await suggestions.bring(suggestion(image, "dog", 0.9, box=far, model="elsewhere/model-2")) == []


async def test_lists_are_filtered_ordered_and_paged(suggestions: SuggestionClient, add_images: AddImages) -> None:
    images = await add_images(*range(5))
    confidences = [0.9, 0.5, 0.7, 0.5, 0.6]
    await suggestions.bring(
        *(suggestion(image, "cat", score) for image, score in zip(images, confidences, strict=True)),
        suggestion(images[0], "dog", 0.4),
    )
    orders = pb.ListSuggestionsRequest
    # Images that were uploaded together arrive in any order.
    arrival = list(dict.fromkeys(one.image for one in await suggestions.list()))
    assert sorted(arrival) == sorted(images)
    for page_size in (1, 2, 100):
        by_image = await suggestions.list(page_size=page_size)
        assert [one.image for one in by_image] == [
            image for image in arrival for _ in range(2 if image == images[0] else 1)
        ]
        least = await suggestions.list(orders.ORDER_LEAST_CONFIDENT_FIRST, page_size)
        assert [one.confidence for one in least] == sorted([*confidences, 0.4])
        most = await suggestions.list(orders.ORDER_MOST_CONFIDENT_FIRST, page_size, label="cat")
        assert [one.confidence for one in most] == sorted(confidences, reverse=True)
    assert len(await suggestions.list(min_confidence=0.6)) == 3
    assert [one.label for one in await suggestions.list(image=images[0], label="dog")] == ["dog"]
    assert await suggestions.list(model="nobody") == []
    assert await suggestions.list(states=[ACCEPTED]) == []
    assert len(await suggestions.list(dataset=images[0].partition("/images/")[0])) == 6


async def test_accepting_by_a_filter_shows_first_what_it_would_do(
    suggestions: SuggestionClient, add_images: AddImages
) -> None:
    images = await add_images(*range(4))
    await suggestions.bring(
        suggestion(images[0], "cat", 0.9),
        suggestion(images[0], "dog", 0.85),
        suggestion(images[1], "cat", 0.8),
        suggestion(images[2], "cat", 0.5),
    )
    wanted = pb.SuggestionFilter(min_confidence=0.8)
    preview = await suggestions.decide(ACCEPT, filter=wanted, validate_only=True)
    assert (preview.suggestion_count, preview.image_count) == (3, 2)
    assert [(count.label, count.suggestion_count) for count in preview.label_counts] == [("cat", 2), ("dog", 1)]
    assert len(await suggestions.list(states=[PENDING])) == 4
    assert await suggestions.decide(ACCEPT, filter=wanted) == preview
    assert len(await suggestions.list(states=[PENDING])) == 1
    assert (await suggestions.decide(ACCEPT, filter=wanted)).suggestion_count == 0


@pytest.mark.parametrize(
    ("fields", "violations"),
    [
        ({"label": " "}, ["suggestions[1].label"]),
        ({"confidence": 1.5}, ["suggestions[1].confidence"]),
        ({"box": BoundingBox(left=60, top=0, width=10, height=10)}, ["suggestions[1].box.width"]),
        ({"model": "other"}, ["suggestions[1].model"]),
        ({"image": "projects/other/datasets/d/images/i"}, ["suggestions[1].image"]),
        ({"image": "nonsense"}, ["suggestions[1].image"]),
    ],
)
async def test_a_wrong_prediction_is_named_and_nothing_is_made(
    suggestions: SuggestionClient, add_images: AddImages, fields: dict[str, Any], violations: list[str]
) -> None:
    (image,) = await add_images(1)
    wrong = {"image": image, "label": "cat", "confidence": 0.5, "model": MODEL, **fields}
    with Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
        await suggestions.bring(suggestion(image, "dog", 0.5), Suggestion(**wrong))
    assert failure.fields == violations
    assert await suggestions.list() == []


async def test_names_that_are_none(suggestions: SuggestionClient, add_images: AddImages, project: str) -> None:
    for name in ("99999999999", "x", "0", "1" * 30):
        with Failure(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
            await suggestions.decide(ACCEPT, [f"{project}/suggestions/{name}"])
    with Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await suggestions.decide(ACCEPT, ["projects/other/suggestions/1"])
    with Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await suggestions.decide(ACCEPT)
    with Failure(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        await suggestions.bring(suggestion(f"{project}/datasets/train/images/none", "cat", 0.5))


@pytest.fixture(scope="module")
async def inference() -> AsyncIterator[tuple[PredictionStandIn, str]]:
    stand_in = PredictionStandIn()  # type: ignore[abstract]  # what labeling never calls answers UNIMPLEMENTED
    server, address = await stand_in.start(Settings(token=SecretStr(TOKEN), listen="127.0.0.1:0"))
    yield stand_in, address
    await server.stop()


@pytest.fixture(scope="module")
async def predictor(
    no_shared_worker: None, inference: tuple[PredictionStandIn, str], make_worker: MakeWorker
) -> AsyncIterator[PredictionStandIn]:
    """What stands in for inference, asked by a labeling worker of its own."""
    stand_in, address = inference
    worker = make_worker({"SIGHTSMITH_INFERENCE_TARGET": address, "SIGHTSMITH_JOB_LEASE_SECONDS": "2"})
    worker.begin()
    yield stand_in
    worker.stop()


async def test_a_job_suggests_what_the_model_is_sure_of(
    suggestions: SuggestionClient, add_images: AddImages, predictor: PredictionStandIn
) -> None:
    seeds = range(100, 150)
    images = await add_images(*seeds)
    await add_images(150, labels=("cat",))
    for seed in (*seeds, 150):
        predictor.know(jpeg(seed), cat=seed / 200, dog=1 - seed / 200)
    job = await suggestions.run_job()
    assert job.state == JOB_STATE_SUCCEEDED
    assert (job.image_count, job.failed_image_count) == (50, 0)
    assert job.progress.phase == "looking at images"
    found = {one.image: (one.label, one.confidence, one.model) for one in await suggestions.list()}
    expected = {
        image: ("cat" if seed >= 120 else "dog", max(seed, 200 - seed) / 200, predictor.model)
        for image, seed in zip(images, seeds, strict=True)
        if max(seed, 200 - seed) >= 120
    }
    assert found == {image: (label, pytest.approx(score), model) for image, (label, score, model) in expected.items()}
    assert job.suggestion_count == len(expected)
    # Once more: the pending ones are replaced, not doubled; labelled images are looked at if that is wished.
    again = await suggestions.run_job(include_labelled=True, max_images=51)
    assert (again.image_count, again.suggestion_count) == (51, len(expected))
    assert len(await suggestions.list()) == len(expected)


async def test_a_job_suggests_boxes_in_pixels(
    suggestions: SuggestionClient, add_images: AddImages, predictor: PredictionStandIn
) -> None:
    (image,) = await add_images(160)
    predictor.know(jpeg(160, 64, 48), SharesBox(left=0.25, top=0.5, width=0.75, height=0.25), cat=0.9)
    assert (await suggestions.run_job()).suggestion_count == 1
    (found,) = await suggestions.list()
    assert found.image == image
    await suggestions.decide(ACCEPT, [found.name])
    (annotation,) = (await suggestions.image(image)).annotations
    assert found.box == annotation.box == BoundingBox(left=16, top=24, width=48, height=12)


async def test_a_job_looks_at_what_is_named(
    suggestions: SuggestionClient, add_images: AddImages, predictor: PredictionStandIn
) -> None:
    images = await add_images(200, 201, 202)
    for seed in (200, 201, 202):
        predictor.know(jpeg(seed), cat=0.9)
    job = await suggestions.run_job(images=images[:2])
    assert (job.image_count, job.suggestion_count) == (2, 2)
    job = await suggestions.run_job(max_images=1)
    assert job.image_count == 1
    assert {one.image for one in await suggestions.list()} == set(images[:2])


async def test_a_job_tells_of_images_that_cannot_be_looked_at(
    suggestions: SuggestionClient, add_images: AddImages, predictor: PredictionStandIn
) -> None:
    await add_images(300, 301)
    predictor.know(jpeg(301), cat=0.9)
    job = await suggestions.run_job()
    assert job.state == JOB_STATE_SUCCEEDED
    assert (job.image_count, job.suggestion_count, job.failed_image_count) == (2, 1, 1)


async def test_a_job_waits_for_inference_and_fails_without_a_deployment(
    suggestions: SuggestionClient, add_images: AddImages, predictor: PredictionStandIn
) -> None:
    await add_images(400)
    predictor.know(jpeg(400), cat=0.9)
    # More often than the channel itself tries again.
    predictor.failures = 6
    job = await suggestions.run_job()
    assert (job.state, job.suggestion_count) == (JOB_STATE_SUCCEEDED, 1)
    job = await suggestions.run_job(deployment=f"{suggestions.project}/deployments/gone")
    assert job.state == JOB_STATE_FAILED
    assert "does not exist" in job.error.message


async def test_a_cancelled_job_ends(suggestions: SuggestionClient, predictor: PredictionStandIn) -> None:
    job = await suggestions.create_job()
    request = pb.CancelSuggestionJobRequest(name=job.name)
    await suggestions.stub.CancelSuggestionJob(request, metadata=suggestions.metadata)
    async with asyncio.timeout(10):
        while job.state not in (JOB_STATE_CANCELLED, JOB_STATE_SUCCEEDED):
            request = pb.GetSuggestionJobRequest(name=job.name)
            job = await suggestions.stub.GetSuggestionJob(request, metadata=suggestions.metadata)
    listed = await suggestions.stub.ListSuggestionJobs(
        pb.ListSuggestionJobsRequest(parent=suggestions.project), metadata=suggestions.metadata
    )
    assert [one.name for one in listed.suggestion_jobs] == [job.name]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"deployment": "projects/other/deployments/live"}, "suggestion_job.deployment"),
        ({"min_confidence": 0}, "suggestion_job.min_confidence"),
        ({"min_confidence": 1.5}, "suggestion_job.min_confidence"),
        ({"max_images": -1}, "suggestion_job.max_images"),
        ({"dataset": "nonsense"}, "suggestion_job.dataset"),
        ({"images": ["nonsense"]}, "suggestion_job.images[0]"),
    ],
)
async def test_a_wrong_job_is_refused(suggestions: SuggestionClient, fields: dict[str, Any], field: str) -> None:
    with Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as failure:
        await suggestions.create_job(**fields)
    assert failure.fields == [field]
