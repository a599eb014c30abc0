"""A plan brought to life: task, model family, target, methods, store, context."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch

from stillhouse.core.config.records import PluginUse
from stillhouse.core.config.teacher import CHANNELS
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Context, Method, ModelFamily, Progress, Task
from stillhouse.core.evaluate.artefacts import ArtefactStore, fingerprint
from stillhouse.core.evaluate.evaluator import BoundStep
from stillhouse.core.evaluate.state import Structure
from stillhouse.core.evaluate.views import Channels
from stillhouse.core.home import home
from stillhouse.core.measure import Target
from stillhouse.core.plan import Plan
from stillhouse.core.plugin import Catalogue, Params, Record, declared
from stillhouse.core.plugin.versions import code_digest
from stillhouse.core.run.directory import RunDirectory


@dataclass(frozen=True, eq=False)
class Opened:
    """What every stage of a run works with.

    `family` and `full` are the student's: its model family, and the full network's structure.
    `task` is as the student sees it, `teacher_task` the same as the teacher does.
    """

    plan: Plan
    catalogue: Catalogue
    directory: RunDirectory
    task: Task
    family: ModelFamily
    full: Structure
    teacher_family: ModelFamily
    teacher_full: Structure
    teacher_task: Task
    target: Target
    steps: tuple[BoundStep, ...]
    context: Context
    store: ArtefactStore

    @property
    def origin(self) -> str:
        """Identifies the initial state: data, teacher with its training, seed, precision, code."""
        run = self.plan.run
        training = asdict(run.teacher.training)
        del training[CHANNELS]
        view = self.teacher_task.channels
        return fingerprint(
            self.task.data.sha256, self._task_settings(), self.family.name, self.full,
            self.teacher_family.name, self.teacher_full, self.weights_source(),
            training, run.search.seed, run.train.device, run.train.precision,
            *([view] if view else []),
            *([self.catalogue.file.sha256] if self.catalogue.file else []),
        )  # fmt: skip

    def weights_source(self) -> str:
        """What identifies the weights that the teacher's parameters name; "" for fresh ones."""
        return self.teacher_family.weights_source(self.teacher_params())

    def teacher_params(self) -> Params:
        use = self.plan.run.teacher.model
        return self.catalogue.model(use.name).params(**use.fixed)

    def _task_settings(self) -> dict[str, Any]:
        """The task's parameters but paths: what lies there is in the data's hash."""
        use = self.plan.run.task
        params = declared(self.catalogue.task(use.name).params)
        paths = {p.name for p in params if p.kind in ("path", "paths")}
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
    whole = cast(Task, built(catalogue, catalogue.task(run.task.name), run.task.fixed))
    teacher_task = _viewed(whole, run.teacher.training.channels, "teacher")
    same = run.student_channels == run.teacher.training.channels
    task = teacher_task if same else _viewed(whole, run.student_channels, "student")
    teacher_family, teacher_full = _full_network(run.teacher.model, catalogue, teacher_task)
    family, full = _full_network(run.student, catalogue, task)
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
    batch = int(runtime.fixed.get("batch", 1))
    context = Context(
        task=task,
        family=family,
        full=full,
        root_seed=run.search.seed,
        device=run.train.device,
        precision=run.train.precision,
        checkpoints=directory.checkpoints,
        progress=progress,
        catalogue=catalogue,
        shared=home(),
        graph=lambda module: target.graph(module, task.example(batch)),
    )
    store = ArtefactStore(
        directory.artefacts,
        run.execute.store,
        scope=code_digest(plan, catalogue) if run.execute.store else "",
        progress=progress,
    )
    return Opened(
        plan, catalogue, directory, task, family, full, teacher_family, teacher_full,
        teacher_task, target, steps, context, store,
    )  # fmt: skip


def _viewed(task: Task, channels: Channels, whose: str) -> Task:
    try:
        return task.viewed(channels)
    except UserError as error:
        raise UserError(f"{whose}.{error}") from None


def _full_network(
    use: PluginUse, catalogue: Catalogue, task: Task
) -> tuple[ModelFamily, Structure]:
    model = catalogue.model(use.name)
    family = cast("type[ModelFamily]", catalogue.resolve(model))()
    return family, family.structure(model.params(**use.fixed), task.input_shape, task.outputs)


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
