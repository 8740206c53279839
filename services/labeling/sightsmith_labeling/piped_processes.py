"""Processes that do work for an event loop, each at the other end of a pipe.

`concurrent.futures` has such a pool, too. It takes every call through two more threads and their locks, which costs
several times as much as the pipe itself, and when one of its processes dies, it cannot tell on which call.
"""

import asyncio
import os
import pickle
import socket
import struct
import threading
import traceback
from asyncio import Future
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import IOBase
from itertools import chain
from multiprocessing import connection, get_context, parent_process
from typing import Any, TypeVar, TypeVarTuple

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")

# Calls that a process has at once: while it works on one, the others are there already.
_CALLS_AHEAD = 4
# How many processes may die of a call before it is to blame: once may be chance, such as memory that others took.
_DEATHS = 2
_LENGTH = struct.Struct("!Q")
_READ_BYTES = 256 * 1024


class ProcessDiedError(Exception):
    """The process died in the middle of this call, and so did another one that tried again."""


@dataclass
class _Call:
    work: Callable[..., Any]
    arguments: tuple[Any, ...]
    answer: "Future[Any]"
    deaths: int = 0


class PipedProcesses:
    """Does calls of functions in other processes, which begin when they are needed and end with this one.

    Args:
        limit: how many processes there are at most.
        prepare: is called first in each of them; like everything that is sent there, it is pickled.
    """

    def __init__(self, limit: int, prepare: Callable[[], None]) -> None:
        self._limit = limit
        self._prepare = prepare
        self._processes: list[_Process] = []
        self._waiting: deque[_Call] = deque()

    async def run(self, work: Callable[[*_Arguments], _Result], *arguments: *_Arguments) -> _Result:
        """What a function returns or raises, called in one of the processes.

        Raises:
            ProcessDiedError: if processes die of this call.
        """
        answer: Future[_Result] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Call(work, arguments, answer))
        self._hand_out()
        return await answer

    def close(self) -> None:
        """Lets the processes end as soon as they are through with what they are at. Nobody is answered any more."""
        given = chain.from_iterable(process.close() for process in self._processes)
        for call in (*given, *self._waiting):
            call.answer.cancel()
        self._processes.clear()
        self._waiting.clear()

    def _hand_out(self) -> None:
        while self._waiting and (process := self._free()) is not None:
            call = self._waiting.popleft()
            if not call.answer.done():
                process.give(call)

    def _free(self) -> "_Process | None":
        """The process with the least to do, if it can take another call."""
        found = min(self._processes, key=len, default=None)
        if (found is None or len(found) > 0) and len(self._processes) < self._limit:
            found = _Process(self._prepare, self._hand_out, self._lose)
            self._processes.append(found)
        return found if found is not None and len(found) < _CALLS_AHEAD else None

    def _lose(self, process: "_Process") -> None:
        """Gives the calls of a process that died to others. It did one after the other, so it died of the first."""
        self._processes.remove(process)
        calls = process.close()
        for call in calls[:1]:
            call.deaths += 1
            if call.deaths == _DEATHS and not call.answer.done():
                call.answer.set_exception(ProcessDiedError("the process died"))
        self._waiting.extendleft(reversed(calls))
        self._hand_out()


class _Process:
    """One process, and the calls that it was given and has not answered: `len` is their number.

    Args:
        prepare: is called first in it.
        on_answer: is told of each answer.
        on_death: is told when the process has ended.
    """

    def __init__(
        self, prepare: Callable[[], None], on_answer: Callable[[], None], on_death: Callable[["_Process"], None]
    ) -> None:
        self._calls: deque[_Call] = deque()
        self._unsent: deque[memoryview] = deque()
        self._received = bytearray()
        self._on_answer = on_answer
        self._on_death = on_death
        self._loop = asyncio.get_running_loop()
        self._pipe, theirs = socket.socketpair()
        self._pipe.setblocking(False)
        with theirs:
            # Not forked: a copy of a process with threads may hang, and would hold its connections open.
            get_context("spawn").Process(target=_work, args=(theirs, prepare), daemon=True).start()
        self._loop.add_reader(self._pipe, self._receive)

    def __len__(self) -> int:
        return len(self._calls)

    def give(self, call: _Call) -> None:
        """Sends a call."""
        self._calls.append(call)
        self._unsent.append(memoryview(pickle.dumps((call.work, call.arguments), pickle.HIGHEST_PROTOCOL)))
        if len(self._unsent) == 1:
            self._send()

    def close(self) -> list[_Call]:
        """Closes the pipe, at which the process ends, and returns the calls that are not answered."""
        self._loop.remove_reader(self._pipe)
        self._loop.remove_writer(self._pipe)
        self._pipe.close()
        return [*self._calls]

    def _send(self) -> None:
        """Sends as much as goes into the pipe, and the rest when there is room again."""
        try:
            while self._unsent:
                part = self._unsent[0]
                if (sent := self._pipe.send(part)) == len(part):
                    self._unsent.popleft()
                else:
                    self._unsent[0] = part[sent:]
        except BlockingIOError:
            self._loop.add_writer(self._pipe, self._send)
        except OSError:
            # The process has ended, which is noticed where its answers are read.
            self._loop.remove_writer(self._pipe)
        else:
            self._loop.remove_writer(self._pipe)

    def _receive(self) -> None:
        try:
            data = self._pipe.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._on_death(self)
            return
        self._received += data
        for succeeded, outcome in self._answers():
            answer = self._calls.popleft().answer
            if answer.done():
                continue
            if succeeded:
                answer.set_result(outcome)
            else:
                answer.set_exception(outcome)
        self._on_answer()

    def _answers(self) -> Iterator[tuple[bool, Any]]:
        """The answers that have come whole."""
        while len(self._received) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._received)
            end = _LENGTH.size + length
            if len(self._received) < end:
                return
            answer = pickle.loads(memoryview(self._received)[_LENGTH.size : end])  # noqa: S301  # from our own process
            del self._received[:end]
            yield answer


def _work(pipe: socket.socket, prepare: Callable[[], None]) -> None:
    """What a process does: it answers one call after the other until its pipe is closed."""
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    prepare()
    with pipe, pipe.makefile("rb", _READ_BYTES) as calls:
        try:
            while True:
                answer = _answer(calls)
                pipe.sendall(_LENGTH.pack(len(answer)) + answer)
        except (EOFError, OSError):
            return


def _answer(calls: IOBase) -> bytes:
    """Does the next call.

    Raises:
        EOFError: if there is none any more.
    """
    work, arguments = pickle.load(calls)  # noqa: S301  # from our own process
    try:
        return pickle.dumps((True, work(*arguments)), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        # An error goes back without its traceback.
        error.add_note(f"in process {os.getpid()}:\n{traceback.format_exc()}")
        return pickle.dumps((False, error), pickle.HIGHEST_PROTOCOL)


def _end_with_the_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
