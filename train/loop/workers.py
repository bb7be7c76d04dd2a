"""Training on several machines: who takes part, waiting for them, and one that is gone."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from lossylab.core.errors import UsageError, WorkError
from lossylab.core.options import require

log = logging.getLogger("lossylab")

VARIABLE = "TF_CONFIG"
_EXAMPLE = (
    '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
)
_TYPES = ("chief", "worker")
_PATIENCE = 30.0  # seconds between two reminders of who is missing
_PAUSE = 0.3  # between two looks
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """What TF_CONFIG says.

    Attributes:
      workers: addresses of all, host:port, by kind and number such as "worker 0".
      mine: which of them this process is.
    """

    workers: dict[str, str]
    mine: str

    @property
    def others(self) -> dict[str, str]:
        """All but this one."""
        return {name: place for name, place in self.workers.items() if name != self.mine}


def read_cluster() -> Cluster:
    """The cluster of this process's environment.

    Raises:
      UsageError: if TF_CONFIG is missing or makes no sense: TensorFlow would train alone.
    """
    text = os.environ.get(VARIABLE, "").strip()
    cure = f"; it is the same on all workers but for the task, such as {VARIABLE}='{_EXAMPLE}'"
    require(text, f"`strategy`=multiworker needs the environment variable {VARIABLE}{cure}")
    try:
        found = json.loads(text)
        cluster, task = found["cluster"], found["task"]
        workers = {
            f"{kind} {index}": _address(place)
            for kind, places in cluster.items()
            for index, place in enumerate(_list(places))
        }
        kinds = sorted(set(cluster) - set(_TYPES))
        mine = f"{task['type']} {int(task['index'])}"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"{VARIABLE} makes no sense ({_said(error)}){cure}") from error
    require(not kinds, f"{VARIABLE} has tasks of type {', '.join(kinds)}, not chief or worker")
    require(mine in workers, f"{VARIABLE}: there is no {mine} among {', '.join(workers)}{cure}")
    same = len(set(workers.values())) < len(workers)
    require(not same, f"{VARIABLE} gives one address to several workers{cure}")
    return Cluster(workers, mine)


def _list(places: Any) -> list[Any]:
    if not isinstance(places, list):
        raise TypeError(f"{places!r} is no list of addresses")
    return places


def _address(place: Any) -> str:
    if not isinstance(place, str) or not re.fullmatch(r"[^\s/]+:\d{1,5}", place):
        raise TypeError(f"{place!r} is no host:port")
    return place


def _said(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def wait_for_others(cluster: Cluster) -> None:
    """Returns when all workers have begun; says who is waited for, and again who is missing.

    TensorFlow would wait without a word, deaf to signals. Who has begun is seen at its port: this
    one listens at its own until it has seen all others, then TensorFlow does.

    Raises:
      UsageError: if this worker's port cannot be had.
    """
    missing = cluster.others
    if not missing:
        log.warning("%s names one worker, this one: it trains alone", VARIABLE)
        return
    log.info("waiting for %s", _named(missing))
    said = time.monotonic()
    with _listening(cluster):
        while missing := {name: at for name, at in missing.items() if not _answers(at)}:
            if time.monotonic() - said >= _PATIENCE:
                log.info("still waiting for %s; Ctrl-C ends this", _named(missing))
                said = time.monotonic()
            time.sleep(_PAUSE)


@contextlib.contextmanager
def _listening(cluster: Cluster) -> Iterator[None]:
    port = int(cluster.workers[cluster.mine].rpartition(":")[2])
    try:
        with socket.create_server(("", port), backlog=len(cluster.workers)):
            yield
    except (OSError, OverflowError) as error:
        raise UsageError(f"{VARIABLE}: {cluster.mine} cannot use port {port}: {error}") from error


def _named(workers: dict[str, str]) -> str:
    return ", ".join(f"{name} at {place}" for name, place in workers.items())


@contextlib.contextmanager
def deadly_signals() -> Iterator[None]:
    """Lets signals end the process at once: while TensorFlow connects, nobody would see them."""
    before = {}
    with contextlib.suppress(ValueError):  # not the main thread
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=2):
            return True
    except (OSError, OverflowError):
        return False


def is_multiworker(strategy: tf.distribute.Strategy) -> bool:
    """Whether several machines train together."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def require_one_machine(strategy: tf.distribute.Strategy, network: str) -> None:
    """Refuses several machines for a network with batch normalization; raises UsageError.

    Its moving moments are read by all workers together, where one alone validates and exports.
    """
    require(
        not is_multiworker(strategy),
        f"`strategy`=multiworker: {network} has batch normalization, which one worker alone can "
        "neither validate nor export; use mirrored",
    )


@contextlib.contextmanager
def naming_the_lost(
    strategy: tf.distribute.Strategy, last_good: Callable[[], str] = str
) -> Iterator[None]:
    """Turns TensorFlow's errors about a worker that is gone into a message.

    Args:
      strategy: where to train.
      last_good: gives what is said of the newest checkpoint.

    Raises:
      WorkError: in place of them.
    """
    try:
        yield
    except _LOST as error:
        if not is_multiworker(strategy) or "Error: " in error.message:
            raise
        raise WorkError(
            "another worker has ended or cannot be reached: see what it said. Start all of them "
            f"again with the same commands, and the run goes on. {last_good()}"
        ) from None
