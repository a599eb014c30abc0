"""Listing and planning stay light: what describes a plugin imports no heavy library."""

from __future__ import annotations

import functools
import json
import sys
from typing import Any, Final

from stillhouse.core.plugin.conformance.check import unmet
from stillhouse.core.plugin.conformance.process import fresh
from stillhouse.core.plugin.kinds import RecordKind

HEAVY: Final = ("torch", "transformers", "ray", "scipy.stats", "sklearn")
"""Seconds to import, together; help, listing and planning take a third of one."""


def check_light(kind: RecordKind, name: str, module: str, run_file: str = "") -> None:
    """Describe the plugin, and plan the run file if there is one, in a fresh process.

    `module` is where its entry point leads.
    """
    if found := _imported(kind, name, module)["described"]:
        unmet(
            f"{module} to import none of {', '.join(HEAVY)}", ", ".join(found),
            "import it in the module that `build` names, which a run alone imports",
        )  # fmt: skip
    if run_file and (found := fresh(__name__, kind, name, run_file)["planned"]):
        unmet(
            f"planning to import none of {', '.join(HEAVY)}", ", ".join(found),
            "import it where the plugin works: parameters and spaces are read by planning",
        )  # fmt: skip


@functools.cache
def _of_module(kind: RecordKind, module: str, first: str) -> Any:
    return fresh(__name__, kind, first)


def _imported(kind: RecordKind, name: str, module: str) -> Any:
    """What describing a plugin imported; the plugins of one module are described at once."""
    return _of_module(kind, module, _FIRST.setdefault((kind, module), name))


_FIRST: Final[dict[tuple[RecordKind, str], str]] = {}


def _heavy() -> list[str]:
    return [name for name in HEAVY if name in sys.modules]


def _main(kind: RecordKind, name: str, run_file: str = "") -> None:
    from stillhouse.core.plugin.conformance.info import discover

    catalogue = discover()
    before = _heavy()
    catalogue.record(kind, name)
    described, planned = [m for m in _heavy() if m not in before], []
    if run_file:
        from stillhouse.core.config.runfile import parse
        from stillhouse.core.plan import make_plan

        make_plan(parse(run_file, "conformance.yaml", catalogue), catalogue)
        planned = [m for m in _heavy() if m not in described]
    print(json.dumps({"described": described, "planned": planned}))


if __name__ == "__main__":
    _main(*sys.argv[1:])  # type: ignore[arg-type]
