"""What hooks return: small frozen records, readable without importing torch.

Every record names its code by a dotted string (`"package.module:attribute"`), imported on first
use and called as `attribute(params)`. Plugins import this module and the standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from stillhouse.core.plugin.metrics import Metric
from stillhouse.core.plugin.params import Params

API = 1
"""The contract's version; the host accepts records that carry this number."""

Changes = Literal["teachers", "student", "data", "loss terms", "form", "policy"]
EVERYTHING: Final[frozenset[Changes]] = frozenset(get_args(Changes))


@dataclass(frozen=True, kw_only=True)
class Record:
    """Fields every kind shares.

    `name` is the entry point's; `summary` is one line for listings; `build` is a dotted string to
    the code, `"package.module:attribute"`; `params` declares what a run file may say of it; `extra`
    names the optional requirement the code needs; `api` is the contract's version.
    """

    name: str
    summary: str
    build: str
    params: type[Params] = Params
    extra: str | None = None
    api: int = API


@dataclass(frozen=True, kw_only=True)
class Gain:
    """What a method was measured to do to one network: "2.1 times as fast, 27 % of the bytes".

    `speed_up` is the whole network's latency over the changed one's, batch 1, one thread, with the
    smallest and largest of several processes; below 1 it is slower. `size` is the share of the
    artefact's bytes that is left. `setting` says with which parameters, `machine` on what.
    """

    target: str
    network: str
    setting: str
    speed_up: float
    low: float
    high: float
    size: float
    machine: str

    @property
    def faster(self) -> bool:
        """Whether it was faster in every process: less may be noise."""
        return self.low > 1


@dataclass(frozen=True, kw_only=True)
class MethodInfo(Record):
    """A compression method: `build` is a final subclass of `core.evaluate.Method`.

    `changes` is the part of the state that it makes anew.
    `needs` must be available when it runs; `leaves` is available afterwards; `spends` is used up
    (so whatever leaves it goes before); `core.plugin.capabilities` has the words that built-in
    methods share. `prepares` is true when it has a slow half to memoise. `trains` is true when
    `apply` spends a share of a budget, `Context.fidelity`; of a method that spends loss terms it
    is taken for granted. `reads` are the parts of the state that `prepare` sees; a method before it
    that changes none of them does not split its artefact. `speeds_up` lists targets where a gain
    was measured, `measured` the gains.
    """

    changes: Changes
    needs: frozenset[str] = frozenset()
    leaves: frozenset[str] = frozenset()
    spends: frozenset[str] = frozenset()
    prepares: bool = False
    trains: bool = False
    reads: frozenset[Changes] = EVERYTHING
    speeds_up: frozenset[str] = frozenset()
    measured: tuple[Gain, ...] = ()

    @property
    def takes_budget(self) -> bool:
        """Whether what `apply` makes depends on the fidelity."""
        return self.trains or "loss terms" in self.spends


@dataclass(frozen=True, kw_only=True)
class ModelInfo(Record):
    """A model family: `build` is a final subclass of `core.evaluate.ModelFamily`.

    `space` is a dotted string to a function that needs no torch: from the family's parameters to
    the dimensions of a search space, as a space's file has them (`space: auto`). `converts` names
    classes of other libraries whose networks the family can translate.
    """

    space: str = ""
    converts: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TaskInfo(Record):
    """A task: `build(params)` returns a `core.evaluate.Task`.

    `metrics` are what it measures, so that a run file's objectives are checked without its code; or
    all that it may measure, where that depends on its data. What is built is checked in any case,
    and alone where they are left empty. `licence` is that of the data.
    """

    licence: str = ""
    metrics: tuple[Metric, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SpaceInfo(Record):
    """A search space: `build` names a YAML resource, `"package:file.yaml"`; never code.

    `family` is the model family whose networks it chooses among.
    """

    family: str


@dataclass(frozen=True, kw_only=True)
class TargetInfo(Record):
    """A runtime on a device: `build` is a final subclass of `core.measure.Target`."""


@dataclass(frozen=True, kw_only=True)
class SamplerInfo(Record):
    """A search sampler: `build` is a final subclass of `core.search.Sampler`.

    `objectives` says how many it can optimise at once.
    """

    objectives: Literal["one", "several"] = "several"


@dataclass(frozen=True, kw_only=True)
class ReporterInfo(Record):
    """Writes something from a finished run: `build(params, summary, folder)`, a `RunSummary`."""


@dataclass(frozen=True, kw_only=True)
class LossInfo(Record):
    """A distillation loss: `build` is a final subclass of `core.distill.hint_loss.HintLoss`.

    `compares` says what of teacher and student it reads: features at paired taps, or answers.
    """

    compares: Literal["features", "answers"] = "features"


@dataclass(frozen=True, kw_only=True)
class SimilarityInfo(Record):
    """A measure of how alike layers are: `build` is a `core.similarity.Similarity`."""


@dataclass(frozen=True)
class Provenance:
    """Who supplied a record: distribution, version and entry point, for attribution."""

    distribution: str
    version: str
    entry_point: str
    hooks: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"
