"""What a run file says, as frozen records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from stillhouse.core.config.teacher import TeacherTraining
from stillhouse.core.cost.names import is_cost
from stillhouse.core.plugin.kinds import RecordKind
from stillhouse.core.plugin.records import Record


class Plugins(Protocol):
    """What a run file needs of the catalogue: names, and records with their declarations.

    `runs` says whether the code of a file of plugins, in name and content, is what supplies some.
    """

    def names(self, kind: RecordKind) -> tuple[str, ...]: ...
    def record(self, kind: RecordKind, name: str) -> Record: ...
    def runs(self, path: Path) -> bool: ...


@dataclass(frozen=True)
class SearchRange:
    """What a searched parameter may be: `low` to `high` (inclusive), or one of `choices`.

    Whole numbers in `low` and `high` mean whole numbers in between. With `taps` and `of` it is a
    rising list of `taps` of the numbers 0 to `of` - 1; with `simplex` a list of so many numbers
    of at least 0 that sum to 1.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()
    taps: int = 0
    of: int = 0
    simplex: int = 0

    def plain(self) -> dict[str, Any]:
        """As it is written in a run file."""
        if self.choices:
            return {"choices": list(self.choices)}
        if self.taps:
            return {"taps": self.taps, "of": self.of}
        if self.simplex:
            return {"simplex": self.simplex}
        return {"low": self.low, "high": self.high, "log": self.log}


@dataclass(frozen=True)
class PluginUse:
    """A plugin named in a run file, with its whole parameter set.

    `fixed` holds every declared parameter that is not in `searched`, defaults filled in; paths are
    absolute. `line` is where it stands, 0 when a command-line option put it there.
    """

    name: str
    kind: RecordKind
    fixed: Mapping[str, Any] = field(default_factory=dict)
    searched: Mapping[str, SearchRange] = field(default_factory=dict)
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Limit:
    """One bound on a known cost or on a metric of the task, as the user wrote it.

    `cost` is the name of either. `value` is absolute in the unit a cost's name carries, or, when
    `relative`, in percent of what the teacher has (of a metric: on the validation split). `text`
    is the bound in normal form: `"<= 0.2"`, `"<= 10%"`.
    """

    cost: str
    relation: Literal["<=", ">="]
    value: float
    relative: bool
    text: str


@dataclass(frozen=True)
class TeacherSection:
    """The teacher's model family and how it is trained."""

    model: PluginUse
    training: TeacherTraining


@dataclass(frozen=True)
class SearchSection:
    """Objectives, limits and the search's settings (see `SearchSettings`).

    `fidelity` is one share of the full budget, or the rungs of a ladder, increasing. `batch` and
    `ahead` are settled in a run file that was read.
    """

    maximize: tuple[str, ...]
    minimize: tuple[str, ...]
    limits: tuple[Limit, ...]
    sampler: PluginUse
    evaluations: int
    batch: int | None
    ahead: int | None
    fidelity: float | tuple[float, ...]
    eta: int
    finalists: int
    proposals: int
    regressions: int
    repeats: int
    seed: int

    @property
    def order(self) -> tuple[int, int]:
        """Candidates a batch, and batches ahead; ValueError where they are not settled."""
        if self.batch is None or self.ahead is None:
            raise ValueError("expected a search whose batches are settled")
        return self.batch, self.ahead

    @property
    def rungs(self) -> tuple[float, ...]:
        """The fidelities a candidate may be evaluated at, from cheap to dear."""
        return self.fidelity if isinstance(self.fidelity, tuple) else (self.fidelity,)

    @property
    def cost_limits(self) -> tuple[Limit, ...]:
        """The limits on costs that are known without an evaluation."""
        return tuple(limit for limit in self.limits if is_cost(limit.cost))

    @property
    def outcome_limits(self) -> tuple[Limit, ...]:
        """The limits on metrics, which only an evaluation tells."""
        return tuple(limit for limit in self.limits if not is_cost(limit.cost))


@dataclass(frozen=True)
class TargetSection:
    """The runtime and how it is profiled (see `TargetSettings`); `device` is an absolute path."""

    runtime: PluginUse
    profile: int
    repeats: int
    processes: int
    predictor: str
    device: str | None
