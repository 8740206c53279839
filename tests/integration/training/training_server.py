"""The training service as a process of its own, as it runs in production."""

from pathlib import Path

from sightsmith.settings import Settings
from tests.integration.labeling.labeling_process import LabelingProcess


class TrainingServer(LabelingProcess):
    """`python -m sightsmith_training` on a free port."""

    module = "sightsmith_training"

    def __init__(self, settings: Settings, neighbours: str, log: Path) -> None:
        """Prepares it.

        Args:
            settings: where PostgreSQL, NATS and the object store are, and the token.
            neighbours: where labeling and inference are.
            log: what it says.
        """
        assert settings.nats_token is not None
        environment = {
            "SIGHTSMITH_TOKEN": settings.bearer_token,
            "SIGHTSMITH_DATABASE_URL": settings.database_url.get_secret_value(),
            "SIGHTSMITH_NATS_URL": settings.nats_url,
            "SIGHTSMITH_NATS_TOKEN": settings.nats_token.get_secret_value(),
            "SIGHTSMITH_OBJECT_STORE_URL": settings.object_store_url,
            "SIGHTSMITH_LABELING_TARGET": neighbours,
            "SIGHTSMITH_INFERENCE_TARGET": neighbours,
        }
        super().__init__(environment, log)
