"""Faults that are not of the training itself, told so that its owner knows what to do."""

import errno
import re
from collections.abc import Collection

from obstore.exceptions import BaseError

from sightsmith_training.engine.contract import Failure
from sightsmith_training.weights.errors import WeightsError

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
# Of the processor's memory, as torch, ONNX Runtime and C++ say it, and of a GPU's.
_MEMORY_WORDS = (
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "failed to allocate memory",
    "bad_alloc",
    "bad allocation",
    "out of memory",
)
# A folder as the object store, and serialisers written in C++, give only words; torch's tells where a file ended too
# early.
_DISK_FULL_WORDS = ("no space left on device", "unexpected pos")
# Absolute paths and URLs, quoted or bare; not a slash within words, as names of resources have them.
_PATHS = re.compile(r"""(["'])(?:\w+://|/)[^"']*\1|\w+://[^\s"']+|(?<![\w./])/[^\s"':,;)]+""")
_TOLD_LINES = 3


def failure_of(error: Exception) -> Failure:
    """The last message of a training that ended with an unexpected error.

    Returns:
        OUT_OF_MEMORY, DISK_FULL, WEIGHTS_MISSING, DEPENDENCY_UNAVAILABLE for the object store (the training may be
        tried again), or else TRAINING_FAILED.
    """
    if isinstance(error, MemoryError) or says_out_of_memory(str(error)):
        return Failure(
            reason="OUT_OF_MEMORY",
            message="the training needs more memory than there is; use a machine with more, or fewer images or labels",
        )
    if _is_disk_full(error):
        return Failure(reason="DISK_FULL", message="a disk that the training needs is full; make room and train again")
    if isinstance(error, BaseError):
        return Failure(reason="DEPENDENCY_UNAVAILABLE", message="the object store cannot be reached")
    if isinstance(error, WeightsError):
        return Failure(reason="WEIGHTS_MISSING", message=str(error))
    return Failure(reason="TRAINING_FAILED", message=without_paths(f"{type(error).__name__}: {error}"))


def without_paths(text: str) -> str:
    """A text in which every absolute path and URL is an ellipsis: how machines are set up is not for their users."""
    return _PATHS.sub("…", text)


def told_of_log(text: str) -> str:
    """What a user may read of the log of a crash: the last lines that are no stack frames, without paths."""
    lines = [line for line in text.splitlines() if line.strip() and not line[0].isspace()]
    return without_paths("\n".join(lines[-_TOLD_LINES:]))


def says_out_of_memory(text: str) -> bool:
    """Whether an error, or the log of a crash, tells that there was too little memory."""
    return _says(text, _MEMORY_WORDS)


def _is_disk_full(error: Exception) -> bool:
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        return True
    return isinstance(error, (BaseError, OSError, RuntimeError)) and _says(str(error), _DISK_FULL_WORDS)


def _says(text: str, words: Collection[str]) -> bool:
    return any(word in text.lower() for word in words)
