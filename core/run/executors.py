"""Who evaluates a run's candidates, as its run file says."""

from __future__ import annotations

from collections.abc import Mapping

from stillhouse.core.evaluate.evaluator import Evaluator
from stillhouse.core.execute import Executor
from stillhouse.core.execute.inline import Inline
from stillhouse.core.plan import Plan
from stillhouse.core.run.bench import bench_of, work_of
from stillhouse.core.run.opened import Opened


def refuse_missing(plan: Plan) -> None:
    """Raise UserError where Ray is wanted and not installed: before anything is trained."""
    if plan.run.execute.kind == "ray":
        from stillhouse.core.execute.ray_cluster import imported

        imported()


def executor_of(opened: Opened, evaluator: Evaluator, code: Mapping[str, str]) -> Executor:
    """The executor of a run whose methods are prepared; to be used with `with`.

    `code` as in `work_of`.

    Raises:
        UserError: Ray is not installed. ExecutionError: there is no cluster, or no worker starts.
    """
    section = opened.plan.run.execute
    if section.kind == "processes":
        from stillhouse.core.execute.processes import Processes

        return Processes(
            work_of(opened, code), section.workers, timeout_s=section.timeout_s,
            memory_mb=section.memory_mb, retries=section.retries,
            log=opened.directory.folder / "workers.log",
        )  # fmt: skip
    if section.kind == "ray":
        from stillhouse.core.execute.ray_workers import RayWorkers

        return RayWorkers(
            work_of(opened, code), section.workers, address=section.address, cpus=section.cpus,
            gpus=section.gpus, placement=section.placement, timeout_s=section.timeout_s,
            memory_mb=section.memory_mb, retries=section.retries,
        )  # fmt: skip
    return Inline(bench_of(evaluator))
