"""A file of plugins that is not packaged yet: it lies beside a run file, which names it.

It is code, and runs only where a user names it. It runs from the very bytes that its digest is of,
as a module of a name of its own: nothing can import it by accident, it takes the place of no other
module, and what lies beside it can neither be imported nor stand in for it.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.abc import SourceLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Final, final

from stillhouse.core import plain_json
from stillhouse.core.errors import PluginError, UserError, nearest
from stillhouse.core.plugin.check import problems_of
from stillhouse.core.plugin.entries import Entry
from stillhouse.core.plugin.kinds import BY_INFO, DOORS, Door
from stillhouse.core.plugin.loader import Fault, attempt, offers_of
from stillhouse.core.plugin.markers import PROJECT
from stillhouse.core.plugin.records import Provenance, Record

FILE_NAME: Final = "stillhouse_plugins.py"
"""What such a file is called by convention."""
PATTERN: Final = r"[A-Za-z_][A-Za-z0-9_]*\.py"
"""What it may be called: a name that `build` can begin with, in no other folder."""
_LARGEST: Final = 1_000_000
_MARK: Final = f"{PROJECT}_impl"
_DIGITS: Final = 16


@final
@dataclass(frozen=True, eq=False)
class PluginFile:
    """A file of plugins that was run: its bytes, their SHA-256 and the module they made."""

    path: Path
    source: bytes
    sha256: str
    module: ModuleType

    @property
    def name(self) -> str:
        return self.path.name

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def version(self) -> str:
        """Changes with the content, and so do the keys of artefacts that depend on it."""
        return f"(sha256 {self.sha256[:_DIGITS]})"

    def entries(self) -> Iterator[Entry]:
        """What its hooks offer.

        Raises PluginError, with file and line, for a hook that fails or offers what is no record.
        """
        found = [
            self._entry(door, record)
            for door in DOORS
            if hasattr(self.module, door.hook)
            for record in self._records(door)
        ]
        if not found:
            raise PluginError(
                f"{self.path}: expected a hook such as stillhouse_methods, with @hookimpl, that "
                "yields records; got none (docs/publish-a-method.md shows one)"
            )
        return iter(found)

    def _records(self, door: Door) -> Iterator[Record]:
        offers = attempt(f"in {door.hook}", lambda: offers_of(self.module, door.hook))
        if isinstance(offers, Fault):
            raise _located(self.path, offers)
        for offer in offers:
            if not isinstance(offer, door.info):
                fact = f"expected records of the type {door.info.__name__}, got {offer!r}"
                raise PluginError(f"{self.path}: {door.hook}: {fact}")
            if problems := list(problems_of(offer)):
                raise PluginError(f"{self.path}: {door.kind} '{offer.name}': {'; '.join(problems)}")
            yield offer

    def _entry(self, door: Door, record: Record) -> Entry:
        origin = f"{door.group}: {record.name} = {self.name}"
        supplier = Provenance(self.name, self.version, origin, (door.hook,))
        return Entry(BY_INFO[type(record)], record.name, self.module, supplier)


def run_file(path: Path) -> PluginFile:
    """Run the code of a file, once in a process for each content.

    Raises UserError for what is no plain Python file of at most 1 MB, or a link to one;
    PluginError, with file and line, for code that fails.
    """
    path = path.absolute()
    source = _source(path)
    digest = hashlib.sha256(source).hexdigest()
    module = _module(path, source)
    _check_hooks(path, module)
    return PluginFile(path, source, digest, module)


def same_content(path: Path, sha256: str) -> bool:
    """Whether a file is there and of this content; runs nothing."""
    try:
        return hashlib.sha256(plain_json.content(path, _LARGEST)).hexdigest() == sha256
    except (OSError, ValueError):
        return False


def _source(path: Path) -> bytes:
    if not re.fullmatch(PATTERN, path.name):
        raise UserError(
            f"{path}: expected a Python file whose name is letters, digits and _ before .py, such "
            f"as {FILE_NAME}; rename it"
        )
    if path.is_symlink():
        raise UserError(f"{path}: expected a file of plugins, got a link; copy the file here")
    try:
        return plain_json.content(path, _LARGEST)
    except FileNotFoundError:
        beside = [found.name for found in path.parent.glob("*.py")]
        raise UserError(f"{path}: no such file{nearest(path.name, beside)}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: the file of plugins cannot be read: {reason}") from None


def _module(path: Path, source: bytes) -> ModuleType:
    digest = hashlib.sha256(os.fsencode(path) + b"\0" + source).hexdigest()
    name = f"{path.stem}_{digest[:_DIGITS]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_loader(name, _Source(path, source), origin=str(path))
    if spec is None or spec.loader is None:
        raise PluginError(f"{path}: cannot be run as a module")
    # Declarations look their module up while it runs: annotations are resolved in it.
    module = sys.modules[name] = module_from_spec(spec)
    done = attempt("on import", lambda: _executed(module))
    if isinstance(done, Fault):
        del sys.modules[name]
        raise _located(path, done)
    return module


def _executed(module: ModuleType) -> None:
    spec = module.__spec__
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(module)


@final
class _Source(SourceLoader):
    """Compiles the bytes that were read; no `.pyc` is read or written."""

    def __init__(self, path: Path, source: bytes) -> None:
        self._path, self._bytes = path, source

    def get_filename(self, fullname: str) -> str:
        return str(self._path)

    def get_data(self, path: str | bytes) -> bytes:
        if path != str(self._path):
            raise FileNotFoundError(path)
        return self._bytes


def _check_hooks(path: Path, module: ModuleType) -> None:
    """A function is marked as a hook if it is one, and only then."""
    known = [door.hook for door in DOORS]
    for name, value in vars(module).items():
        if not isinstance(value, FunctionType):
            continue
        where, marked = f"{path}:{value.__code__.co_firstlineno}", hasattr(value, _MARK)
        if marked and name not in known:
            raise PluginError(f"{where}: no hook is called '{name}'{nearest(name, known)}")
        if name in known and not marked:
            raise PluginError(f"{where}: expected @hookimpl above '{name}', found none")


def _located(path: Path, fault: Fault) -> PluginError:
    """The fault as an error that begins with file and line."""
    error = fault.error
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        lines.append(error.lineno)
    line = f":{lines[-1]}" if lines and lines[-1] else ""
    found = PluginError(f"{path}{line}: failed {fault.doing}: {fault}")
    found.__cause__ = error
    return found
