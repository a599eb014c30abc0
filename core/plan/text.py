"""A plan as text, for `stillhouse plan`."""

from __future__ import annotations

import math

from stillhouse.core.config.records import SearchSection
from stillhouse.core.plan.plan import Plan, Step


def describe(plan: Plan) -> str:
    """Recipe in order, search space with its exact size, artefacts, limits, budget."""
    run = plan.run
    lines = [
        f"run       {run.name}",
        f"task      {run.task.name}",
        f"teacher   {run.teacher.model.name} ({_pairs(run.teacher.model.fixed)}); "
        f"{run.teacher.training.epochs} epochs{_view(run.teacher.training.channels)}",
        *_student_lines(plan),
        "recipe",
        *(f"  {i}. {_step_line(step)}" for i, step in enumerate(plan.steps, 1)),
        *(f"     {line}" for step in plan.steps for line in _prepare_lines(plan, step)),
        f"space     {count(plan.space.size())} configurations",
        *(f"  {d}" for d in plan.space.dimensions),
        f"search    {_objectives(plan)} with {run.search.sampler.name}, "
        f"{run.search.evaluations} evaluations, seed {run.search.seed}",
        *_ladder_lines(plan),
        *_worker_lines(plan),
        f"limits    {'; '.join(_limits(run.search)) or 'none'}",
        f"target    {run.target.runtime.name} ({_pairs(run.target.runtime.fixed)})",
    ]
    return "\n".join(lines)


def count(size: int | float) -> str:
    """An exact size with separators; a continuous space says so."""
    return f"{size:,}" if isinstance(size, int) else "infinitely many"


def _objectives(plan: Plan) -> str:
    up = [f"maximize {name}" for name in plan.run.search.maximize]
    return ", ".join(up + [f"minimize {name}" for name in plan.run.search.minimize])


def _ladder_lines(plan: Plan) -> list[str]:
    """The rungs with the evaluations each will get, when all but few candidates are sound."""
    search = plan.run.search
    if len(search.rungs) == 1:
        return []
    shares = [search.eta**-i for i in range(len(search.rungs))]
    counts = [int(search.evaluations * share / sum(shares)) for share in shares]
    rungs = ", ".join(
        f"{rung:g} (about {count})" for rung, count in zip(search.rungs, counts, strict=True)
    )
    lines = [f"fidelity  {rungs}; the best 1/{search.eta} of each rung go on to the next"]
    if not counts[-1]:
        lines.append("          too few evaluations for the last rung: raise search.evaluations")
    if not any(step.trains_candidates for step in plan.steps):
        lines.append(
            "          no method of the recipe trains candidates, so all rungs will measure the "
            "same: set search.fidelity to one number"
        )
    return lines


def _worker_lines(plan: Plan) -> list[str]:
    """Who evaluates, where it is not this process; what of it decides the outcome."""
    run, search = plan.run, plan.run.search
    batch, ahead = search.order
    if run.execute.kind == "inline" and not ahead:
        return []
    workers, threads = run.execute.workers, run.execute.threads
    where = {"inline": "this process", "processes": "processes", "ray": "Ray"}
    window = batch * (1 + ahead)
    late = f"{search.ahead} batch{'es' * (search.ahead != 1)} late"
    learnt = (
        f"learnt in order, {late} (the same result with any workers)"
        if run.execute.deterministic
        else "learnt as they come (another result each time)"
    )
    return [
        f"workers   {workers} ({where[str(run.execute.kind)]}, "
        f"{threads} CPU thread{'s' * (threads > 1)} each); up to {window} evaluations under way",
        f"          results are {learnt}",
    ]


def _student_lines(plan: Plan) -> list[str]:
    """The student where it sees other channels than its teacher."""
    run = plan.run
    if run.student_channels == run.teacher.training.channels:
        return []
    view = _view(run.student_channels) or ", sees all channels"
    return [f"student   {run.student.name} ({_pairs(run.student.fixed)}){view}"]


def _view(channels: tuple[int, ...]) -> str:
    return f", sees channels {', '.join(map(str, channels))}" if channels else ""


def _limits(search: SearchSection) -> list[str]:
    """One item a name: `latency_ms >= 0.1 and <= 0.2`, `accuracy >= 97% of the teacher's`."""
    bounds: dict[str, list[str]] = {}
    for limit in search.limits:
        said = f"{limit.text} of the teacher's" if limit.relative else limit.text
        bounds.setdefault(limit.cost, []).append(said)
    measured = {limit.cost for limit in search.outcome_limits}
    return [
        f"{name} {' and '.join(some)}{' (when evaluated)' if name in measured else ''}"
        for name, some in bounds.items()
    ]


def _pairs(values: object) -> str:
    items = dict(values).items() if values else ()  # type: ignore[call-overload]
    return ", ".join(f"{k} {_said(v)}" for k, v in items)


def _said(value: object) -> str:
    """A value in a few words: of networks their names, or else their models'."""
    networks = isinstance(value, (list, tuple)) and [v for v in value if isinstance(v, dict)]
    return " + ".join(v.get("name") or v["model"] for v in networks) if networks else str(value)


def _step_line(step: Step) -> str:
    searched = [f"searched: {', '.join(step.searched)}"] if step.searched else []
    said = "; ".join([*filter(None, [_pairs(step.fixed)]), *searched])
    return f"{step.name} ({said})" if said else step.name


def _prepare_lines(plan: Plan, step: Step) -> list[str]:
    if not step.info.prepares:
        return []
    times = plan.artefacts(step)
    if times == 1:
        return [f"{step.name} prepares once"]
    most = min(times, plan.run.search.evaluations)
    why = "a searched value before or in it splits its artefact"
    many = "" if math.isinf(times) else f" of {int(times)} possible"
    return [f"{step.name} prepares up to {int(most)} times{many}: {why}"]
