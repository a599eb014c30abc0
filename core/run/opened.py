"""A plan brought to life: task, model family, target, methods, store, context."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch

from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Context, Method, ModelFamily, Progress, Task
from stillhouse.core.evaluate.artefacts import ArtefactStore, fingerprint
from stillhouse.core.evaluate.evaluator import BoundStep
from stillhouse.core.evaluate.state import Structure
from stillhouse.core.measure import Target
from stillhouse.core.plan import Plan
from stillhouse.core.plugin import Catalogue, Record, declared
from stillhouse.core.run.directory import RunDirectory


@dataclass(frozen=True, eq=False)
class Opened:
    """What every stage of a run works with. `full` is the teacher's structure."""

    plan: Plan
    catalogue: Catalogue
    directory: RunDirectory
    task: Task
    family: ModelFamily
    full: Structure
    target: Target
    steps: tuple[BoundStep, ...]
    context: Context
    store: ArtefactStore

    @property
    def origin(self) -> str:
        """Identifies the initial state: data, teacher with its training, seed, precision."""
        run = self.plan.run
        return fingerprint(
            self.task.data.sha256, self._task_settings(), self.family.name, self.full,
            asdict(run.teacher.training), run.search.seed, run.train.device, run.train.precision,
        )  # fmt: skip

    def _task_settings(self) -> dict[str, Any]:
        """The task's parameters but paths: what lies there is in the data's hash."""
        use = self.plan.run.task
        paths = {p.name for p in declared(self.catalogue.task(use.name).params) if p.kind == "path"}
        return {name: value for name, value in use.fixed.items() if name not in paths}


def open_run(
    plan: Plan, catalogue: Catalogue, directory: RunDirectory, progress: Progress
) -> Opened:
    """Import the plan's code and load its data.

    Raises:
        DataError: the task's data cannot be used; UserError: a setting does not fit this machine.
    """
    run = plan.run
    _check_device(run.train.device)
    torch.set_num_threads(run.train.threads or torch.get_num_threads())
    task = cast(Task, built(catalogue, catalogue.task(run.task.name), run.task.fixed))
    model = catalogue.model(run.teacher.model.name)
    family = cast("type[ModelFamily]", catalogue.resolve(model))()
    params = model.params(**run.teacher.model.fixed)
    full = family.structure(params, task.input_shape, task.outputs)
    runtime = run.target.runtime
    target = cast(Target, built(catalogue, catalogue.target(runtime.name), runtime.fixed))
    steps = tuple(
        BoundStep(
            step,
            cast("type[Method]", catalogue.resolve(step.info))(),
            str(catalogue.provenance("method", step.name)),
        )
        for step in plan.steps
    )
    context = Context(
        task=task,
        family=family,
        full=full,
        root_seed=run.search.seed,
        device=run.train.device,
        precision=run.train.precision,
        checkpoints=directory.checkpoints,
        progress=progress,
    )
    store = ArtefactStore(directory.artefacts)
    return Opened(
        plan, catalogue, directory, task, family, full, target, steps, context, store
    )  # fmt: skip


def _check_device(name: str) -> None:
    """Raise `UserError` for a device that torch does not know or this machine does not have."""
    try:
        torch.zeros(1, device=torch.device(name))
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"train.device: '{name}' cannot be used here ({str(error).splitlines()[0]}); "
            "use cpu, or a device that torch finds on this machine"
        ) from None


def built(catalogue: Catalogue, record: Record, fixed: Mapping[str, Any]) -> object:
    """What a record's code makes of its parameters."""
    build = cast("Callable[[object], object]", catalogue.resolve(record))
    return build(record.params(**fixed))
