"""The contract of a method: prepare once, apply per candidate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.evaluate.context import Context
from stillhouse.core.evaluate.state import State, Student
from stillhouse.core.plugin.params import Params

if TYPE_CHECKING:
    from stillhouse.core.space import Columns


@dataclass(frozen=True, eq=False)
class Artefact:
    """What `prepare` leaves: named tensors and a JSON-able record. Stored as safetensors + JSON.

    `memo` is never stored: a method keeps there what it rebuilds from the rest and would rather
    not rebuild for every candidate.

    `parts` holds what neither form suits, by the name of a sub-folder. Storing calls each once
    with a path in the artefact's folder, where nothing is yet; it leaves a folder there. The
    artefact that is read back has no `parts`, and `folder`, where its sub-folders lie.

    What is `local` is never shared with other runs or machines: it holds what was measured here.
    """

    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)
    memo: dict[str, Any] = field(default_factory=dict)
    parts: Mapping[str, Callable[[Path], object]] = field(default_factory=dict)
    folder: Path | None = None
    local: bool = False


@dataclass(frozen=True)
class Choice:
    """One candidate's values for one method.

    `params` holds every declared parameter, fixed or as searched; `genes` holds the values of the
    search space the method opened (canonical: inactive genes absent; per-layer genes as lists).
    """

    params: Any
    genes: Mapping[str, Any] = field(default_factory=dict)


class Method(ABC):
    """A compression method: abstract here, final in a plugin, built without arguments.

    A method keeps no state of its own between calls; everything travels in the arguments. It
    takes randomness from `context.seed(...)` only and never touches a global generator.
    """

    def prepare(self, state: State, params: Params, context: Context) -> Artefact:
        """The slow half: called once for each value of the prepare-phase parameters.

        Memoised on disk under a hash of the state before it, those parameters, the `sources`, the
        data, the seed and the code version. The default prepares nothing.
        """
        return Artefact()

    def sources(self, params: Params) -> Any:
        """What identifies the files that parameters name, as plain data; None where none do.

        Whatever is kept of this method is kept for these sources alone: what changes with a
        file's content belongs here, such as its hash. Read prepare-phase parameters only: asked
        once for each of their values.

        Raises `UserError` for a file that is missing.
        """
        return None

    @abstractmethod
    def apply(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> State:
        """The fast half: called for each candidate; returns a new state, leaves the given one.

        Spend at most `context.fidelity` (0 to 1) of the full budget.
        """

    def sheet(self, sheet: OperatorSheet, columns: Columns, context: Context) -> OperatorSheet:
        """Write this method's effect on costs, for all candidates at once.

        `columns` holds the method's genes and all its parameters as arrays over candidates (fixed
        parameters are constant). The default leaves the sheet as it is, unless the method has a
        `skeleton`: then the sheet is counted from its networks, one configuration at a time.
        """
        return sheet

    def skeleton(self, student: Student | None, choice: Choice, context: Context) -> Student | None:
        """What `apply` would make of a student, in shape and form only, with any weights.

        Latency and size depend on nothing else, so subnets are measured before anything is
        trained. A method that changes shape or form must implement it; the default changes
        nothing.
        """
        return student

    def rebuild(self, skeleton: nn.Module, record: Mapping[str, Any]) -> nn.Module:
        """Give a freshly built skeleton the form that `apply` gave the student, without weights.

        Called by `stillhouse.core.load` in a process that trains nothing, for each `Rebuild` the
        student carries, in order; the saved weights are loaded afterwards.
        """
        return skeleton

    def check(self, state: State, choice: Choice, context: Context) -> None:
        """Raise `UserError` for a choice that cannot work, from what is known before any training.

        The state holds the teachers' taps, widths and stages, and the data; no trained network.
        """
        return

    def effect(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> Any:
        """What `apply` would do, as plain data: choices of equal effect are evaluated once.

        The default tells all choices apart.
        """
        return [choice.params, choice.genes]

    def controls(self, params: Params) -> Mapping[str, Mapping[str, Any]]:
        """Control arms: by role, the parameters that differ from the found configuration's.

        They decide what is found, not what it costs: only parameters that leave shape and form
        alone may differ. Every arm is trained like a finalist; when one is better, it is returned.
        """
        return {}

    def exhibit(
        self, state: State, choice: Choice, artefact: Artefact, context: Context
    ) -> Mapping[str, Any] | None:
        """What the report shows of a choice: JSON-able, with a `kind` that reporters know."""
        return None

    def compared(self, params: Params) -> Mapping[str, Mapping[str, Any]]:
        """Variants of this method that the closing table sets beside the found model, on request.

        By role (`inherited`, `tuned`): the parameters that differ, of the apply phase. The found
        configuration is realised once more with each; with any, it is also trained from scratch.
        """
        return {}

    def proxy(
        self, state: State, choice: Choice, artefact: Artefact, context: Context
    ) -> float | None:
        """A free stand-in for quality, higher is better, to compare candidates by; or None."""
        return None
