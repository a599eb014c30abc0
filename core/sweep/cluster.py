"""Ray and Tune as a sweep wants them: connected, quiet, without files of their own."""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from stillhouse.core.config.sweep import SweepSection
from stillhouse.core.errors import UserError
from stillhouse.core.execute.executor import ExecutionError

_TUNE: Final = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_RESULT_BUFFER_LENGTH": "1",
    # Nothing of Tune's own is read again: what is needed to go on lies in ledger and trials.
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


@contextmanager
def cluster(section: SweepSection) -> Iterator[None]:
    """Ray connected, with room for one trial.

    Raises:
        UserError: Ray is not installed. ExecutionError: no cluster, or no node takes a trial.
    """
    from stillhouse.core.execute.ray_cluster import Cluster, amount

    try:
        import ray.tune  # noqa: F401
    except ImportError:
        raise UserError(
            "a sweep needs Ray Tune, which is not installed: pip install 'stillhouse[ray]'"
        ) from None
    cpus = max(1, math.ceil(section.concurrent * section.cpus))
    connected = Cluster.connect(section.address, cpus)
    try:
        most = dict.fromkeys(("CPU", "GPU"), 0.0)
        nodes: list[dict[str, Any]] = connected.ray.nodes()
        for node in (one for one in nodes if one["Alive"]):
            most = {kind: max(most[kind], node["Resources"].get(kind, 0.0)) for kind in most}
        for name, kind, wanted in (("cpus", "CPU", section.cpus), ("gpus", "GPU", section.gpus)):
            if wanted > most[kind]:
                raise ExecutionError(
                    f"sweep.{name}: a trial wants {amount(wanted, kind)}, but no node of the "
                    f"cluster has more than {most[kind]:g}; ask for less, or add a larger node"
                )
        yield
    finally:
        connected.close()


@contextmanager
def environment() -> Iterator[None]:
    """The process's environment as Tune is wanted: without loggers, snapshots and handlers."""
    before = {name: os.environ.get(name) for name in _TUNE}
    os.environ.update(_TUNE)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def quiet() -> Iterator[None]:
    """Without Ray's announcements; what a user has to know is in the ledger."""
    loggers = [logging.getLogger(name) for name in ("ray", "ray.tune", "ray.train")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"ray(\..*)?")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
