"""Names that people type: the id of a thing of the project at hand, or its full name as it is printed."""

from sightsmith.errors import InvalidArgumentError
from sightsmith.names import (
    BatchPredictionJobName,
    DatasetName,
    EvaluationJobName,
    EvaluationName,
    ModelName,
    ProjectName,
    TrainingJobName,
    check_id,
)

OwnName = (
    type[ModelName] | type[TrainingJobName] | type[EvaluationJobName] | type[DatasetName] | type[BatchPredictionJobName]
)


def own_name(kind: OwnName, project: str, text: str, field: str) -> str:
    """The full name of a thing of a project.

    Args:
        kind: of thing.
        project: id of the project.
        text: the thing's id or full name.
        field: what to call it if it is wrong.

    Raises:
        InvalidArgumentError: if it is neither, or the full name of a thing of another project: to take the last part of
            whatever was typed could delete something else than was meant.
    """
    if "/" not in text:
        return str(kind(project, text))
    name = kind.parse(text, field)
    if name.project != project:
        raise InvalidArgumentError.of_field(field, f"{text} is not of the project {project}")
    return str(name)


def project_id(text: str, field: str) -> str:
    """The id of a project that is given by id or full name.

    Raises:
        InvalidArgumentError: if it is neither.
    """
    return ProjectName.parse(text, field).project if "/" in text else check_id(field, text)


def own_evaluation(model: str, text: str) -> str:
    """The full name of an evaluation of a model that came of a job.

    Args:
        model: full name of the model.
        text: the evaluation's id or full name.

    Raises:
        InvalidArgumentError: if it is neither, or of another model.
    """
    name = EvaluationName.parse(text if "/" in text else f"{model}/evaluations/{text}", "evaluation")
    if str(name.of_model) != model or not name.evaluation:
        raise InvalidArgumentError.of_field("evaluation", f"{text} is none of {model} by other images")
    return str(name)


def own_job(project: str, text: str) -> str:
    """The full name of a job of a project.

    Args:
        project: id of the project.
        text: a training's id; `{kind}/{id}`, such as `importJobs/j-1`; or the full name.

    Raises:
        InvalidArgumentError: if it is none of these, or of another project.
    """
    parent = str(ProjectName(check_id("project", project)))
    parts = text.removeprefix(f"{parent}/").split("/")
    if len(parts) > 2:
        raise InvalidArgumentError.of_field(
            "job", f"must be the id of a job of {project}, or KIND/ID, not {text[:200]!r}"
        )
    kind = parts[0] if len(parts) > 1 else "trainingJobs"
    return f"{parent}/{kind}/{check_id('job', parts[-1])}"
