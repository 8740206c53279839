"""Resource names are read strictly and written back unchanged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightsmith.errors import InvalidArgumentError
from sightsmith.names import EvaluationCurvesName, EvaluationName, ImageName, ModelName, ProjectName, check_id

IDS = st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True)


@given(IDS, IDS, IDS)
def test_a_name_survives_being_written_and_read(project: str, dataset: str, image: str) -> None:
    name = ImageName(project, dataset, image)
    assert ImageName.parse(str(name)) == name


@given(IDS, IDS, st.just("") | IDS)
def test_a_name_may_go_without_its_last_id(project: str, model: str, evaluation: str) -> None:
    name = EvaluationName(project, model, evaluation)
    assert str(name).endswith(f"/evaluations/{evaluation}" if evaluation else f"/models/{model}/evaluation")
    assert EvaluationName.parse(str(name)) == name
    curves = EvaluationCurvesName.parse(f"{name}/curves")
    assert (curves.of_evaluation, str(curves)) == (name, f"{name}/curves")


@given(st.text())
def test_anything_else_is_a_clear_error(text: str) -> None:
    with pytest.raises(InvalidArgumentError) as raised:
        ProjectName.parse(f"projects/{text}/")
    assert raised.value.violations[0].field == "name"
    assert "projects/{project}" in raised.value.message


@pytest.mark.parametrize(
    "name",
    ["", "projects/", "projects/a/models", "projects/a/models/b/c", "models/a/projects/b", "projects/../models/x"],
)
def test_other_patterns_are_refused(name: str) -> None:
    with pytest.raises(InvalidArgumentError) as raised:
        ModelName.parse(name, "parent")
    assert raised.value.violations[0].field == "parent"


@pytest.mark.parametrize("value", ["", "-a", "A", "a_b", "a/b", "..", "a" * 64, "ä", "a\n"])
def test_ids_are_checked(value: str) -> None:
    with pytest.raises(InvalidArgumentError, match="project_id"):
        check_id("project_id", value)
