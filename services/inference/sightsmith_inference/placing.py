"""Which servers are to hold a model, and how many replicas of it each."""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sightsmith_inference.deployment import Deployment
from sightsmith_inference.models import ServableModel
from sightsmith_inference.releases import Target
from sightsmith_inference.setups import Setup


@dataclass(frozen=True)
class Need:
    """How a model is needed.

    Attributes:
        model: what is needed.
        replicas: how many there are to be in all servers, at least 1.
        setup: of one replica.
    """

    model: ServableModel
    replicas: int
    setup: Setup

    def __or__(self, other: "Need") -> "Need":
        """What is enough for both needs of a model."""
        measured = self.model.profile and self.model.profile.best.setup
        setup = other.setup if other.setup == measured else self.setup
        return Need(self.model, max(self.replicas, other.replicas), setup)


def need_of(deployment: Deployment, target: Target, model: ServableModel, plain: Setup) -> Need:
    """How a deployment needs a model for one of its aliases; a shadow, which nobody waits for, needs one replica.

    Args:
        deployment: who needs it.
        target: the alias.
        model: what is to run.
        plain: the set-up of what was not measured.
    """
    setup = model.profile.best.setup if deployment.is_tuned and model.profile else plain
    return Need(model, 1 if target.is_shadow else deployment.scale.desired, setup)


def needs_of(deployments: Iterable[Deployment], plain: Setup) -> Mapping[str, Need]:
    """The needs of all deployments that answer, by the names of the models in Triton; `plain` is as in `need_of`."""
    needs: dict[str, Need] = {}
    for deployment in deployments:
        for target in deployment.serving.targets if deployment.serving else ():
            if target.servable is not None:
                need = need_of(deployment, target, target.servable, plain)
                name = target.servable.triton_model
                needs[name] = need | needs[name] if name in needs else need
    return needs


def place(model: str, replicas: int, servers: Collection[str]) -> Mapping[str, int]:
    """Spreads the replicas of a model over servers as evenly as can be.

    Which servers get one more, or any, is decided by rendezvous hashing (Thaler and Ravishankar, 1998): models spread
    over the servers, and when one comes or goes, only what stood on it or is to stand on it moves.

    Args:
        model: name of the model.
        replicas: at least 1.
        servers: any number of names.

    Returns:
        Replicas, at least 1, by server.
    """
    if not servers:
        return {}
    order = sorted(servers, key=lambda server: hashlib.sha256(f"{server} {model}".encode()).digest())
    share, rest = divmod(replicas, len(order))
    counts = {server: share + (position < rest) for position, server in enumerate(order)}
    return {server: count for server, count in counts.items() if count}
