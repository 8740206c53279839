"""Linear heads on frozen backbones, tried by cross-validation."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from threadpoolctl import threadpool_limits

from sightsmith_training.engine.classification.candidates import Trial
from sightsmith_training.engine.classification.folds import Fold
from sightsmith_training.engine.classification.heads import Head, fit_bytes, fit_heads
from sightsmith_training.engine.classification.truth import Activation, Logits, Truth
from sightsmith_training.engine.distribution.checkpoints import State
from sightsmith_training.engine.heads import Features, even_out

STRENGTHS = (0.003, 0.03, 0.3, 3.0)
"""Inverse regularisation, ascending. Standardised features make the same few values fit most sets."""

_ROWS_AT_ONCE = 4096  # That are evened out: each step of it makes a copy.
_MOST_BYTES_OF_FITS = 1024**3  # At once; beside them are all features, twice.


def designs(costs: Mapping[str, float]) -> list[tuple[str, ...]]:
    """The sets of backbones to try, from cheap to dear: each alone, and all of them joined.

    Args:
        costs: seconds an image, by backbone.
    """
    names = sorted(costs, key=lambda name: costs[name])
    alone: list[tuple[str, ...]] = [(name,) for name in names]
    return [*alone, tuple(names)] if len(names) > 1 else alone


def join_features(features: Mapping[str, Features], backbones: Sequence[str]) -> Features:
    """Evened-out features of several backbones side by side, in the order given."""
    wanted = [features[name] for name in backbones]
    joined = np.empty((len(wanted[0]), sum(each.shape[1] for each in wanted)), np.float32)
    for start in range(0, len(joined), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        joined[rows] = even_out(np.concatenate([each[rows] for each in wanted], axis=1))
    return joined


def try_probe(
    backbones: tuple[str, ...],
    features: Mapping[str, Features],
    truth: Truth,
    activation: Activation,
    folds: Sequence[Fold],
    cost: float,
    threads: int,
    advance: Callable[[float], None] = lambda share: None,
    keep: Callable[[Callable[[], State]], State] = lambda do: do(),
) -> list[Trial]:
    """Tries one set of backbones at every strength.

    Args:
        backbones: names.
        features: of the training images, by backbone.
        truth: shape [images, labels].
        activation: behind the head.
        folds: every fold of every repetition.
        cost: of the backbones, seconds an image.
        threads: folds at once, unless they would take too much memory; the result does not depend on it.
        advance: called with the share of the folds that are done.
        keep: gives what the work gave that it is called with, or what the same work gave before.

    Returns:
        One trial for each strength.
    """

    def work() -> State:
        started = time.monotonic()
        logits = _out_of_fold(join_features(features, backbones), truth, activation, folds, threads, advance)
        return {"logits": torch.from_numpy(logits), "seconds": (time.monotonic() - started) / len(STRENGTHS)}

    found, rows = keep(work), np.arange(len(truth))
    seconds = found["seconds"]
    return [
        Trial("probe", backbones, {"strength": strength}, activation, each, rows, truth, seconds, 1000 * cost)
        for strength, each in zip(STRENGTHS, found["logits"].numpy(), strict=True)
    ]


def _out_of_fold(
    joined: Features,
    truth: Truth,
    activation: Activation,
    folds: Sequence[Fold],
    threads: int,
    advance: Callable[[float], None],
) -> npt.NDArray[np.float64]:
    """Logits of every image by heads that did not learn from it, shape [strengths, repetitions, images, labels]."""
    logits = np.zeros((len(STRENGTHS), 1 + max(fold.repetition for fold in folds), *truth.shape))

    def try_fold(fold: Fold) -> list[Logits]:
        heads = fit_heads(joined[fold.learn], truth[fold.learn], activation, STRENGTHS)
        return [head.logits(joined[fold.test]) for head in heads]

    at_once = max(1, min(threads, _MOST_BYTES_OF_FITS // fit_bytes(*joined.shape)))
    with _one_thread_each(), ThreadPoolExecutor(at_once) as pool:
        for done, (fold, each) in enumerate(zip(folds, pool.map(try_fold, folds), strict=True), start=1):
            logits[:, fold.repetition, fold.test] = each
            advance(done / len(folds))
    return logits


def fit_probe(joined: Features, truth: Truth, activation: Activation, strength: float) -> Head:
    """Fits a design, given its joined features, on all images given.

    By the same path as in the cross-validation: where a fit starts shows a little in where it stops.
    """
    path = [each for each in STRENGTHS if each <= strength]
    with _one_thread_each():
        *_, head = fit_heads(joined, truth, activation, path)
    return head


def _one_thread_each() -> threadpool_limits:
    """Threads inside a fit make such small problems many times slower, and the sums would depend on their number."""
    return threadpool_limits(limits=1, user_api="blas")
