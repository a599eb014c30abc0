"""What a sweep will do, before it is done: trials, and what they share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from stillhouse.core.config.sweep import SECONDS, SweepSection
from stillhouse.core.cost.limits import COST_NAMES
from stillhouse.core.cost.names import is_cost
from stillhouse.core.errors import ConfigError, PlanError, nearest
from stillhouse.core.plan import Plan, Step
from stillhouse.core.plan.text import count
from stillhouse.core.plugin import Catalogue, declared
from stillhouse.core.space import Space
from stillhouse.core.sweep.space import method_of, space_of

_ORIGIN = ("task", "teacher", "student", "train.device", "train.precision", "search.seed")
"""Where keys stand that everything prepared depends on."""
_START = "start"


def check_sweep(plan: Plan, catalogue: Catalogue) -> None:
    """Raise ConfigError for objectives and limits that no trial tells, and for a wrong direction.

    Raises PlanError where population-based training cannot hand weights over.
    """
    section = plan.run.sweep
    if section is None:
        return
    metrics = {metric.name: metric for metric in catalogue.task(plan.run.task.name).metrics}
    for key, names in (("maximize", section.maximize), ("minimize", section.minimize)):
        for name in names:
            if name not in metrics and not is_cost(name) and name != SECONDS and metrics:
                known = [*metrics, SECONDS, *COST_NAMES]
                raise ConfigError(
                    f"sweep.{key}: no trial tells '{name}'{nearest(name, known)} (expected one of "
                    f"{', '.join([*metrics, SECONDS])}, or a cost: {', '.join(COST_NAMES)})"
                )
            lower = name not in metrics or metrics[name].better == "lower"
            way = "minimize" if lower else "maximize"
            if metrics and key != way:
                side = "lower" if lower else "higher"
                raise ConfigError(f"sweep.{key}: of '{name}' {side} is better; {way} it")
    _check_start(plan, section)


def _check_start(plan: Plan, section: SweepSection) -> None:
    if section.scheduler.name != "pbt" or section.budget is None:
        return
    name = method_of(section.budget.parameter, plan.run.recipe)
    step = next((one for one in plan.steps if one.name == name), None)
    names = [p.name for p in declared(step.info.params)] if step else []
    if step is None or _START not in names or not step.info.prepares:
        raise PlanError(
            f"sweep.budget.parameter: {section.budget.parameter}: expected a parameter of a method "
            "that can go on from earlier weights (it declares 'start'), such as "
            "recipe.supernet.epochs; or use scheduler: asha"
        )


def describe_sweep(plan: Plan) -> str:
    """The sweep in a few lines, for `stillhouse plan`; "" for a run file without one."""
    section = plan.run.sweep
    if section is None:
        return ""
    space = _space(section, section.parameters)
    aims = [f"maximize {name}" for name in section.maximize]
    aims += [f"minimize {name}" for name in section.minimize]
    concurrent = f", {section.concurrent} at a time" if section.concurrent > 1 else ""
    lines = [
        f"sweep     {section.trials} trials of {count(space.size())} settings, "
        f"{', '.join(aims)} with {section.sampler.name}{concurrent}, seed {section.seed}",
        *(f"  {d}" for d in space.dimensions),
        *(f"  limit {one.cost} {one.text}" for one in section.limits),
        *_scheduler_lines(section),
        *(f"  {line}" for line in _shared(plan, section)),
    ]
    return "\n".join(lines)


def _scheduler_lines(section: SweepSection) -> Iterator[str]:
    if section.budget is None:
        return
    rungs = ", ".join(f"{rung:g}" for rung in section.budget.rungs)
    settings = section.scheduler.settings or {}
    yield f"  {section.scheduler.name}: {section.budget.parameter} {rungs}" + (
        f"; the best 1/{settings['eta']} of each rung go on"
        if "eta" in settings
        else f"; after each rung the worst {settings['share']:.0%} take over the best's weights"
    )


def _shared(plan: Plan, section: SweepSection) -> Iterator[str]:
    """Who trains how often: the teacher, and each method that prepares."""
    swept = dict(section.parameters)
    varied = [path for path in swept if path.startswith(_ORIGIN) or path in _ORIGIN]
    origins = _times(section, varied)
    yield _said("the teacher is trained", origins, section.trials)
    rungs = len(section.budget.rungs) if section.budget else 1
    so_far: list[str] = list(varied)
    for step in plan.steps:
        so_far += _splitting(plan, step, swept)
        if step.info.prepares:
            ration = section.budget.parameter if section.budget else ""
            own = method_of(ration, plan.run.recipe) == step.name
            times = _times(section, so_far) * (rungs if own else 1)
            most = section.trials * (rungs if own else 1)
            yield _said(f"'{step.name}' is prepared", times, most)


def _splitting(plan: Plan, step: Step, swept: Iterable[str]) -> list[str]:
    """Swept parameters of a step that its artefact, or one after it, depends on."""
    phases = {p.name: p.phase for p in declared(step.info.params)}
    found = []
    for path in swept:
        name = path.rpartition(".")[2]
        own = method_of(path, plan.run.recipe) == step.name
        if own and (phases.get(name) == "prepare" or not step.info.prepares):
            found.append(path)
    return found


def _times(section: SweepSection, paths: Sequence[str]) -> float:
    return float(_space(section, paths).size()) if paths else 1.0


def _space(section: SweepSection, paths: Iterable[str]) -> Space:
    return space_of({path: section.parameters[path] for path in paths})


def _said(what: str, times: float, most: int) -> str:
    if times == 1:
        return f"{what} once: all trials share it"
    if math.isinf(times) or times >= most:
        return f"{what} up to {most} times: none share it"
    return f"{what} up to {int(times)} times: trials with equal values share it"
