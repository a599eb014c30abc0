"""Benches that do what a payload says, for workers that are hurt in every way."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stillhouse.core.errors import RunDirectoryError
from stillhouse.core.execute import Bench

PATIENCE_S = 20.0


def arithmetic(spec: Mapping[str, Any]) -> Bench:
    """Squares; a negative number is an error of the job's own, and a hundred is not finite."""

    def squared(payload: Mapping[str, Any]) -> Mapping[str, Any]:
        value = payload["value"]
        if value < 0:
            raise ValueError(f"expected a natural number, got {value}")
        return {"square": float("inf") if value == 100 else value * value}

    return squared


def obedient(spec: Mapping[str, Any]) -> Bench:
    """Does what `payload["do"]` names, with files in the folder of the spec."""
    folder, opener = Path(spec["folder"]), os.getpid()

    def done(payload: Mapping[str, Any]) -> Mapping[str, Any]:
        told = _ORDERS[payload.get("do", "nothing")](folder, payload)
        facts = {"pid": os.getpid(), "opener": opener, "zygote": os.getppid()}
        return {**facts, "told": told, "threads": os.environ["OMP_NUM_THREADS"]}

    return done


def refused(spec: Mapping[str, Any]) -> Bench:
    raise RunDirectoryError("there: expected a run, found none")


def mistaken(spec: Mapping[str, Any]) -> Bench:
    raise TypeError("expected a spec, got a mistake")


def shot(spec: Mapping[str, Any]) -> Bench:
    with (Path(spec["folder"]) / "starts").open("a") as starts:
        starts.write("once\n")
    print("the last that was heard of it", file=sys.stderr)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def endless(spec: Mapping[str, Any]) -> Bench:
    unfinished, opening = Path(spec["folder"]) / "unfinished", Path(spec["folder"]) / "opening"
    unfinished.write_text(str(os.getpid()))
    unfinished.rename(opening)
    time.sleep(PATIENCE_S)
    raise AssertionError


def await_file(path: Path) -> None:
    until = time.monotonic() + PATIENCE_S
    while not path.exists():
        assert time.monotonic() < until
        time.sleep(0.002)


def _die(folder: Path, payload: Mapping[str, Any]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_once(folder: Path, payload: Mapping[str, Any]) -> None:
    mark = folder / "died"
    if not mark.exists():
        mark.touch()
        _die(folder, payload)


def _await(folder: Path, payload: Mapping[str, Any]) -> None:
    (folder / f"begun-{payload['file']}").touch()
    await_file(folder / payload["file"])


def _touch(folder: Path, payload: Mapping[str, Any]) -> None:
    (folder / payload["file"]).touch()


def _swell(folder: Path, payload: Mapping[str, Any]) -> None:
    held = bytearray(payload["bytes"])
    held[::4096] = b"x" * len(held[::4096])
    time.sleep(PATIENCE_S)


def _raise_memory(folder: Path, payload: Mapping[str, Any]) -> None:
    raise MemoryError


def _raise_refusal(folder: Path, payload: Mapping[str, Any]) -> None:
    raise RunDirectoryError("there: the disk is full")


def _leave(folder: Path, payload: Mapping[str, Any]) -> None:
    sys.exit(3)


def _say(folder: Path, payload: Mapping[str, Any]) -> None:
    print("said")
    print("warned", file=sys.stderr)


_ORDERS = {
    "nothing": lambda folder, payload: None,
    "echo": lambda folder, payload: payload["text"],
    "object": lambda folder, payload: object(),
    "die": _die,
    "die once": _die_once,
    "await": _await,
    "touch": _touch,
    "swell": _swell,
    "run out of memory": _raise_memory,
    "refuse": _raise_refusal,
    "leave": _leave,
    "hang": lambda folder, payload: time.sleep(PATIENCE_S),
    "say": _say,
}
