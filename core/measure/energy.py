"""Energy that a machine's processor reports: the RAPL counters of Intel and AMD, under Linux."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, final

POWERCAP: Final = Path("/sys/class/powercap")

_ZONE: Final = re.compile(r"intel-rapl:\d+(:\d+)?")
_APART: Final = re.compile(r"package-\d+|dram")
"""Zones that together hold everything once: packages contain their cores, not their memory."""


class _Zone(NamedTuple):
    counter: Path
    range_uj: int


@final
@dataclass(frozen=True)
class EnergyCounter:
    """Counters of processor packages and their memory, in microjoules; they wrap around."""

    _zones: Sequence[_Zone]

    @staticmethod
    def open(root: Path = POWERCAP) -> EnergyCounter | None:
        """The machine's counters; None where it has none, or where not all of them can be read.

        Linux lets only root read them unless told otherwise, since they leak secrets
        (CVE-2020-8694).
        """
        try:
            folders = sorted(f for f in root.iterdir() if _ZONE.fullmatch(f.name))
            apart = [f for f in folders if _APART.fullmatch((f / "name").read_text().strip())]
            zones = [
                _Zone(folder / "energy_uj", int((folder / "max_energy_range_uj").read_text()))
                for folder in apart
            ]
            counter = EnergyCounter(tuple(zones))
            counter.read_uj()
        except (OSError, ValueError):
            return None
        return counter if zones else None

    def read_uj(self) -> tuple[int, ...]:
        """One reading of every counter, microjoules modulo its range."""
        return tuple(int(zone.counter.read_text()) for zone in self._zones)

    def joules(self, before: Sequence[int], after: Sequence[int]) -> float:
        """Joules between two readings in which no counter wrapped around more than once."""
        pairs = zip(self._zones, before, after, strict=True)
        return sum((b - a) % zone.range_uj for zone, a, b in pairs) / 1e6


def joules_of(
    call: Callable[[], object],
    repeats: int,
    root: Path = POWERCAP,
    clock: Callable[[], int] = time.perf_counter_ns,
    sleep: Callable[[float], None] = time.sleep,
    idle_s: float = 1.0,
) -> float | None:
    """Joules of one call beyond what the machine uses idle, or None without readable counters.

    Idles for `idle_s`, then calls `repeats` times. The counters are the whole machine's and step
    about every millisecond: choose repeats that take a second or more, with nothing else running.
    Noise can make a small result negative. `clock` counts nanoseconds.
    """
    counter = EnergyCounter.open(root)
    if counter is None:
        return None
    idle_j, idle_ns = _spent(counter, clock, lambda: sleep(idle_s))
    busy_j, busy_ns = _spent(counter, clock, lambda: [call() for _ in range(repeats)])
    return (busy_j - idle_j * busy_ns / idle_ns) / repeats


def _spent(
    counter: EnergyCounter, clock: Callable[[], int], work: Callable[[], object]
) -> tuple[float, int]:
    """Joules and nanoseconds."""
    began, before = clock(), counter.read_uj()
    work()
    after, ended = counter.read_uj(), clock()
    return counter.joules(before, after), ended - began
