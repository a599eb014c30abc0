"""The machine that a certificate's latencies hold for, in words."""

from __future__ import annotations

from typing import Any, Final

from stillhouse.core.report.configuration import value_text
from stillhouse.core.run.summary import Certificate

_TELLING: Final = ("cpu", "processor", "device", "cores", "runtime", "threads", "batch")


def facts(certificate: Certificate) -> dict[str, str]:
    """All that is known; without the exporter, which the certificate itself names."""
    known = certificate.machine.items()
    return {str(name): value_text(value) for name, value in known if name != "exporter"}


def short(certificate: Certificate) -> list[str]:
    """What decides a latency, for a line of text: texts as they are, numbers with their name."""
    machine = certificate.machine
    telling = [name for name in _TELLING if name in machine] or list(machine)[:4]
    return [_phrase(name, machine[name]) for name in telling]


def _phrase(name: str, value: Any) -> str:
    return value if isinstance(value, str) else f"{name} {value_text(value)}"
