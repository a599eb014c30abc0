"""What runs in a Ray actor: a bench that is opened once and kept, and the files brought to it.

Requests and answers are JSON, so that nothing but plain data travels.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, final

from stillhouse.core.errors import StillhouseError
from stillhouse.core.execute.executor import ExecutionError
from stillhouse.core.execute.job import Bench
from stillhouse.core.execute.opening import opened, set_threads
from stillhouse.core.execute.raised import told
from stillhouse.core.execute.shipping import Parcel, sees, store

_WATCH_S: Final = 0.25


def software() -> dict[str, str]:
    """Versions that driver and workers must share."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"Python": python, "stillhouse": _version("stillhouse"), "torch": _version("torch")}


@final
class RayBench:
    """One actor. Its methods run one after the other in one thread, `exceeds` in another."""

    def __init__(self, threads: int) -> None:
        self._bench: Bench = _unopened
        # Libraries read these when they are first imported, which is when the bench is opened.
        set_threads(threads)

    def hello(self, token: str) -> str:
        """Who and where this is, and whether it sees the driver's files (`shipping.Token`)."""
        return json.dumps({"host": socket.gethostname(), **software(), "sees": sees(token)})

    def bring(self, parcels: str, chunks: Mapping[str, Sequence[Any]]) -> str:
        """Have the files on this node, once for all its actors; the folder they are in.

        `chunks` are references to arrays of bytes by the name of the file.
        """
        import ray

        listed = {name: Parcel(**one) for name, one in json.loads(parcels).items()}
        try:
            folder = store(listed, lambda name: (ray.get(one) for one in chunks[name]))
        except StillhouseError as error:
            return json.dumps({"raised": told(error)})
        except OSError as error:
            return json.dumps({"failed": f"its files cannot be written: {error}"})
        return json.dumps({"folder": str(folder)})

    def open(self, opener: str, spec: str) -> str:
        """Open the bench; an answer without anything says that it is open."""
        try:
            self._bench = opened(opener, json.loads(spec))
        except StillhouseError as error:
            return json.dumps({"raised": told(error)})
        except MemoryError:
            return json.dumps({"failed": "it ran out of memory while opening"})
        except Exception as error:
            return json.dumps({"failed": f"{type(error).__name__}: {error}"})
        return json.dumps({})

    def evaluate(self, payloads: str) -> str:
        """Answers in order; after an answer that ends everything the others are missing."""
        answers = []
        for payload in json.loads(payloads):
            answers.append(_answered(self._bench, payload))
            if "memory" in answers[-1] or "raised" in answers[-1]:
                break
        return json.dumps({"answers": answers, "memory_bytes": own_memory_bytes()})

    def exceeds(self, memory_bytes: float) -> int:
        """Returns when this process takes more memory than that, with what it takes."""
        while (taken := own_memory_bytes()) <= memory_bytes:
            time.sleep(_WATCH_S)
        return taken


def own_memory_bytes() -> int:
    """Memory that this process alone takes: anonymous pages, not those of mapped files."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def _unopened(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    raise ExecutionError("a worker was given a job before it opened its bench")


def _answered(bench: Bench, payload: Mapping[str, Any]) -> dict[str, Any]:
    began = time.perf_counter()
    answer: dict[str, Any]
    try:
        answer = {"result": json.loads(json.dumps(bench(payload)))}
    except StillhouseError as error:
        answer = {"raised": told(error)}
    except MemoryError:
        answer = {"memory": True}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    return {**answer, "seconds": time.perf_counter() - began}


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
