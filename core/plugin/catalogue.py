"""The catalogue: every plugin by kind and name, each tier read only when it is asked for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar, final

from stillhouse.core.errors import PluginError, UserError, nearest
from stillhouse.core.plugin import code
from stillhouse.core.plugin.beside import PluginFile, run_file, same_content
from stillhouse.core.plugin.entries import (
    DISABLE,
    HOST,
    Disabled,
    Entry,
    Extra,
    canonical,
    installed,
    local,
)
from stillhouse.core.plugin.kinds import BY_INFO, BY_KIND, KINDS, RecordKind
from stillhouse.core.plugin.listing import PluginStatus, gain
from stillhouse.core.plugin.loader import Fault, Loader
from stillhouse.core.plugin.records import (
    LossInfo,
    MethodInfo,
    ModelInfo,
    Provenance,
    Record,
    ReporterInfo,
    SamplerInfo,
    SimilarityInfo,
    SpaceInfo,
    TargetInfo,
    TaskInfo,
)

if TYPE_CHECKING:
    from importlib.metadata import Distribution
    from pathlib import Path

R = TypeVar("R", bound=Record)


@final
class Catalogue:
    """Plugins by kind and name. Build with `discover`; pass it down, there is no global one.

    Names come from package metadata alone; a record imports the one light module that its entry
    point names; `resolve` imports code. A broken plugin costs only its own names: `record` raises
    for it, listings report it. `file` is the file of plugins that `beside` ran, if it did.
    """

    def __init__(
        self,
        entries: Iterable[Entry],
        disabled: Disabled,
        clock: Callable[[], float],
        file: PluginFile | None = None,
    ) -> None:
        self.file, self._disabled, self._clock = file, disabled, clock
        self._every = every = sorted(entries, key=_order)
        self._off = tuple(entry for entry in every if disabled.covers(entry))
        self._on: dict[tuple[RecordKind, str], list[Entry]] = {}
        for entry in every:
            if not disabled.covers(entry):
                self._on.setdefault((entry.door.kind, entry.name), []).append(entry)
        self._loader = Loader(clock)

    @staticmethod
    def discover(
        environ: Mapping[str, str] = os.environ,
        distributions: Iterable[Distribution] | None = None,
        *,
        extra: Iterable[Extra] = (),
        clock: Callable[[], float] = time.perf_counter,
    ) -> Catalogue:
        """Read the metadata of the installed distributions (or those given), and the extras.

        An extra's module is a module object, a dotted name or the path of a `.py` file.
        """
        entries = (*installed(distributions), *local(extra))
        return Catalogue(entries, Disabled.read(environ), clock)

    def beside(self, path: Path) -> Catalogue:
        """The same and what the hooks of a file supply, whose code this runs.

        Call it for a file that a user named. Raises as `run_file` does, and UserError for a second
        file, a disabled one, and a name that another plugin has already.
        """
        if self._disabled.covers_all_of(path.name):
            raise UserError(f"{path} is disabled by {DISABLE}: take it off that list to use it")
        if self.file is not None:
            raise UserError(f"{path}: expected one file of plugins, got {self.file.path} before it")
        file = run_file(path)
        entries = tuple(file.entries())
        for entry in entries:
            if known := self._on.get((entry.door.kind, entry.name)):
                raise UserError(
                    f"{path}: {entry.door.kind} '{entry.name}' is provided by "
                    f"{known[0].provenance} too; give it another name"
                )
        return Catalogue((*self._every, *entries), self._disabled, self._clock, file)

    def runs(self, path: Path) -> bool:
        """Whether the code of this file, in name and content, is what `beside` ran."""
        file = self.file
        return file is not None and file.name == path.name and same_content(path, file.sha256)

    def code_of(self, kind: RecordKind, name: str) -> PluginFile | None:
        """The file of plugins that supplies a name, if it does; raises like `provenance`."""
        file = self.file
        return file if file and self._entry(kind, name).module is file.module else None

    def names(self, kind: RecordKind) -> tuple[str, ...]:
        """Names of a kind, sorted, without the disabled ones; imports nothing of a plugin."""
        return tuple(sorted(name for k, name in self._on if k == kind))

    def kinds_of(self, name: str) -> tuple[RecordKind, ...]:
        """The kinds that have a name: those in use, else those disabled; UserError for none."""
        on = [k for k in KINDS if (k, name) in self._on]
        off = [k for k in KINDS if any((e.door.kind, e.name) == (k, name) for e in self._off)]
        if not (on or off):
            hint = nearest(name, sorted({n for _, n in self._on}))
            raise UserError(f"no plugin is called '{name}'{hint} (list them: stillhouse plugins)")
        return tuple(on or off)

    def record(self, kind: RecordKind, name: str) -> Record:
        """Describe one plugin.

        Raises UserError for an unknown or disabled name, PluginError when two distributions
        provide it or when its module fails.
        """
        return self._describe(BY_KIND[kind].info, name)

    def provenance(self, kind: RecordKind, name: str) -> Provenance:
        """Who supplies a name; raises like `record`, but imports nothing."""
        return self._entry(kind, name).provenance

    def suppliers(self, kind: RecordKind, name: str) -> tuple[Provenance, ...]:
        """Everyone who provides a name: more than one where they conflict; imports nothing."""
        return tuple(entry.provenance for entry in self._on.get((kind, name), ()))

    def offered_by(self, distribution: str) -> tuple[Entry, ...]:
        """All that a distribution offers, disabled or not; imports nothing."""
        name = canonical(distribution)
        return tuple(e for e in self._every if canonical(e.provenance.distribution) == name)

    def resolve(self, record: Record) -> object:
        """Import the code a record names: the class or function at its `build` string.

        Raises PluginError naming the distribution, or the extra that has to be installed.
        """
        if isinstance(record, SpaceInfo):
            raise TypeError(f"space '{record.name}' is a file and has no code: use space_text")
        kind = BY_INFO[type(record)].kind
        own = self.code_of(kind, record.name)
        return code.resolve(record, self.provenance(kind, record.name), own)

    def resolve_space(self, record: ModelInfo) -> object:
        """Import the function that a family offers automatic spaces by; raises like `resolve`."""
        return self.resolve(replace(record, build=record.space))

    def space_text(self, record: SpaceInfo) -> str:
        """The YAML text of a search space; raises PluginError when it cannot be read."""
        return code.space_text(record, self.provenance("space", record.name))

    def statuses(self) -> tuple[PluginStatus, ...]:
        """How every offered name fares, disabled ones included; imports all light modules."""
        off = (_status(entry, "disabled") for entry in self._off)
        on = (self._status(entry, rivals) for rivals in self._on.values() for entry in rivals)
        return tuple(sorted((*off, *on), key=lambda s: (KINDS.index(s.kind), s.name)))

    def method(self, name: str) -> MethodInfo:
        return self._describe(MethodInfo, name)

    def model(self, name: str) -> ModelInfo:
        return self._describe(ModelInfo, name)

    def task(self, name: str) -> TaskInfo:
        return self._describe(TaskInfo, name)

    def space(self, name: str) -> SpaceInfo:
        return self._describe(SpaceInfo, name)

    def target(self, name: str) -> TargetInfo:
        return self._describe(TargetInfo, name)

    def sampler(self, name: str) -> SamplerInfo:
        return self._describe(SamplerInfo, name)

    def reporter(self, name: str) -> ReporterInfo:
        return self._describe(ReporterInfo, name)

    def loss(self, name: str) -> LossInfo:
        return self._describe(LossInfo, name)

    def similarity(self, name: str) -> SimilarityInfo:
        return self._describe(SimilarityInfo, name)

    def _describe(self, info: type[R], name: str) -> R:
        entry = self._entry(BY_INFO[info].kind, name)
        record = self._loader.load(entry, info)
        if isinstance(record, Fault):
            supplier = entry.provenance.distribution
            raise PluginError(
                f"{entry} failed {record.doing}: {record}; "
                f"upgrade {supplier} or disable it: {DISABLE}={supplier}"
            ) from record.error
        return record

    def _entry(self, kind: RecordKind, name: str) -> Entry:
        entries = self._on.get((kind, name), [])
        if not entries:
            raise UserError(self._unknown(kind, name))
        if len(entries) > 1:
            raise PluginError(_conflict(entries))
        return entries[0]

    def _unknown(self, kind: RecordKind, name: str) -> str:
        if any((entry.door.kind, entry.name) == (kind, name) for entry in self._off):
            return f"{kind} '{name}' is disabled by {DISABLE}: take it off that list to use it"
        others = [k for k, n in self._on if n == name]
        hint = f"; '{name}' is a {others[0]}" if others else nearest(name, self.names(kind))
        return f"no {kind} '{name}'{hint} (list them: stillhouse plugins)"

    def _status(self, entry: Entry, rivals: list[Entry]) -> PluginStatus:
        if len(rivals) > 1:
            others = ", ".join(str(r.provenance) for r in rivals if r is not entry)
            return _status(entry, f"conflict: also provided by {others}")
        record = self._loader.load(entry, entry.door.info)
        took = self._loader.import_ms(entry)
        if isinstance(record, Fault):
            return _status(entry, f"failed: {record}", took)
        return _status(entry, "active", took, record)


def _order(entry: Entry) -> tuple[str, str, bool, str]:
    supplier = entry.provenance.distribution
    return entry.door.kind, entry.name, supplier != HOST, supplier


def _conflict(entries: list[Entry]) -> str:
    suppliers = " and ".join(str(entry.provenance) for entry in entries)
    last = entries[-1]
    token = f"{last.provenance.distribution}:{last.name}"
    return (
        f"{len(entries)} plugins provide {last.door.kind} '{last.name}': {suppliers}; "
        f"disable all but one, for example {DISABLE}={token}"
    )


def _status(
    entry: Entry, status: str, import_ms: float = 0.0, record: Record | None = None
) -> PluginStatus:
    who = entry.provenance
    summary, wins = (record.summary, gain(record)) if record else ("", "")
    return PluginStatus(
        entry.door.kind, entry.name, who.distribution, who.version, status, import_ms, summary, wins
    )
