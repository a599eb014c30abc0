"""The code that a run depends on: distributions with their versions and content, in plain text."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from stillhouse.core.errors import PluginError
from stillhouse.core.plugin.catalogue import Catalogue
from stillhouse.core.plugin.entries import HOST, canonical
from stillhouse.core.plugin.kinds import RecordKind
from stillhouse.core.plugin.params import declared

if TYPE_CHECKING:
    from stillhouse.core.config.records import PluginUse
    from stillhouse.core.plan import Plan

PYTHON: Final = "python"
ABSENT: Final = "not installed"
_LIBRARIES: Final = ("torch", "numpy")
_ENGINE: Final = (HOST, "torch", "numpy", PYTHON)
_TEXT: Final = (".py", ".yaml", ".c")
_DIGITS: Final = 16
_DIGEST: Final = re.compile(r" ?\(sha256 [0-9a-f]+\)")
_Use = tuple[RecordKind, str]


def versions(plan: Plan, catalogue: Catalogue) -> dict[str, str]:
    """Versions by distribution of all that evaluates the plan's candidates, sorted by name.

    These are the suppliers of the methods, networks, task, target, sampler, spaces, losses and
    similarities that the run file names, stillhouse, torch and numpy, and Python's minor version.
    Who supplies plugins has a digest of its source behind the version ("1.2 (sha256 ...)"), since
    code under development keeps its number; a file of plugins has the digest alone. Imports no
    torch. Raises as `Catalogue.provenance` does.
    """
    return versions_of((*_ENGINE, *suppliers(plan, catalogue)), catalogue)


def suppliers(plan: Plan, catalogue: Catalogue) -> tuple[str, ...]:
    """The distributions, or the file, of every plugin that the run file names; sorted."""
    used = set(_used(plan, catalogue))
    return tuple(sorted({catalogue.provenance(kind, name).distribution for kind, name in used}))


def versions_of(names: Iterable[str], catalogue: Catalogue) -> dict[str, str]:
    """What `versions` says of these names here, `ABSENT` where there is no such distribution."""
    return {name: _version(name, catalogue) for name in sorted(set(names))}


def code_digest(plan: Plan, catalogue: Catalogue) -> str:
    """16 hex digits that change with the code which makes artefacts: stillhouse, torch, plugins.

    Neither the sampler and the target nor numpy and Python count: they make none.
    """
    aside = {("sampler", plan.run.search.sampler.name), ("target", plan.run.target.runtime.name)}
    makers = {catalogue.provenance(*use).distribution for use in _used(plan, catalogue) - aside}
    found = versions_of((HOST, "torch", *makers), catalogue)
    return _short(hashlib.sha256(repr(sorted(found.items())).encode()))


def refuse_mismatch(expected: Mapping[str, str], found: Mapping[str, str], place: str) -> None:
    """Raise PluginError unless `place` ("this worker", "node 10.0.0.7") has what is expected.

    It names both versions of each distribution that differs, and what to install.
    """
    names = sorted(n for n in expected.keys() | found.keys() if expected.get(n) != found.get(n))
    if not names:
        return
    facts = [_fact(n, expected.get(n, ""), found.get(n, ABSENT)) for n in names]
    steps = dict.fromkeys(_step(n, expected.get(n, ""), found.get(n, ABSENT)) for n in names)
    raise PluginError(
        f"{place}: expected the plugins and versions that the run began with, found others: "
        f"{'; '.join(facts)}. {'; '.join(steps)}"
    )


def _used(plan: Plan, catalogue: Catalogue) -> set[_Use]:
    run = plan.run
    section = (run.task, run.teacher.model, run.student, run.search.sampler, run.target.runtime)
    return {pair for use in (*section, *run.recipe) for pair in _named(use, catalogue)}


def _named(use: PluginUse, catalogue: Catalogue) -> Iterator[_Use]:
    """A plugin, and those that its parameters name."""
    yield use.kind, use.name
    for parameter in declared(catalogue.record(use.kind, use.name).params):
        values = [use.fixed.get(parameter.name)]
        if parameter.name in use.searched:
            values = list(use.searched[parameter.name].choices)
        for value in filter(None, values):
            yield from _in_value(parameter.kind, value, catalogue)


def _in_value(kind: str, value: Any, catalogue: Catalogue) -> Iterator[_Use]:
    if kind == "models":
        yield from (("model", str(network["model"])) for network in value)
    elif kind == "loss":
        yield "loss", value
    elif kind == "similarity":
        yield from (("similarity", name) for name in value.split("+"))
    elif kind == "space" and value in catalogue.names("space"):  # not "auto"
        yield "space", value


def _version(name: str, catalogue: Catalogue) -> str:
    if name == PYTHON:
        return f"{sys.version_info.major}.{sys.version_info.minor}"
    if catalogue.file is not None and catalogue.file.name == name:
        return catalogue.file.version
    if name in _LIBRARIES:
        # A build for another processor ("2.13.0+cpu") is the same code.
        return _installed(name).partition("+")[0]
    offered = catalogue.offered_by(name)
    version = offered[0].provenance.version if offered else _installed(name)
    modules = {entry.module for entry in offered}
    if canonical(name) == HOST:
        modules.add(f"{HOST}.core.plugin")
    digest = _digest({root for module in modules for root in _root(module)})
    return f"{version} (sha256 {digest})" if digest else version


def _installed(name: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(name)
    except (metadata.PackageNotFoundError, ValueError):
        return ABSENT


def _root(module: ModuleType | str) -> Iterator[Path]:
    """The outermost package around a module that is more than a namespace; or its own file."""
    if isinstance(module, ModuleType):
        yield from [Path(module.__file__)] if module.__file__ else []
        return
    if module.endswith(".py"):
        yield Path(module)
        return
    parts = module.partition(":")[0].split(".")
    for end in range(1, len(parts) + 1):
        try:
            spec = importlib.util.find_spec(".".join(parts[:end]))
        except (ImportError, ValueError, AttributeError):
            return
        if spec is not None and spec.has_location and spec.origin:
            place = Path(spec.origin)
            yield place.parent if spec.submodule_search_locations else place
            return


def _digest(roots: Iterable[Path]) -> str:
    """Of the source files' names and content, wherever they lie; "" for none."""
    files = sorted(
        (f"{root.name}{path.removeprefix(str(root))}", path)
        for root in roots
        for path in _files(str(root))
    )
    total = hashlib.sha256()
    for name, path in files:
        # An editor's temporary file may be gone by now.
        with suppress(FileNotFoundError):
            content = hashlib.sha256(Path(path).read_bytes()).hexdigest()
            total.update(f"{name}\0{content}\n".encode())
    return _short(total) if files else ""


def _files(place: str) -> Iterator[str]:
    if not os.path.isdir(place):  # noqa: PTH112 - Path objects triple the time of the walk
        yield place
        return
    with os.scandir(place) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path) if entry.name != "__pycache__" else ()
            elif entry.name.endswith(_TEXT) and entry.is_file():
                yield entry.path


def _short(digest: hashlib._Hash) -> str:
    return digest.hexdigest()[:_DIGITS]


def _fact(name: str, expected: str, found: str) -> str:
    if not expected:
        return f"{name} {found} there, which the run does not use"
    return f"{name} {expected} in the run, {found} there"


def _step(name: str, expected: str, found: str) -> str:
    number = _DIGEST.sub("", expected)
    if name == PYTHON:
        return f"Use Python {expected} there"
    if not number and expected:
        return f"Copy the run's {name} there"
    if not expected:
        return f"Remove {name} there, or disable it"
    if number == _DIGEST.sub("", found):
        return f"The code of {name} {number} differs: install the same copy there"
    return f"Install {name}=={number} there"
