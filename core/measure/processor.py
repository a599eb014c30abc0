"""Facts about this machine on which a latency depends.

Standard library only: this module travels to devices as it is.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any, Final

_CPUINFO: Final = Path("/proc/cpuinfo")
_FLAGS_OF_NOTE: Final = (
    "avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8",
    "asimd", "asimddp", "i8mm", "sve",
)  # fmt: skip
"""Instruction sets that decide which kernels a runtime picks (x86, then ARM)."""


def machine() -> dict[str, Any]:
    """Processor model, its cores and instruction sets of note, operating system, architecture.

    The model comes from `/proc/cpuinfo` where there is one, else from `platform`.
    """
    text = _CPUINFO.read_text(errors="replace") if _CPUINFO.is_file() else ""
    return {
        "cpu": cpu_model(text) or platform.processor() or platform.machine(),
        "cores": cores(),
        "flags": cpu_flags(text),
        "os": platform.system(),
        "machine": platform.machine(),
    }


def cores() -> int:
    """How many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_model(cpuinfo: str) -> str:
    """The model's name; ARM kernels give numbers of the implementer and the part instead."""
    named = _field(cpuinfo, "model name")
    parts = [_field(cpuinfo, name) for name in ("CPU implementer", "CPU part")]
    return named or " ".join(part for part in parts if part)


def cpu_flags(cpuinfo: str) -> list[str]:
    """The instruction sets of note that every core has, in a fixed order."""
    present = set((_field(cpuinfo, "flags") or _field(cpuinfo, "Features")).split())
    return [flag for flag in _FLAGS_OF_NOTE if flag in present]


def _field(cpuinfo: str, name: str) -> str:
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
