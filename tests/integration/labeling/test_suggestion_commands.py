"""`sightsmith suggestions` on a real service."""

import pytest

from sightsmith.api.labeling.v1.suggestion_pb2 import Suggestion
from sightsmith.client import Client

from .command_line import Run, result_of
from .labeling_client import LabelingClient, Sample
from .sample_images import jpeg


@pytest.fixture
async def suggested(run: Run, client: LabelingClient, dataset: str) -> list[str]:
    """Ids of three suggestions for an image of 64 by 48 pixels."""
    (answer,) = await client.upload(dataset, [Sample("1.jpg", jpeg(seed=950), ())])
    project = dataset.split("/")[1]
    proposed = [
        Suggestion(image=answer.image.name, label=label, confidence=0.9, model="m") for label in ("a", "b", "c")
    ]
    with Client.connect() as caller:
        return [one.name.rpartition("/")[2] for one in caller.suggestions.bring(project, proposed)]


def test_what_was_decided_before_is_told(run: Run, project: str, suggested: list[str]) -> None:
    name, (first, second, third) = project.removeprefix("projects/"), suggested
    assert run("suggestions", "reject", name, first).exit_code == 0
    accepted = result_of(run("suggestions", "accept", name, first, second, "--json"))
    assert accepted["suggestion_count"] == "1"
    shown = " ".join(run("suggestions", "accept", name, first, second).stdout.split())
    assert f"left as it is: {first} was rejected by Ada on" in shown
    assert f"left as it is: {second} was accepted by Ada on" in shown

    corrected = result_of(run("suggestions", "correct", name, third, "--box", "1,2,30,20", "--json"))
    assert corrected["suggestion"]["corrected_box"] == {"left": 1, "top": 2, "width": 30, "height": 20}
