"""What is typed for a thing of a project is taken for that thing, or for nothing."""

import pytest

from sightsmith.cli.own_names import own_evaluation, own_job, own_name, project_id
from sightsmith.errors import InvalidArgumentError
from sightsmith.names import ModelName


@pytest.mark.parametrize("text", ["v2", "projects/shop/models/v2"])
def test_an_id_and_a_full_name_are_the_same(text: str) -> None:
    assert own_name(ModelName, "shop", text, "model") == "projects/shop/models/v2"


@pytest.mark.parametrize("text", ["zz/v2", "../v2", "projects/other/models/v2", "projects/shop/trainingJobs/v2", "/v2"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^model: "):
        own_name(ModelName, "shop", text, "model")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("j-1", "projects/shop/trainingJobs/j-1"),
        ("importJobs/j-1", "projects/shop/importJobs/j-1"),
        ("projects/shop/evaluationJobs/j-1", "projects/shop/evaluationJobs/j-1"),
    ],
)
def test_a_job_is_a_training_unless_its_kind_is_said(text: str, name: str) -> None:
    assert own_job("shop", text) == name


@pytest.mark.parametrize("text", ["projects/x/trainingJobs/j-1", "../j-1/x", "trainingJobs/", "importJobs/J 1", ""])
def test_what_is_no_job_of_the_project_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^job: "):
        own_job("shop", text)


@pytest.mark.parametrize("text", ["e-1", "projects/shop/models/v2/evaluations/e-1"])
def test_an_evaluation_is_the_model_s(text: str) -> None:
    assert own_evaluation("projects/shop/models/v2", text) == "projects/shop/models/v2/evaluations/e-1"


@pytest.mark.parametrize(
    "text", ["projects/shop/models/v1/evaluations/e-1", "projects/shop/models/v2/evaluation", "a/e-1", "../e-1"]
)
def test_an_evaluation_of_another_model_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^evaluation: "):
        own_evaluation("projects/shop/models/v2", text)


def test_a_project_is_given_by_id_or_full_name() -> None:
    assert project_id("shop", "--on") == project_id("projects/shop", "--on") == "shop"
    with pytest.raises(InvalidArgumentError, match=r"^--on: "):
        project_id("a/shop", "--on")
