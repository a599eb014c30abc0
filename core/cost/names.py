"""What costs are called: in limits, as objectives, in cost tables.

A name carries its unit; energy without one is relative, see `core.cost.energy`. `memory_kb` is
counted, the most activations alive at once; `resident_kb` is measured, what loading and running the
artefact adds to a process at its peak. `_p95` is the 95th percentile over samples, where a plain
name is the mean: they differ only for a model that runs differently from sample to sample.
`NAME@LENGTH` is a cost for inputs of one length, such as `latency_ms@98`: positions along the
input's first axis.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

SIZES: Final = ("size_bytes", "size_kb", "size_mb")

COST_NAMES: Final = (
    "parameters",
    "macs",
    *SIZES,
    "memory_kb",
    "resident_kb",
    "latency_ms",
    "device_ms",
    "network_ms",
    "server_ms",
    "latency_p95_ms",
    "macs_p95",
    "energy",
    "energy_mj",
    "energy_p95",
)
"""Costs a limit may name; a kilobyte is 1000 bytes."""

P95: Final[Mapping[str, str]] = {
    "macs": "macs_p95",
    "energy": "energy_p95",
    "latency_ms": "latency_p95_ms",
}
"""The 95th percentile over samples, by the name of the mean."""

STORED: Final = ("parameters", *SIZES)
"""Costs of what is stored, once for inputs of any length."""

LENGTH_PATTERN: Final = r"@[1-9][0-9]{0,5}"
PER_LENGTH: Final = tuple(
    name for name in COST_NAMES if name not in STORED and name != "resident_kb"
)
"""Costs that may be followed by `@LENGTH`."""

_AT_LENGTH: Final = re.compile(rf"({'|'.join(PER_LENGTH)}){LENGTH_PATTERN}")


def is_cost(name: str) -> bool:
    """Whether this is a known cost, at one input length or not, and not a task's metric."""
    return name in COST_NAMES or _AT_LENGTH.fullmatch(name) is not None


def base_of(name: str) -> str:
    """A cost's name without the input length."""
    return name.partition("@")[0]


def length_of(name: str) -> int | None:
    """The input length that a cost's name carries, if any."""
    return int(name.partition("@")[2]) if _AT_LENGTH.fullmatch(name) else None


def lengths_in(names: Iterable[str]) -> tuple[int, ...]:
    """The input lengths that costs' names carry, ascending, each once."""
    return tuple(sorted({length for name in names if (length := length_of(name)) is not None}))


def advice(name: str) -> str:
    """What to do about a cost that is not to be had, to end an error's message with, or ""."""
    if base_of(name) == "energy_mj":
        return (
            '. Millijoules need a device file that gives joules: an "energy" section with '
            '"unit": "joules"; energy is in units of one 32-bit multiply-accumulate'
        )
    if base_of(name) in STORED and "@" in name:
        return f". What is stored is one for inputs of all lengths: write {base_of(name)}"
    if base_of(name) in PER_LENGTH and "@" in name and length_of(name) is None:
        return f". An input length is a whole number above 0, as in {base_of(name)}@98"
    return ""


def is_timed(name: str) -> bool:
    """Whether only a latency model or a measurement tells this cost, at any input length."""
    return base_of(name) in COST_NAMES and base_of(name).endswith("_ms")
