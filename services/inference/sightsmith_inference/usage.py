"""What models had to do of late, by the statistics of the Triton servers."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass

from tritonclient.grpc import service_pb2

from sightsmith.errors import SightsmithError
from sightsmith_inference.scaling import Work
from sightsmith_inference.tritons import Tritons

_NANOSECONDS = 1e9


@dataclass(frozen=True)
class _Count:
    """What a model has done since it was loaded."""

    requests: int
    queue_ns: int
    busy_ns: int

    def __sub__(self, before: "_Count") -> "_Count":
        return _Count(self.requests - before.requests, self.queue_ns - before.queue_ns, self.busy_ns - before.busy_ns)


@dataclass(frozen=True)
class _Sample:
    """What models did in a server between two looks."""

    time: float
    by_model: Mapping[str, _Count]


class Usage:
    """Looks at the statistics now and then, and keeps what was done meanwhile for some seconds.

    The statistics count whatever asks a model, be it by this service, by another replica of it or straight.
    """

    def __init__(self, tritons: Tritons, window_seconds: float) -> None:
        """Knows nothing yet.

        Args:
            tritons: the servers.
            window_seconds: how far back `work` goes.
        """
        self._tritons = tritons
        self._window_seconds = window_seconds
        self._counts: dict[str, Mapping[str, _Count]] = {}
        self._samples: deque[_Sample] = deque()
        self._begin = time.monotonic()

    async def look(self) -> frozenset[str]:
        """Looks at all servers that can be reached; returns the models that were asked since the last look."""
        servers = self._tritons.reachable
        answers = await asyncio.gather(*map(self._counts_of, servers))
        asked: Counter[str] = Counter()
        for server, counts in zip(servers, answers, strict=True):
            done = _done(self._counts.get(server, {}), counts)
            self._samples.append(_Sample(time.monotonic(), done))
            asked.update({name: count.requests for name, count in done.items()})
            self._counts[server] = counts
        while self._samples and self._samples[0].time < time.monotonic() - self._window_seconds:
            self._samples.popleft()
        return frozenset(+asked)

    def work(self, model: str) -> Work:
        """What a model had to do during the last seconds, in all servers."""
        counts = [sample.by_model[model] for sample in self._samples if model in sample.by_model]
        requests = sum(count.requests for count in counts)
        seconds = max(min(self._window_seconds, time.monotonic() - self._begin), 1e-3)
        return Work(
            requests,
            sum(count.queue_ns for count in counts) / _NANOSECONDS / max(requests, 1),
            sum(count.busy_ns for count in counts) / _NANOSECONDS / seconds,
        )

    def forget(self) -> None:
        """Forgets everything: another replica of the service looks now."""
        self._counts.clear()
        self._samples.clear()
        self._begin = time.monotonic()

    async def _counts_of(self, server: str) -> Mapping[str, _Count]:
        try:
            return {statistics.name: _count_of(statistics) for statistics in await self._tritons[server].statistics()}
        except SightsmithError:
            return {}


def _done(before: Mapping[str, _Count], after: Mapping[str, _Count]) -> Mapping[str, _Count]:
    """What was done by models that were there before; one that was loaded anew has begun to count from 0."""
    both = {name: count - before[name] for name, count in after.items() if name in before}
    return {name: count for name, count in both.items() if min(count.requests, count.queue_ns, count.busy_ns) >= 0}


def _count_of(statistics: service_pb2.ModelStatistics) -> _Count:
    batches = statistics.batch_stats
    busy = sum(batch.compute_input.ns + batch.compute_infer.ns + batch.compute_output.ns for batch in batches)
    return _Count(statistics.inference_stats.success.count, statistics.inference_stats.queue.ns, busy)
