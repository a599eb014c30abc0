"""Tier 3: the code a record names, imported on first use."""

from __future__ import annotations

import importlib
from operator import attrgetter
from types import ModuleType

from stillhouse.core.errors import PluginError, nearest
from stillhouse.core.plugin.beside import PluginFile
from stillhouse.core.plugin.kinds import BY_INFO
from stillhouse.core.plugin.records import Provenance, Record, SpaceInfo


def resolve(record: Record, supplier: Provenance, own: PluginFile | None = None) -> object:
    """Import `record.build` and return the attribute; `own` is the file that supplied the record.

    Raises PluginError, attributed to the supplier: with the command that installs the extra when
    an optional requirement is missing, with the cause chained otherwise.
    """
    module, _, attribute = record.build.partition(":")
    try:
        code = _imported(module, own)
    except (Exception, SystemExit) as error:
        raise PluginError(_why(record, supplier, error)) from error
    try:
        found: object = attrgetter(attribute)(code)
    except AttributeError as error:
        hint = nearest(attribute, dir(code))
        raise PluginError(_why(record, supplier, error) + hint) from error
    return found


def _imported(module: str, own: PluginFile | None) -> ModuleType:
    """A module by its name; a file beside a run file goes by its own, and is not importable."""
    return own.module if own and own.path.stem == module else importlib.import_module(module)


def space_text(record: SpaceInfo, supplier: Provenance) -> str:
    """The YAML text of a search space; PluginError when the resource cannot be read."""
    from importlib import resources

    package, _, file = record.build.partition(":")
    try:
        return resources.files(package).joinpath(file).read_text("utf-8")
    except (Exception, SystemExit) as error:
        raise PluginError(_why(record, supplier, error)) from error


def _who(record: Record, supplier: Provenance) -> str:
    return f"{BY_INFO[type(record)].kind} '{record.name}' of {supplier}"


def _why(record: Record, supplier: Provenance, error: BaseException) -> str:
    if record.extra and _misses_requirement(record, error):
        kind = BY_INFO[type(record)].kind
        command = f'pip install "{supplier.distribution}[{record.extra}]"'
        return f"{kind} '{record.name}' needs the extra '{record.extra}': {command} ({error})"
    return f"{_who(record, supplier)} cannot load '{record.build}': {type(error).__name__}: {error}"


def _misses_requirement(record: Record, error: BaseException) -> bool:
    """Whether someone else's module is absent, rather than one of the plugin's own."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return error.name.partition(".")[0] != record.build.partition(":")[0].partition(".")[0]
    return isinstance(error, ImportError) and error.name is None
