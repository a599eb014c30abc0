"""What the engine hands to methods: seeds, fidelity, task, family, progress, a place to save."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from stillhouse.core.distill.parallel import Group

if TYPE_CHECKING:
    from torch import nn

    from stillhouse.core.evaluate.family import ModelFamily
    from stillhouse.core.evaluate.state import Structure, Student
    from stillhouse.core.evaluate.task import Task
    from stillhouse.core.measure.graph_form import Graph
    from stillhouse.core.plugin import Catalogue
    from stillhouse.core.space import Space


class Progress(Protocol):
    """Where long work says how far it is."""

    def start(self, label: str, total: int) -> None:
        """A new piece of work with `total` steps."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """`steps` more are done; `note` is a short figure to show."""

    def finish(self) -> None:
        """The piece of work is over."""


class Silent:
    """A `Progress` that shows nothing."""

    def start(self, label: str, total: int) -> None: ...
    def advance(self, steps: int = 1, note: str = "") -> None: ...
    def finish(self) -> None: ...


@dataclass(frozen=True)
class Context:
    """Immutable; methods derive what they need and hand it on.

    `family` and `full` are the student's model family and the structure it starts from (the
    teacher's, unless a method says otherwise). `checkpoints` is a folder that survives a kill, or
    None. `fidelity` is the share of the full budget `apply` may spend. `spaces` holds the search
    space that each method opened, by method name. `group` are the processes that train together.
    `repeat` numbers trainings of one candidate: `apply` draws differently in each, `prepare` the
    same. `catalogue` finds losses and similarities. `shared` is a folder for what several runs
    need, or None. `latency` times a network, which sees the channels given, in the run's target, in
    ms; None where there is none, such as in processes that only help to train. `graph` exports a
    network as the run's target would deploy it (`core.measure.Target.graph`), and raises as that
    does. What `prepare` makes with either stays with its run. `machine` says which processor that
    target runs on (`core.measure.machine`): the one whose device file the run reads, or this one;
    empty where there is no target.
    """

    task: Task
    family: ModelFamily
    full: Structure
    root_seed: int = 0
    device: str = "cpu"
    precision: str = "float32"
    fidelity: float = 1.0
    checkpoints: Path | None = None
    progress: Progress = field(default_factory=Silent)
    spaces: Mapping[str, Space] = field(default_factory=dict)
    group: Group = field(default_factory=Group)
    repeat: int = 0
    catalogue: Catalogue | None = None
    shared: Path | None = None
    latency: Callable[[Student, tuple[int, ...]], float] | None = None
    graph: Callable[[nn.Module], Graph] | None = None
    machine: Mapping[str, Any] = field(default_factory=dict)

    def seed(self, *labels: object) -> int:
        """A 63-bit seed that depends on the run's seed, the repeat and the labels alone."""
        again = ("repeat", self.repeat) if self.repeat else ()
        text = "/".join(map(str, (self.root_seed, *again, *labels)))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1

    def at(self, fidelity: float) -> Context:
        return replace(self, fidelity=fidelity)

    @contextmanager
    def task_progress(self, label: str, total: int) -> Iterator[Progress]:
        self.progress.start(label, total)
        try:
            yield self.progress
        finally:
            self.progress.finish()
