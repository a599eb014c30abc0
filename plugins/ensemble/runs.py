"""Assistants that are the found models of finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Context, Rebuild, Student, Task
from stillhouse.core.evaluate.views import Channels
from stillhouse.core.run.loading import described, load
from stillhouse.plugins.ensemble.assistant import Assistant, assistant


def loaded_runs(params: Any, context: Context) -> list[Assistant]:
    """The found models of finished runs; answers are put into the task's order of classes.

    Raises:
        UserError: a model has other inputs, classes, or answers of another kind, or learnt from
            other data where `other_data` does not allow it.
        RunDirectoryError: a run is not finished.
    """
    return [_loaded(Path(folder), params, context) for folder in params.runs]


def run_fits(
    folder: Path, params: Any, context: Context
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Channels that a run's model sees, and the places of the task's classes in its answers.

    Raises as `loaded_runs` does.
    """
    record, task = described(folder), context.task
    channels, shape = tuple(record.get("channels", ())), tuple(record.get("input_shape", ()))
    wanted = _seen(channels, task, folder).input_shape
    if shape != wanted:
        raise UserError(
            f"ensemble.runs: {folder}: expected a model of inputs {wanted}, got {shape}; choose a "
            "run on the same inputs"
        )
    if not params.other_data:
        _refuse_other_data(record.get("data", ""), task, folder)
    _refuse_other_inputs(record.get("inputs", {}).get("preparation", ""), task, folder)
    _refuse_other_answers(bool(record.get("outputs", {}).get("several")), task, folder)
    return channels, _order(tuple(record.get("labels", ())), task.labels, folder)


def _seen(channels: Channels, task: Task, folder: Path) -> Task:
    try:
        return task.viewed(channels)
    except UserError as error:
        raise UserError(f"ensemble.runs: {folder}: {error}") from None


def _refuse_other_data(came: str, task: Task, folder: Path) -> None:
    """A model may have trained on what weights are tuned on, or on what is tested at the end."""
    if came == task.viewed(()).data.sha256:
        return
    what = "one of other data" if came else "one that does not say of which"
    raise UserError(
        f"ensemble.runs: {folder}: expected a model of the same data, divided the same way, got "
        f"{what}; where none of this run's tuning and test samples were among its training "
        "samples, write other_data: true"
    )


def _refuse_other_inputs(came: str, task: Task, folder: Path) -> None:
    """Inputs of one shape can be made of the samples in several ways, if both say how."""
    if came and task.preparation and came != task.preparation:
        raise UserError(
            f"ensemble.runs: {folder}: expected a model of inputs made so: {task.preparation}; got "
            f"one of inputs made so: {came}; choose a run on the same inputs"
        )


def _refuse_other_answers(came: bool, task: Task, folder: Path) -> None:
    ways = ("one class a sample (softmax)", "any number of labels a sample (sigmoids)")
    if came != task.several:
        raise UserError(
            f"ensemble.runs: {folder}: expected a model that answers with {ways[task.several]}, as "
            f"the task has it, got one that answers with {ways[came]}; choose a run on the same "
            "kind of task"
        )


def _loaded(folder: Path, params: Any, context: Context) -> Assistant:
    channels, order = run_fits(folder, params, context)
    record = described(folder)
    student = Student(
        record["family"],
        record["structure"],
        load(folder, context.catalogue),
        rebuilds=tuple(Rebuild(**change) for change in record["rebuilds"]),
    )
    name = run_name(folder)
    return assistant("given", student, context, name=name, order=order, channels=channels)


def run_name(folder: Path) -> str:
    """What a run is called among the models: as its folder."""
    return folder.parent.name if folder.name == "best" else folder.name


def _order(came: tuple[str, ...], wanted: tuple[str, ...], folder: Path) -> tuple[int, ...]:
    """Places of the task's classes in the model's answers; () where they are the same."""
    if came == wanted:
        return ()
    if sorted(came) != sorted(wanted):
        raise UserError(
            f"ensemble.runs: {folder}: expected a model of the classes {', '.join(wanted)}, got "
            f"{', '.join(came)}; choose a run on the same classes"
        )
    return tuple(came.index(name) for name in wanted)
