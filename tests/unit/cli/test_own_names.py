"""What is typed for a thing of a project is taken for that thing, or for nothing."""

import pytest

from sightsmith.cli.own_names import own_name
from sightsmith.errors import InvalidArgumentError
from sightsmith.names import ModelName


@pytest.mark.parametrize("text", ["v2", "projects/shop/models/v2"])
def test_an_id_and_a_full_name_are_the_same(text: str) -> None:
    assert own_name(ModelName, "shop", text, "model") == "projects/shop/models/v2"


@pytest.mark.parametrize("text", ["zz/v2", "../v2", "projects/other/models/v2", "projects/shop/trainingJobs/v2", "/v2"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^model: "):
        own_name(ModelName, "shop", text, "model")
