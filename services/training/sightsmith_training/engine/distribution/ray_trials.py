"""Trials on the machines of a Ray cluster; Ray itself is an optional dependency (`sightsmith[ray]`)."""

import importlib
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch

from sightsmith_training.engine.distribution.failures import let_training_errors_travel
from sightsmith_training.engine.distribution.trials import InProcessTrials, Trials
from sightsmith_training.engine.errors import TrainingError

_SECONDS_TO_CONNECT = 5.0
_RETRIES = 3

Value = TypeVar("Value")
Result = TypeVar("Result")


class RayTrials:
    """Does pieces of work beside each other on whatever machines of a cluster have processors free.

    What a lost machine was at is done again on another one. Work and arguments travel through Ray, so every machine
    needs the same version of Sightsmith, but neither its files nor its object store.
    """

    sees_files = False

    def __init__(self, ray: Any, threads: int) -> None:
        """Takes the module of a Ray that is connected, and the cores for each piece."""
        self._ray = ray
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        gpus = sum(int(node.get("GPU", 0)) for node in nodes)
        # A piece that no machine has room for would wait for ever.
        self._cores = max(1, min(threads, max((int(node.get("CPU", 0)) for node in nodes), default=1)))
        self._gpus = 1 if gpus else 0
        room = gpus or sum(int(node.get("CPU", 0)) // self._cores for node in nodes)
        self.at_once = max(1, room)

    def share(self, value: Value) -> Value:
        """Puts a value into Ray's object store, once for all pieces."""
        reference: Value = self._ray.put(_plain(value))
        return reference

    def run(
        self,
        work: Callable[..., Result],
        *arguments: Any,
        members: int = 1,
        advance: Callable[..., None] = lambda *told: None,
    ) -> Result:
        members = min(members, self.at_once)
        with _told_as_training_errors(self._ray):
            if members > 1:
                return self._run_in_group(members, work, arguments)
            needs = {"num_cpus": self._cores, "num_gpus": self._gpus, "max_retries": _RETRIES}
            done: Result = self._ray.get(self._ray.remote(_work_alone).options(**needs).remote(work, *arguments))
            return done

    def _run_in_group(self, members: int, work: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
        """One process on each of several processors, found, started and joined into a group by Ray Train."""
        train = importlib.import_module("ray.train")
        trainer = importlib.import_module("ray.train.torch").TorchTrainer(
            _work_as_member,
            # References inside are resolved by the members, each from the store of its own machine.
            train_loop_config={"work": work, "arguments": arguments},
            scaling_config=train.ScalingConfig(
                num_workers=members,
                use_gpu=bool(self._gpus),
                resources_per_worker={"CPU": self._cores, "GPU": self._gpus},
            ),
            run_config=train.RunConfig(failure_config=train.FailureConfig(max_failures=_RETRIES)),
        )
        result: Result = trainer.fit().return_value
        return result


@contextmanager
def open_trials(ray_address: str, threads: int, local: InProcessTrials) -> Iterator[Trials]:
    """Gives the trials of a training.

    Args:
        ray_address: of a cluster, as `ray.init` takes it: `host:port`, `auto`, or `ray://host:port`. Empty for none.
        threads: cores for each piece of work.
        local: where the work is done without a cluster.

    Raises:
        TrainingError: DEPENDENCY_UNAVAILABLE if the cluster is out of reach; TRAINING_FAILED if Ray is not installed.
    """
    if not ray_address:
        yield local
        return
    ray = _connect(ray_address)
    try:
        yield RayTrials(ray, threads)
    finally:
        ray.shutdown()


def _connect(address: str) -> Any:
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError as error:
        message = f"trainings are to run on the Ray cluster {address}, but Ray is missing: install sightsmith[ray]"
        raise TrainingError("TRAINING_FAILED", message) from error
    try:
        _check_reachable(address)
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except (OSError, RuntimeError) as error:
        raise TrainingError("DEPENDENCY_UNAVAILABLE", f"the Ray cluster {address} cannot be reached") from error
    return ray


def _check_reachable(address: str) -> None:
    """Finds out in seconds what Ray would try for a minute."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS_TO_CONNECT).close()


@contextmanager
def _told_as_training_errors(ray: Any) -> Iterator[None]:
    """Raises what went wrong in the work as it was raised there, and losses of machines as what they are."""
    errors = ray.exceptions
    try:
        yield
    except errors.RayTaskError as error:
        raise error.cause from error
    except errors.OutOfMemoryError as error:
        raise MemoryError("a machine of the Ray cluster has too little memory") from error
    except errors.RayError as error:
        message = "the Ray cluster lost the machines that this training ran on"
        raise TrainingError("DEPENDENCY_UNAVAILABLE", message) from error


def _plain(value: Value) -> Value:
    """Arrays mapped from files as common ones: those Ray writes into its store without a copy in between."""
    return np.asarray(value) if isinstance(value, np.memmap) else value  # type: ignore[return-value]


def _work_alone(work: Callable[..., Result], *arguments: Any) -> Result:
    torch.set_num_threads(1)
    let_training_errors_travel()
    return work(*arguments, advance=_ignore)


def _work_as_member(given: dict[str, Any]) -> Any:
    ray: Any = importlib.import_module("ray")
    torch.set_num_threads(1)
    let_training_errors_travel()
    arguments = [ray.get(each) if isinstance(each, ray.ObjectRef) else each for each in given["arguments"]]
    answer = given["work"](*arguments, advance=_ignore)
    return answer if torch.distributed.get_rank() == 0 else None


def _ignore(*told: object) -> None:
    """Nobody is told: it would have to travel from machine to machine."""
