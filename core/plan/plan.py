"""Configuration + catalogue → plan: pure, printable, without torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from stillhouse.core.config.records import PluginUse, SearchRange
from stillhouse.core.config.runfile import RunFile
from stillhouse.core.config.values import AUTO
from stillhouse.core.config.written import dump
from stillhouse.core.errors import PlanError
from stillhouse.core.plan.objectives import check_limits, check_objectives
from stillhouse.core.plan.order import ordered
from stillhouse.core.plugin import Catalogue, MethodInfo, Params, declared
from stillhouse.core.space import Choice, Dimension, Integer, Real, Simplex, Space, Taps
from stillhouse.core.space.text import load_space


@dataclass(frozen=True)
class Step:
    """One method of the ordered recipe, with its part of the search space.

    `space` holds the searched parameters and the dimensions of the search space the method opens,
    under their own names; `opened` is the latter alone (what the method samples from).
    """

    info: MethodInfo
    fixed: Mapping[str, Any]
    searched: Mapping[str, SearchRange]
    space: Space
    opened: Space | None

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def trains_candidates(self) -> bool:
        """Whether the fidelity makes a difference: training done for each candidate anew."""
        return self.info.takes_budget and not self.info.prepares

    def prepare_names(self) -> tuple[str, ...]:
        """Searched parameters that split the method's artefact."""
        phases = {p.name: p.phase for p in declared(self.info.params)}
        return tuple(n for n in self.searched if phases[n] == "prepare")


@dataclass(frozen=True)
class Plan:
    """What a run will do. `space` joins every step's part as `"method.gene"`."""

    run: RunFile
    steps: tuple[Step, ...]
    space: Space

    def artefacts(self, step: Step) -> int | float:
        """How many times the step's `prepare` can run: once per value of what it depends on.

        `math.inf` stands for a continuous parameter: as many times as there are evaluations.
        """
        earlier = self.steps[: self.steps.index(step)]
        before = [s for s in earlier if s.info.changes in step.info.reads]
        count = math.prod(s.space.size() for s in before)
        splits = set(step.prepare_names())
        own = Space([d for d in step.space.dimensions if d.name in splits]).size() if splits else 1
        return count * own


def make_plan(run: RunFile, catalogue: Catalogue) -> Plan:
    """Resolve names, order the methods, gather the search space.

    Raises:
        ConfigError: the task does not measure an objective or what a limit is on.
        LimitError: a limit on a metric lies beyond the best value it can take.
        PlanError: the recipe cannot be ordered, a gene and a parameter of one method share a
            name, or a space belongs to another model family than the student's.
    """
    metrics = catalogue.task(run.task.name).metrics
    if metrics:
        check_objectives(run.search, run.task.name, metrics)
        check_limits(run.search, run.task.name, metrics)
    uses = {use.name: use for use in run.recipe}
    infos = ordered([catalogue.method(use.name) for use in run.recipe])
    steps = tuple(_step(info, uses[info.name], run, catalogue) for info in infos)
    _refuse_idle_searches(steps, run.search.rungs[0])
    space = Space.join({step.name: step.space for step in steps})
    return Plan(run, steps, space)


def _refuse_idle_searches(steps: Sequence[Step], lowest: float) -> None:
    """A searched parameter of training that the search does not do would be chosen by chance."""
    for step in steps:
        idle = step.trains_candidates and lowest == 0
        if idle and step.searched:
            raise PlanError(
                f"recipe.{step.name}.{next(iter(step.searched))}: searched, but with "
                f"search.fidelity 0 '{step.name}' trains only the finalists; fix the parameter, or "
                "let search.fidelity begin above 0 (the share of its budget for each candidate)"
            )


def _step(info: MethodInfo, use: PluginUse, run: RunFile, catalogue: Catalogue) -> Step:
    searched = [dimension(name, r) for name, r in use.searched.items()]
    opened = _opened(info, use, run, catalogue)
    genes = list(opened.dimensions) if opened else []
    clash = {d.name for d in searched} & {d.name for d in genes}
    if clash:
        raise PlanError(f"recipe.{info.name}: parameter and gene share the name '{min(clash)}'")
    return Step(info, use.fixed, use.searched, Space([*searched, *genes]), opened)


def _opened(info: MethodInfo, use: PluginUse, run: RunFile, catalogue: Catalogue) -> Space | None:
    for parameter in declared(info.params):
        if parameter.kind == "space" and use.fixed.get(parameter.name):
            key, name = f"recipe.{info.name}.{parameter.name}", str(use.fixed[parameter.name])
            if name == AUTO:
                return automatic_space(run.student, catalogue, key)
            record = catalogue.space(name)
            if record.family != run.student.name:
                raise PlanError(
                    f"{key}: search space '{record.name}' is for the model family "
                    f"'{record.family}', but the student is a '{run.student.name}'; choose one of "
                    f"that family (stillhouse plugins), {AUTO}, or another student:"
                )
            return load_space(catalogue.space_text(record), record.name)
    return None


def automatic_space(student: PluginUse, catalogue: Catalogue, key: str) -> Space:
    """The space that the student's family offers for a full network of these parameters.

    Raises PlanError for a family without one, UserError for parameters that leave no choice.
    """
    record = catalogue.model(student.name)
    if not record.space:
        raise PlanError(
            f"{key}: the model family '{student.name}' offers no automatic space; name one of its "
            "spaces (stillhouse plugins)"
        )
    offer = cast("Callable[[Params], Mapping[str, Any]]", catalogue.resolve_space(record))
    dimensions = offer(record.params(**student.fixed))
    return load_space(dump({"dimensions": dict(dimensions)}), f"automatic space of {student.name}")


def dimension(name: str, searched: SearchRange) -> Dimension:
    """The dimension a searched parameter becomes."""
    if searched.choices:
        return Choice(name, tuple(searched.choices))
    if searched.taps:
        return Taps(name, searched.taps, searched.of)
    if searched.simplex:
        return Simplex(name, searched.simplex)
    if searched.low is None or searched.high is None:
        raise PlanError(f"{name}: a search range needs low and high, or choices")
    if isinstance(searched.low, int) and isinstance(searched.high, int):
        return Integer(name, searched.low, searched.high, log=searched.log)
    return Real(name, searched.low, searched.high, log=searched.log)
