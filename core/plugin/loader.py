"""Tier 2: light modules, imported in isolation, asked for records, and their records checked."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Final, TypeVar, final

import pluggy

from stillhouse.core.errors import PluginError, nearest
from stillhouse.core.plugin import hookspecs
from stillhouse.core.plugin.check import pick
from stillhouse.core.plugin.entries import Entry
from stillhouse.core.plugin.kinds import DOORS
from stillhouse.core.plugin.markers import PROJECT
from stillhouse.core.plugin.records import Record

T = TypeVar("T")
R = TypeVar("R", bound=Record)
MOST_RECORDS: Final = 1000
"""Records taken from one hook, so that an endless generator does not hang the listing."""


@dataclass(frozen=True)
class Fault:
    """What a plugin was doing when it failed, and the error; not yet attributed."""

    doing: str
    error: BaseException

    def __str__(self) -> str:
        return " ".join(f"{type(self.error).__name__}: {self.error}".split())


@dataclass(frozen=True, eq=False)
class _Host:
    """One plugin module with a manager of its own: no other plugin's hooks can be called."""

    manager: pluggy.PluginManager
    module: ModuleType

    def offers(self, hook: str) -> tuple[object, ...]:
        caller: pluggy.HookCaller = getattr(self.manager.hook, hook)
        if not caller.get_hookimpls():
            raise PluginError(f"{self.module.__name__} has no hook implementation '{hook}'")
        return tuple(item for result in caller() for item in islice(result, MOST_RECORDS))


@final
class Loader:
    """Imports each light module once and remembers what came of it, failures included."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._hosts: dict[ModuleType | str, _Host | Fault] = {}
        self._offers: dict[tuple[ModuleType | str, str], tuple[object, ...] | Fault] = {}
        self._import_ms: dict[ModuleType | str, float] = {}

    def import_ms(self, entry: Entry) -> float:
        """How long the entry's module took to import; 0 when it was not imported."""
        return self._import_ms.get(entry.module, 0.0)

    def load(self, entry: Entry, info: type[R]) -> R | Fault:
        """The entry's record, checked; or what went wrong. Never raises for a plugin's failure."""
        host = self._host(entry.module)
        if isinstance(host, Fault):
            return host
        key, hook = (entry.module, entry.door.hook), entry.door.hook
        if key not in self._offers:
            self._offers[key] = attempt(f"in {hook}", lambda: host.offers(hook))
        offers = self._offers[key]
        if isinstance(offers, Fault):
            return offers
        return attempt(f"in {hook}", lambda: pick(offers, entry.name, info))

    def _host(self, source: ModuleType | str) -> _Host | Fault:
        if source not in self._hosts:
            began = self._clock()
            module = attempt("on import", lambda: _module(source))
            self._import_ms[source] = (self._clock() - began) * 1e3
            self._hosts[source] = (
                module
                if isinstance(module, Fault)
                else attempt("at registration", lambda: _register(module))
            )
        return self._hosts[source]


def attempt(doing: str, action: Callable[[], T]) -> T | Fault:
    """Run a plugin's code; a plugin that exits the interpreter counts as one that failed.

    What it prints goes to stderr: stdout is the command's, and may be JSON.
    """
    try:
        with redirect_stdout(sys.stderr):
            return action()
    except (Exception, SystemExit) as error:
        return Fault(doing, error)


def offers_of(module: ModuleType, hook: str) -> tuple[object, ...]:
    """What one hook of a module returns; raises whatever the module does."""
    return _register(module).offers(hook)


def _register(module: ModuleType) -> _Host:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(module)
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        callers = manager.get_hookcallers(module) or []
        unknown = next(c.name for c in callers if not c.has_spec())
        hint = nearest(unknown, [door.hook for door in DOORS])
        raise PluginError(f"{module.__name__} implements unknown hook '{unknown}'{hint}") from error
    return _Host(manager, module)


def _module(source: ModuleType | str) -> ModuleType:
    if isinstance(source, ModuleType):
        return source
    if source.endswith(".py"):
        return _from_file(Path(source).resolve())
    if ":" in source:
        raise PluginError(f"an entry point names a module, got '{source}'; leave out ':' and after")
    return importlib.import_module(source)


def _from_file(path: Path) -> ModuleType:
    """Import a file under its stem, so that `build: "stem:attribute"` finds it again."""
    known = sys.modules.get(path.stem)
    if known is not None and Path(known.__file__ or "").resolve() == path:
        return known
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if known is not None or spec is None or spec.loader is None:
        raise PluginError(f"{path} cannot be imported as '{path.stem}': rename the file")
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return module
