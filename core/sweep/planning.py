"""Planning a sweep before Ray starts: the run file at every end of its ranges."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stillhouse.core.config.runfile import RunFile, parse
from stillhouse.core.config.sweep import SweepSection
from stillhouse.core.config.written import inline
from stillhouse.core.errors import PlanError, UserError
from stillhouse.core.plan import Plan, make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.sweep.outlook import check_sweep


def check_ends(run: RunFile, catalogue: Catalogue) -> Plan:
    """The plan of the run file itself, once it and the run at each end of the sweep have one.

    Raises:
        PlanError: a value of the sweep leaves no plan; names it. ConfigError, LimitError: the run
            file itself does, or the sweep is after what no trial tells.
    """
    plan = make_plan(run, catalogue)
    check_sweep(plan, catalogue)
    if run.sweep is None:
        return plan
    base = replace(run, sweep=None).to_yaml()
    for path, value in _ends(run.sweep):
        try:
            make_plan(parse(base, run.source, catalogue, [f"{path}={inline(value)}"]), catalogue)
        except UserError as error:
            raise PlanError(f"sweep.parameters.{path}: with {value!r}: {error}") from None
    return plan


def _ends(section: SweepSection) -> list[tuple[str, Any]]:
    ends = [
        (path, value)
        for path, found in section.parameters.items()
        for value in (found.choices or (found.low, found.high))
    ]
    if section.budget is None:
        return ends
    return [*ends, *((section.budget.parameter, rung) for rung in section.budget.rungs)]
