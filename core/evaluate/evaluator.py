"""Realise a configuration through the recipe, and score what comes out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stillhouse.core.cost.counting import joined, regrouped
from stillhouse.core.cost.sheet import Operator, OperatorSheet, chosen
from stillhouse.core.cost.tracing import traced
from stillhouse.core.errors import PluginError, RunDirectoryError, StillhouseError
from stillhouse.core.evaluate.artefacts import ArtefactStore, fingerprint
from stillhouse.core.evaluate.chain import Chain, read
from stillhouse.core.evaluate.context import Context
from stillhouse.core.evaluate.data import Split
from stillhouse.core.evaluate.method import Artefact, Choice, Method
from stillhouse.core.evaluate.state import State, Student
from stillhouse.core.plan import Step
from stillhouse.core.plugin import declared
from stillhouse.core.plugin.params import Params
from stillhouse.core.search.sampler import Codes
from stillhouse.core.space import Columns, Space

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class BoundStep:
    """A step with its code; `version` is who supplied it (`"stillhouse 0.1.0"`).

    `counted` keeps the rows of networks that were counted because the method writes no sheet,
    `asked` the method's sources.
    """

    step: Step
    method: Method
    version: str
    counted: dict[str, tuple[Operator, ...]] = field(default_factory=dict, repr=False)
    asked: dict[str, Any] = field(default_factory=dict, repr=False)

    def choice(self, configuration: Mapping[str, Any]) -> Choice:
        """The step's share of a joint configuration (`"supernet.width": 48, ...`).

        Control arms are configurations that name parameters which the run file fixes.
        """
        prefix = f"{self.step.name}."
        own = {k.removeprefix(prefix): v for k, v in configuration.items() if k.startswith(prefix)}
        names = [parameter.name for parameter in declared(self.step.info.params)]
        given = {name: own.pop(name) for name in names if name in own}
        return Choice(self.step.info.params(**{**self.step.fixed, **given}), own)

    def slow(self, params: Params) -> dict[str, Any]:
        """The prepare-phase parameters among all."""
        return {
            p.name: getattr(params, p.name)
            for p in declared(self.step.info.params)
            if p.phase == "prepare"
        }

    def sources(self, params: Params) -> Any:
        """What the method says of the files that its parameters name, asked once for each."""
        key = fingerprint(self.slow(params))
        if key not in self.asked:
            self.asked[key] = self.method.sources(params)
        return self.asked[key]

    def context(self, context: Context) -> Context:
        """The context with the search space that this step opened."""
        opened = {self.step.name: self.step.opened} if self.step.opened else {}
        return replace(context, spaces=opened)


class CandidateError(PluginError):
    """One candidate could not be realised; the search records it and goes on."""


@contextmanager
def blamed(bound: BoundStep, half: str, kind: type[PluginError]) -> Iterator[None]:
    """Attribute whatever a method raises to the plugin that supplied it.

    Faults of the machine (disk, memory, a damaged file of the run) are never a candidate's: the
    run ends with them, and resuming tries the candidate again.
    """
    try:
        yield
    except RunDirectoryError:
        raise
    except (OSError, MemoryError, torch.OutOfMemoryError) as error:
        raise PluginError(
            f"method '{bound.step.name}' ({bound.version}) met a fault of this machine in {half}: "
            f"{type(error).__name__}: {error}; mend it and resume"
        ) from error
    except StillhouseError as error:
        if kind is CandidateError and not isinstance(error, CandidateError):
            raise CandidateError(str(error)) from error
        raise
    except (Exception, SystemExit) as error:
        raise kind(
            f"method '{bound.step.name}' ({bound.version}) failed in {half}: "
            f"{type(error).__name__}: {error}"
        ) from error


def returned(value: T, kind: type[T]) -> T:
    """The value; TypeError when a method returned something else, such as nothing."""
    if not isinstance(value, kind):
        raise TypeError(f"expected it to return the {kind.__name__}, got {value!r}")
    return value


@final
class Evaluator:
    """The recipe over one initial state: prepare memoised, apply per candidate."""

    def __init__(
        self,
        steps: Sequence[BoundStep],
        initial: State,
        context: Context,
        store: ArtefactStore,
        origin: str,
    ) -> None:
        """`origin` identifies the initial state: data, teacher, seed, precision."""
        self.steps, self.initial = tuple(steps), initial
        self.context, self.store, self.origin = context, store, origin
        self._scores: dict[str, dict[str, float]] = {}

    def realise(self, configuration: Mapping[str, Any], fidelity: float) -> State:
        """Apply every method in order for one configuration.

        Raises:
            CandidateError: `apply` failed, so this candidate cannot be had; others may.
            StillhouseError: `prepare` failed, so no candidate can be had.
        """
        state = self.initial
        for stage in self._stages(configuration, fidelity):
            state = stage.applied()
        return state

    def scored(
        self, configuration: Mapping[str, Any], fidelity: float, split: Split
    ) -> dict[str, float]:
        """Every metric of a configuration on a split; what has equal effect is trained once.

        Raises like `realise`.
        """
        key, state = "", self.initial
        for place, stage in enumerate(self._stages(configuration, fidelity)):
            key = fingerprint(stage.key, split.name)
            if place == len(self.steps) - 1 and key in self._scores:
                break
            state = stage.applied()
        if key not in self._scores:
            self._scores[key] = self.values(state, split)
        return self._scores[key]

    def identity(self, configuration: Mapping[str, Any], fidelity: float) -> str:
        """The same for configurations that come to the same student; trains nothing itself."""
        key = self.origin
        for place, stage in enumerate(self._stages(configuration, fidelity)):
            key = stage.key
            if place < len(self.steps) - 1:
                stage.applied()
        return key

    def untrained(self, configuration: Mapping[str, Any]) -> tuple[State, str]:
        """The state that a candidate's own training would start from, and its identity."""
        state, key = self.initial, self.origin
        for stage in self._stages(configuration, 1.0):
            if stage.bound.step.trains_candidates:
                break
            state, key = stage.applied(), stage.key
        return state, key

    def proxies(self, configuration: Mapping[str, Any]) -> list[float]:
        """What methods tell of a candidate's quality for nothing; higher is better."""
        told = []
        for stage in self._stages(configuration, 1.0):
            if stage.bound.step.trains_candidates:
                break
            with blamed(stage.bound, "proxy", CandidateError):
                value = stage.bound.method.proxy(*stage.arguments)
            if value is not None:
                told.append(float(value))
            stage.applied()
        return told

    def prepared(self, method: str, configuration: Mapping[str, Any]) -> Artefact:
        """What a method of the recipe prepared for a configuration; raises like `realise`."""
        for stage in self._stages(configuration, 0.0):
            if stage.bound.step.name == method:
                return stage.arguments[2]
            stage.applied()
        raise ValueError(f"the recipe has no method '{method}'")

    def exhibits(self, configuration: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What the methods have to show of a configuration, without training it."""
        shown = []
        for stage in self._stages(configuration, 0.0):
            with blamed(stage.bound, "exhibit", CandidateError):
                found = stage.bound.method.exhibit(*stage.arguments)
            if found is not None:
                shown.append(dict(found))
            stage.applied()
        return shown

    def _stages(self, configuration: Mapping[str, Any], fidelity: float) -> Iterator[_Stage]:
        """The steps in order, each with what it works on; each must be applied before the next."""
        state, chain, local = self.initial, Chain(self.origin), False
        for bound in self.steps:
            choice = bound.choice(configuration)
            with blamed(bound, "sources", PluginError):
                sources = bound.sources(choice.params)
            # Keys of methods that name no files stay what they were before there were sources.
            files = () if sources is None else ((sources,),)
            context = self._context(bound, fidelity, chain.key(files), choice)
            with blamed(bound, "prepare", PluginError):
                reads = bound.step.info.reads
                seen = chain.key(files, reads)
                artefact = self._prepare(bound, read(state, reads), choice, context, seen, local)
                local = local or artefact.local
            with blamed(bound, "effect", CandidateError):
                effect = bound.method.effect(state, choice, artefact, context)
            spent = fidelity if bound.step.info.takes_budget else None
            did = (bound.step.name, bound.version, effect, spent)
            chain = chain.after(bound.step.info.changes, (*files, did))
            stage = _Stage(bound, (state, choice, artefact, context), chain.key())
            yield stage
            state = stage.state if stage.state is not None else state

    def values(self, state: State, split: Split) -> dict[str, float]:
        """Every metric of the state's student on a split."""
        if state.student is None:
            raise PluginError("the recipe leaves no student; add a method such as 'supernet'")
        logits = predict(state.student, split)
        return dict(self.context.task.score(logits, split.targets))

    def _context(self, bound: BoundStep, fidelity: float, key: str, choice: Choice) -> Context:
        context = replace(bound.context(self.context), fidelity=fidelity)
        if context.checkpoints is None:
            return context
        again = (context.repeat,) if context.repeat else ()
        mark = fingerprint(key, choice.params, choice.genes, fidelity, *again)
        label = f"{bound.step.name}-{mark}"
        return replace(context, checkpoints=context.checkpoints / label)

    def _prepare(
        self,
        bound: BoundStep,
        state: State,
        choice: Choice,
        context: Context,
        key: str,
        local: bool,
    ) -> Artefact:
        """`local`: the state depends on what was measured here, and so does what is made of it."""
        if not bound.step.info.prepares:
            return Artefact()
        name, slow = bound.step.name, bound.slow(choice.params)
        key, context = fingerprint(key, name, bound.version, slow), replace(context, repeat=0)
        if context.checkpoints is not None:
            folder = context.checkpoints.parent / f"{name}-prepare-{key}"
            context = replace(context, checkpoints=folder)
        measured: list[str] = []
        context = _noting(context, measured)

        def make() -> Artefact:
            made = returned(bound.method.prepare(state, choice.params, context), Artefact)
            return replace(made, local=local or made.local or bool(measured))

        return self.store.memo(name, key, make, context.checkpoints, local=local)


def _noting(context: Context, measured: list[str]) -> Context:
    """The context, with a note of every call to the run's target: its answers are not shared."""

    def noted(name: str, call: Callable[..., Any] | None) -> Callable[..., Any] | None:
        if call is None:
            return None

        def wrapped(*given: Any) -> Any:
            measured.append(name)
            return call(*given)

        return wrapped

    return replace(
        context, latency=noted("latency", context.latency), graph=noted("graph", context.graph)
    )


@dataclass(eq=False)
class _Stage:
    """One step of a realisation; `key` stands for all that decides the state after it."""

    bound: BoundStep
    arguments: tuple[State, Choice, Artefact, Context]
    key: str
    state: State | None = None

    def applied(self) -> State:
        with blamed(self.bound, "apply", CandidateError):
            self.state = returned(self.bound.method.apply(*self.arguments), State)
        return self.state


def skeleton_of(
    steps: Sequence[BoundStep], configuration: Mapping[str, Any], context: Context
) -> Student:
    """The shape a configuration is realised in, with untrained weights: what is measured."""
    student = _skeleton_so_far(steps, configuration, context)
    if student is None:
        raise PluginError("the recipe leaves no student; add a method such as 'supernet'")
    return student


def _skeleton_so_far(
    steps: Sequence[BoundStep], configuration: Mapping[str, Any], context: Context
) -> Student | None:
    student: Student | None = None
    for bound in steps:
        choice = bound.choice(configuration)
        with blamed(bound, "skeleton", PluginError):
            student = bound.method.skeleton(student, choice, bound.context(context))
    return student


def predict(student: Student | nn.Module, split: Split, size: int = 256) -> Tensor:
    """Outputs over a whole split, in order: (samples, outputs), on the CPU.

    Runs where the weights are.
    """
    module = student.module if isinstance(student, Student) else student
    module.eval()
    home = next((p.device for p in module.parameters()), torch.device("cpu"))
    with torch.inference_mode():
        parts = [module(b.inputs.to(home)).float().cpu() for b in split.batches(size)]
    return torch.cat(parts)


def recipe_sheet(
    steps: Sequence[BoundStep], space: Space, codes: Codes, context: Context
) -> OperatorSheet:
    """The operator sheet of many candidates, through every method of the recipe.

    After a method that changes the skeleton but writes no sheet, the sheet is counted from the
    skeletons themselves: exact, but one at a time, each new one once.
    """
    sheet = OperatorSheet(len(codes))
    for place, bound in enumerate(steps):
        with blamed(bound, "sheet", PluginError):
            if _writes_no_sheet(bound.method):
                sheet = _counted(steps[: place + 1], space, codes, context, sheet)
                continue
            columns = dict(space.columns(codes, prefix=f"{bound.step.name}."))
            columns = _with_fixed(columns, bound, len(codes))
            changed = bound.method.sheet(sheet, columns, bound.context(context))
            sheet = returned(changed, OperatorSheet)
    return sheet


def _writes_no_sheet(method: Method) -> bool:
    kind = type(method)
    return kind.skeleton is not Method.skeleton and kind.sheet is Method.sheet


def _counted(
    steps: Sequence[BoundStep], space: Space, codes: Codes, context: Context, sheet: OperatorSheet
) -> OperatorSheet:
    """The sheet of the skeletons after the last of the steps, each counted once in its life."""
    bound = steps[-1]
    if lost := chosen(sheet):
        raise PluginError(
            f"method '{bound.step.name}' ({bound.version}) changes the network but writes no "
            f"sheet, and counting its networks would lose the {', '.join(lost)} that a method "
            f"before it set; give it a `sheet`, or put it first"
        )
    prefixes = tuple(f"{step.step.name}." for step in steps)
    keys = []
    for row in codes:
        whole = space.decode(row)
        own = {name: value for name, value in whole.items() if name.startswith(prefixes)}
        keys.append(json.dumps(own, sort_keys=True))
        if keys[-1] not in bound.counted:
            student = _skeleton_so_far(steps, own, context)
            if student is None:
                return sheet
            bound.counted[keys[-1]] = traced(student.module, context.task.example(1))
    distinct = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    together = joined([bound.counted[key] for key in distinct])
    whole_sheet = together.take(np.array([distinct[key] for key in keys], np.int64))
    return regrouped(whole_sheet, sheet)


def _with_fixed(columns: Columns, bound: BoundStep, count: int) -> dict[str, NDArray[Any]]:
    fixed = {
        name: np.full(count, value, dtype=float if _numeric(value) else object)
        for name, value in bound.step.fixed.items()
        if not isinstance(value, (list, tuple))
    }
    return {**fixed, **columns}


def _numeric(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
