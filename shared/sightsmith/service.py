"""The life of a service process: start, run what belongs to it, end in order on SIGTERM or SIGINT."""

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from prometheus_client import start_http_server

from sightsmith.logs import configure_logs, get_logger
from sightsmith.memory import keep_freed_memory
from sightsmith.settings import Settings

_log = get_logger(__name__)
_CANCEL_AGAIN_SECONDS = 1.0
# Objects that are made before a search for garbage; the interpreter's own is 700.
_ALLOCATIONS = 20_000
# How long a thread that computes may keep the event loop waiting for the interpreter; the interpreter's own is 5 ms.
# An import waits for it some ten times for every statement: with 0.5 ms it takes a seventh less time.
_SWITCH_SECONDS = 0.0005


def run_process(name: str, settings: Settings, main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Runs a process until it is told to end.

    Args:
        name: what the process is called in logs.
        settings: where to listen for metrics, how to log.
        main: runs the service; must return soon after the event that it is given is set.
    """
    configure_logs(name, settings.log_level, settings.log_format)
    host, _, port = settings.metrics_listen.rpartition(":")
    if port != "0":
        start_http_server(int(port), host)
    sys.setswitchinterval(_SWITCH_SECONDS)
    _collect_garbage_seldom()
    keep_freed_memory()
    asyncio.run(_run_until_told(main))
    _log.info("stopped")


def _collect_garbage_seldom() -> None:
    """Looks for garbage in cycles, of which there is little here, seldom, and never among what was imported.

    With the interpreter's own thresholds a fifth of the time of reading a large file went into that search.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS)


async def _run_until_told(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await main(stop)


async def run_beside(stop: asyncio.Event, *background: Coroutine[Any, Any, None]) -> None:
    """Runs background work until `stop` is set; work that ends with an error ends the process with it.

    What is given first ends last, and may be needed by the rest to the end.
    """
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in background]
        await stop.wait()
        for task in reversed(tasks):
            # Not all at once: the NATS client takes a cancellation for an error once its connection is closed.
            # And not only once: asyncio.wait_for in Python 3.11 swallows a cancellation that comes with the result.
            while not task.done():
                task.cancel()
                await asyncio.wait([task], timeout=_CANCEL_AGAIN_SECONDS)
