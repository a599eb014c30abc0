"""What a plugin can be told, as a table."""

from __future__ import annotations

from stillhouse.core.plugin.params import Param, Params, declared
from stillhouse.core.reference.markdown import code, table

_HEADER = ("parameter", "type", "default", "bounds", "searched", "meaning")


def parameters(params: type[Params], *, phases: bool = False) -> str:
    """One row a parameter; with `phases` also which half of a method reads it. "" for none."""
    rows = [_row(param, phases) for param in declared(params)]
    header = (*_HEADER[:5], "phase", _HEADER[5]) if phases else _HEADER
    return table(header, rows) if rows else ""


def _row(param: Param, phases: bool) -> tuple[str, ...]:
    search = ("log" if param.log else "yes") if param.searchable else "no"
    facts = (code(param.name), param.kind, _default(param), param.bounds(), search)
    return (*facts, param.phase, param.help) if phases else (*facts, param.help)


def _default(param: Param) -> str:
    if param.required:
        return "required"
    if isinstance(param.default, bool):
        return code(str(param.default).lower())
    return "" if param.default is None or param.default in ("", ()) else code(str(param.default))
