"""Several Triton servers that see one model repository, for those who ask: whichever has the model and least to do."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random

from sightsmith.errors import SightsmithError, UnavailableError
from sightsmith.logs import get_logger
from sightsmith_inference.errors import dependency_unavailable
from sightsmith_inference.tensors import Outputs, Pixels
from sightsmith_inference.triton import LoadedModel, Triton

_log = get_logger(__name__)


class Tritons:
    """Servers by their gRPC targets. What each has loaded is known as it was a moment ago."""

    def __init__(self, targets: Sequence[str]) -> None:
        """Connects to nothing yet.

        Args:
            targets: at least one, `host:port`.
        """
        self._servers = {target: Triton(target) for target in targets}
        self._loaded: dict[str, frozenset[str]] = {}
        self._images: Counter[str] = Counter()
        self._random = Random()  # noqa: S311 - nothing secret hangs on it

    def __getitem__(self, server: str) -> Triton:
        """A server, by its target."""
        return self._servers[server]

    @property
    def reachable(self) -> Sequence[str]:
        """The servers that answered when they were last looked at."""
        return list(self._loaded)

    def loaded_by(self, server: str) -> frozenset[str]:
        """The models that were ready in a server when it was last looked at; none if it did not answer."""
        return self._loaded.get(server, frozenset())

    async def run(self, seconds: float) -> None:
        """Looks every so often at what the servers have loaded, until cancelled; needless where there is only one."""
        while True:
            await asyncio.sleep(seconds)
            if len(self._servers) > 1:
                try:
                    await self.look()
                except UnavailableError as error:
                    _log.warning("no Triton can be reached", error=error.message)

    async def look(self) -> Mapping[str, frozenset[str]]:
        """The models that are ready in each server that can be reached.

        Raises:
            UnavailableError: if none can be.
        """
        answers = await asyncio.gather(*map(_loaded_or_error, self._servers.values()))
        found = dict(zip(self._servers, answers, strict=True))
        self._loaded = {server: names for server, names in found.items() if not isinstance(names, SightsmithError)}
        problems = [error for error in answers if isinstance(error, SightsmithError)]
        if not self._loaded:
            raise problems[0]
        return dict(self._loaded)

    async def loaded_models(self) -> frozenset[str]:
        """The names of the models that are ready in any server; raises as `look` does."""
        return frozenset().union(*(await self.look()).values())

    async def loaded_everywhere(self) -> frozenset[str]:
        """The names of the models that are ready in every server that can be reached; raises as `look` does."""
        first, *others = (await self.look()).values()
        return first.intersection(*others)

    async def load(self, name: str, timeout_seconds: float) -> None:
        """Has every server that can be reached load a model; raises as `Triton.load` does."""
        reachable = self.reachable or list(self._servers)
        await asyncio.gather(*(self._servers[server].load(name, timeout_seconds) for server in reachable))

    async def infer(self, model: LoadedModel, pixels: Pixels, timeout_seconds: float) -> Outputs:
        """Has a model run by the server with the least to do of those that have it; see `Triton.infer`.

        A server that is away or full, or does not have the model any more, is gone round while another is left.
        """
        deadline = time.monotonic() + timeout_seconds
        problem = dependency_unavailable("triton", "there is no server")
        for server in self._best_first(model.triton_model):
            try:
                with self._counted(server, len(pixels)):
                    return await self._servers[server].infer(model, pixels, max(deadline - time.monotonic(), 0))
            except UnavailableError as error:
                problem = error
                self._turn_away(server, model.triton_model)
        raise problem

    async def close(self) -> None:
        """Closes the connections."""
        await asyncio.gather(*(triton.close() for triton in self._servers.values()))

    def _best_first(self, model: str) -> Sequence[str]:
        """Those that have a model and little to do first, those that could not be reached last."""

        def merits(server: str) -> tuple[bool, bool, int, float]:
            is_known = model in self.loaded_by(server)
            return server not in self._loaded, not is_known, self._images[server], self._random.random()

        return sorted(self._servers, key=merits) if len(self._servers) > 1 else list(self._servers)

    def _turn_away(self, server: str, model: str) -> None:
        """Lets others come first until the next look."""
        if server in self._loaded:
            self._loaded[server] -= {model}

    @contextmanager
    def _counted(self, server: str, images: int) -> Iterator[None]:
        self._images[server] += images
        try:
            yield
        finally:
            self._images[server] -= images


async def _loaded_or_error(triton: Triton) -> frozenset[str] | SightsmithError:
    try:
        return await triton.loaded_models()
    except SightsmithError as error:
        return error
