"""A connection to a Ray cluster; Ray is imported when one is wanted, and nowhere else.

Ray is quiet here: what it prints would end up between the lines of a progress bar or a table.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, final

from stillhouse.core.errors import UserError
from stillhouse.core.execute.executor import ExecutionError

LOCAL: Final = "local"
AUTO: Final = "auto"
_CLIENT: Final = "ray://"
_ANSWER_S: Final = 5.0
_STORE_BYTES: Final = 150_000_000
"""Object store of a cluster started here, whose workers read files where they lie."""
_GCS_PORT: Final = 6379
_CLIENT_PORT: Final = 10001
_QUIET: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_PROMPT_ENABLED": "0",
    # The raylet's reports of dead workers, which Ray prints to the driver's standard output.
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",
}


@final
class Cluster:
    """A cluster that this process is connected to; `ray` is the module."""

    def __init__(self, ray: Any, address: str, dashboard: str, *, own: bool) -> None:
        self.ray, self.address, self.dashboard = ray, address, dashboard
        self._own = own

    @staticmethod
    def connect(address: str = LOCAL, cpus: int | None = None) -> Cluster:
        """Connect to the cluster at `address`, or start one here, with `cpus` or this machine's.

        `local` starts one, `auto` takes the one that runs on this machine or that RAY_ADDRESS
        names, and "host:port" and "ray://host:port" one elsewhere. Where this process is connected
        already, to whatever cluster, that connection serves and is left open at the end.

        Raises:
            UserError: Ray is not installed, or `address` is none.
            ExecutionError: nothing answers there, or it is of another version.
        """
        os.environ.update({name: os.environ.get(name, value) for name, value in _QUIET.items()})
        with _own_signals():
            ray = imported()
            if ray.is_initialized():
                return Cluster(ray, _address_of(ray, address), "", own=False)
            context = _connected(ray, _named(address), cpus)
        page = getattr(context, "dashboard_url", "") or ""
        place = _address_of(ray, address)
        return Cluster(ray, place, f"http://{page}" if page else "", own=True)

    @property
    def answers(self) -> bool:
        """Whether the cluster's head is there; waits a few seconds at most."""
        if self.address.startswith(_CLIENT):
            return bool(self.ray.util.client.ray.is_connected())
        return _listens(self.address)

    def has(self) -> str:
        """What the nodes have in all: "2 CPUs and 1 GPU on 1 node"."""
        nodes = [node for node in self.ray.nodes() if node["Alive"]]
        cpus, gpus = (sum(n["Resources"].get(kind, 0) for n in nodes) for kind in ("CPU", "GPU"))
        return f"{amount(cpus, 'CPU')} and {amount(gpus, 'GPU')} on {amount(len(nodes), 'node')}"

    def close(self) -> None:
        """Leave the cluster, which ends it if it was started here; another's connection stays."""
        if self._own:
            with suppress(ConnectionError), _own_signals():
                self.ray.shutdown()


def amount(count: float, noun: str) -> str:
    """ "1 CPU", "0.5 GPUs"."""
    return f"{count:g} {noun}{'' if count == 1 else 's'}"


def imported() -> Any:
    """Ray, or a UserError that says how to get it."""
    try:
        return importlib.import_module("ray")
    except ModuleNotFoundError as missing:
        raise UserError(
            "execute: {kind: ray} needs Ray, which is not installed: pip install 'stillhouse[ray]'"
        ) from missing


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray sets a handler of SIGTERM for the whole process: the one that was there stays."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _named(address: str) -> str:
    return os.environ.get("RAY_ADDRESS", AUTO) if address == AUTO else address


def _connected(ray: Any, address: str, cpus: int | None) -> Any:
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address == LOCAL:
            return ray.init(
                address=LOCAL,
                num_cpus=cpus,
                include_dashboard=False,
                object_store_memory=_STORE_BYTES,
                **quiet,
            )
        if address != AUTO and not _listens(address):
            raise ConnectionError("nothing answers there")
        return ray.init(address=address, **quiet)
    except UserError:
        raise
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise ExecutionError(_why(address, error)) from error


def _why(address: str, error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = (lines[-1] if lines else type(error).__name__).rstrip(".")
    where = f"execute: {{address: {address}}}"
    if "InvalidAuthToken" in str(error.__context__ or error):
        return (
            f"{where}: the cluster refuses whoever has not its token; set RAY_AUTH_MODE=token and "
            "have the head's ~/.ray/auth_token here (ray get-auth-token shows it there)"
        )
    if isinstance(error, ConnectionError):
        return (
            f"{where}: expected a Ray cluster, found none ({said}); start one with 'ray start "
            "--head' or 'ray up cluster.yaml', or take address: local"
        )
    return f"{where}: Ray cannot be used: {' '.join(lines)}"


def _address_of(ray: Any, address: str) -> str:
    if address.startswith(_CLIENT):
        return address
    return str(ray.get_runtime_context().gcs_address)


def _listens(address: str) -> bool:
    """Whether something takes connections there; Ray itself waits for minutes."""
    client = address.startswith(_CLIENT)
    host, colon, port = address.removeprefix(_CLIENT).rpartition(":")
    if not colon:
        host, port = port, str(_CLIENT_PORT if client else _GCS_PORT)
    if not port.isdecimal():
        raise UserError(
            f"execute: {{address: {address}}}: expected local, auto, host:port or ray://host:port"
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _ANSWER_S):
            return True
    except OSError:
        return False
