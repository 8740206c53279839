"""Names that people type: the id of a thing of the project at hand, or its full name as it is printed."""

from sightsmith.errors import InvalidArgumentError
from sightsmith.names import BatchPredictionJobName, EvaluationJobName, ModelName, TrainingJobName

OwnName = type[ModelName] | type[TrainingJobName] | type[EvaluationJobName] | type[BatchPredictionJobName]


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
