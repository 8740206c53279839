"""What users say of their models, and finding models by it."""

from collections.abc import Awaitable, Callable

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from sightsmith.api.training.v1 import model_service_pb2 as pb
from sightsmith.api.training.v1.model_pb2 import Model
from sightsmith.client import Client, SightsmithError
from sightsmith.client.calls import calling

PublishModel = Callable[..., Awaitable[str]]
NewProject = Callable[[], str]


@pytest.fixture
async def name(publish_model: PublishModel, new_project: NewProject) -> str:
    return await publish_model(new_project())


def update(client: Client, model: Model, *paths: str) -> Model:
    with calling():
        return client.models.stub.UpdateModel(pb.UpdateModelRequest(model=model, update_mask=FieldMask(paths=paths)))


async def test_a_description_and_tags_are_kept(client: Client, name: str) -> None:
    made = client.model(name)
    assert (made.description, dict(made.tags), made.update_time) == ("", {}, made.create_time)
    client.models.describe(name, "for the shop\u2019s till")
    changed = client.models.tag(name, {"stage": "prod", "empty": ""})
    assert changed == client.model(name)
    assert (changed.description, dict(changed.tags)) == ("for the shop\u2019s till", {"stage": "prod", "empty": ""})
    assert changed.update_time.ToDatetime() > made.update_time.ToDatetime()
    for field in ("description", "tags", "update_time", "etag"):
        changed.ClearField(field)
        made.ClearField(field)
    assert changed == made, "nothing else changes"


async def test_the_mask_says_what_changes(client: Client, name: str) -> None:
    update(client, Model(name=name, description="old", tags={"a": "1"}), "*")
    update(client, Model(name=name, tags={"b": "2"}))
    assert (client.model(name).description, dict(client.model(name).tags)) == ("old", {"b": "2"})
    update(client, Model(name=name), "tags")
    assert (client.model(name).description, dict(client.model(name).tags)) == ("old", {})
    with pytest.raises(SightsmithError, match="update_mask") as raised:
        update(client, Model(name=name, seed=8), "seed")
    assert raised.value.reason == "INVALID_FIELD"


async def test_a_change_of_what_somebody_else_has_changed_is_refused(client: Client, name: str) -> None:
    read = client.model(name)
    changed = client.models.tag(name, {"a": "1"}, read.etag)
    assert changed.etag != read.etag
    for change in (
        lambda: client.models.tag(name, {"b": "2"}, read.etag),
        lambda: client.models.describe(name, "late", read.etag),
        lambda: client.models.delete(name, read.etag),
    ):
        with pytest.raises(SightsmithError) as raised:
            change()
        assert (raised.value.reason, raised.value.metadata["etag"]) == ("ETAG_MISMATCH", changed.etag)
    assert client.model(name) == changed
    assert client.models.tag(name, {"a": "1"}, changed.etag).etag == changed.etag, "nothing was changed"


@pytest.mark.parametrize(
    ("model", "field"),
    [
        (Model(description="x" * 256), "model.description"),
        (Model(tags={str(number): "" for number in range(51)}), "model.tags"),
        (Model(tags={"": "x"}), "model.tags['']"),
        (Model(tags={"k" * 129: "x"}), f"model.tags[{'k' * 128!r}]"),
        (Model(tags={"k": "x" * 257}), "model.tags['k']"),
        (Model(tags={"k": "line\nbreak"}), "model.tags['k']"),
        (Model(tags={"k\x7f": ""}), "model.tags['k\\x7f']"),
    ],
)
async def test_limits_are_told_by_field(client: Client, name: str, model: Model, field: str) -> None:
    model = Model(name=name, description=model.description, tags=model.tags)
    with pytest.raises(SightsmithError) as raised:
        update(client, model, "*")
    assert [violation.field for violation in raised.value.violations] == [field]
    assert client.model(name).etag == '"1"'


async def test_what_is_just_within_the_limits_is_taken(client: Client, name: str) -> None:
    tags = {f"{number:0128}": "x" * 256 for number in range(50)}
    update(client, Model(name=name, description="ä" * 255, tags=tags), "*")
    assert dict(client.model(name).tags) == tags


async def test_models_are_found_by_labels_and_tags(
    client: Client, publish_model: PublishModel, new_project: NewProject
) -> None:
    project = new_project()
    animals = await publish_model(project, labels=("cat", "dog"))
    pets = await publish_model(project, labels=("cat", "dog", "hamster"))
    client.models.tag(animals, {"stage": "prod", "owner": "ada"})
    client.models.tag(pets, {"stage": "prod"})

    def found(**wanted: object) -> list[str]:
        return [model.name for model in client.models.list(project, **wanted)]

    assert found() == [pets, animals]
    assert found(labels=["cat", "dog"]) == [pets, animals]
    assert found(labels=["hamster"]) == [pets]
    assert found(labels=["ham"]) == []
    assert found(tags={"stage": "prod"}) == [pets, animals]
    assert found(tags={"stage": "prod", "owner": "ada"}) == [animals]
    assert found(tags={"stage": "pro"}) == []
    assert found(labels=["hamster"], tags={"owner": "ada"}) == []


async def test_lists_are_ordered_and_paged(
    client: Client, publish_model: PublishModel, new_project: NewProject
) -> None:
    project = new_project()
    scores = [0.1, 1 / 3, 0.9, 1 / 3, 0.0, 1e-7]
    names = [await publish_model(project, files={"onnx": b"x"}, macro_f1=score) for score in scores]

    def pages(order_by: str) -> list[str]:
        seen, token = [], ""
        while True:
            page = client.models.stub.ListModels(
                pb.ListModelsRequest(parent=f"projects/{project}", page_size=2, page_token=token, order_by=order_by)
            )
            seen += [model.name for model in page.models]
            token = page.next_page_token
            if not token:
                return seen

    assert pages("") == pages("create_time desc") == names[::-1]
    assert pages("create_time") == names
    best_first = sorted(range(len(names)), key=lambda index: (-scores[index], -index))
    assert pages(" macro_f1   desc ") == [names[index] for index in best_first]


@pytest.mark.parametrize(("order_by", "token"), [("name", ""), ("macro_f1 desc", "WyIzIl0="), ("", "WyJhIl0=")])
async def test_other_orders_and_tokens_are_refused(client: Client, project: str, order_by: str, token: str) -> None:
    request = pb.ListModelsRequest(parent=f"projects/{project}", order_by=order_by, page_token=token)
    with pytest.raises(SightsmithError) as raised, calling():
        client.models.stub.ListModels(request)
    assert raised.value.reason == "INVALID_FIELD"


async def test_a_model_that_is_not_there_cannot_be_changed(client: Client, project: str) -> None:
    with pytest.raises(SightsmithError) as raised:
        client.models.describe(f"projects/{project}/models/v1", "x")
    assert raised.value.reason == "NOT_FOUND"
