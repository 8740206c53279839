"""Finding models by names that users type."""

import pytest

from sightsmith.database import Database
from sightsmith.errors import NotFoundError
from sightsmith.names import ModelName
from sightsmith_training.models import Models


@pytest.mark.parametrize("model", ["v1", "v0", "v01", "abc", "v", "1", "v" + "9" * 40])
async def test_an_unknown_model_is_not_found(database: Database, project: str, model: str) -> None:
    with pytest.raises(NotFoundError, match=f"projects/{project}/models/{model}"):
        await Models(database).get(ModelName(project, model))
