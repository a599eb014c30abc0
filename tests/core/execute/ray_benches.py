"""Benches that the tests of Ray workers open: what a payload asks for happens."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stillhouse.core.errors import DataError
from stillhouse.core.execute import Bench

_TAKEN: list[bytearray] = []


def obedient(spec: Mapping[str, Any]) -> Bench:
    """Does what a payload says: doubles `x` if nothing else."""

    def bench(payload: Mapping[str, Any]) -> Mapping[str, Any]:
        match payload.get("do"):
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "die once" if not Path(payload["mark"]).exists():
                Path(payload["mark"]).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang once" if not Path(payload["mark"]).exists():
                Path(payload["mark"]).touch()
                time.sleep(600)
            case "grow":
                _TAKEN.append(bytearray(os.urandom(1) * 400_000_000))
                time.sleep(600)
            case "sleep":
                time.sleep(payload["s"])
            case "fail":
                raise ValueError("no such width")
            case "memory":
                raise MemoryError
            case "spoil":
                raise DataError("clips.npz: expected 10 rows, got 3")
            case "pid":
                return {"pid": os.getpid()}
            case "until" if not Path(payload["mark"]).exists():
                while not Path(payload["mark"]).exists():
                    time.sleep(0.05)
        return {"value": 2 * payload.get("x", 0)}

    return bench


def reading(spec: Mapping[str, Any]) -> Bench:
    """Says where its files are and what they say."""
    folder = Path(spec.get("brought", spec["folder"]))

    def bench(payload: Mapping[str, Any]) -> Mapping[str, Any]:
        path = folder / payload["name"]
        return {"brought": "brought" in spec, "size": path.stat().st_size, "folder": str(folder)}

    return bench


def threads(spec: Mapping[str, Any]) -> Bench:
    """Says how many threads it may use."""
    return lambda payload: {"threads": os.environ["OMP_NUM_THREADS"]}


def refusing(spec: Mapping[str, Any]) -> Bench:
    raise DataError("clips.npz: expected a file, found none")


def dying(spec: Mapping[str, Any]) -> Bench:
    os._exit(3)


def broken(spec: Mapping[str, Any]) -> Bench:
    raise KeyError("weights")
