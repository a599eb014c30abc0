"""The one artefact of an ensemble: networks' weights, and everybody's predictions by split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.evaluate import Artefact, Context, State, Teacher
from stillhouse.core.evaluate.data import SplitName
from stillhouse.core.evaluate.predicting import predict
from stillhouse.core.evaluate.prediction_folder import read, write
from stillhouse.core.evaluate.predictions import Origin, Predictions
from stillhouse.plugins.ensemble.assistant import (
    Assistant,
    refuse_untimed,
    teacher_itself,
    timed,
    timed_teacher,
)
from stillhouse.plugins.ensemble.assistants import assistants
from stillhouse.plugins.ensemble.given import (
    predicted,
    predicted_names,
    predicted_on,
)
from stillhouse.plugins.ensemble.member import TEACHER, Member, as_teacher, members, teachers
from stillhouse.plugins.ensemble.runs import loaded_runs

CACHED: Final[tuple[SplitName, ...]] = ("tuning", "train")


def prepared(state: State, params: Any, context: Context) -> Artefact:
    """Assistants trained or taken, the teacher among them, and their predictions.

    Weights of member k lie under `k/`, predictions in the folders `tuning` and, where the student
    can learn from them, `train`. Nobody predicts the test split here.

    Raises:
        UserError: a given model does not fit the task, or networks cannot be timed.
        DataError: predictions do not fit the task's data.
    """
    if params.limit_on == "latency_ms":
        refuse_untimed(context)
    made = [*assistants(state, params, context), *loaded_runs(params, context)]
    files = predicted_names(params.predictions) if params.predictions else []
    teacher = teacher_itself(state.teachers[TEACHER], context)
    if params.limit_on == "latency_ms":
        made = [timed(one, context) for one in made]
        teacher = timed_teacher(teacher, state.teachers[TEACHER], context)
    everyone = [
        teacher,
        *(one.member for one in made),
        *(Member(name, "file", training_macs=0) for name in files),
    ]
    running = {TEACHER: state.teachers[TEACHER]}
    running |= {one.member.name: as_teacher(one.module, one.member, context) for one in made}
    seeds = {m.name: m.seed for m in everyone if m.seed is not None}
    splits = [name for name in CACHED if name == "tuning" or not context.task.augments]
    return Artefact(
        _weights(made),
        {"members": [member.record() for member in everyone]},
        parts={
            name: _writer(partial(together, running, seeds, params, name, context))
            for name in splits
        },
    )


def predictions(artefact: Artefact, split: SplitName) -> Predictions:
    """What everybody said of a split, mapped from the disk."""
    assert artefact.folder is not None  # noqa: S101 - artefacts are read from where they lie
    return read(artefact.folder / split)


def chosen(found: Predictions, places: Sequence[int]) -> NDArray[np.float32]:
    """Some models' probabilities; not copied where the models are next to each other."""
    first, last = min(places), max(places) + 1
    if list(places) == list(range(first, last)):
        return found.probabilities[first:last]
    return found.probabilities[list(places)]


def has(artefact: Artefact, split: SplitName) -> bool:
    return artefact.folder is not None and (artefact.folder / split).is_dir()


def tested(state: State, params: Any, artefact: Artefact, context: Context) -> Predictions | None:
    """Everybody's predictions of the test split: made once, at the end, and kept.

    None where models that are only files have none of the test split.
    """
    if not has(artefact, "test"):
        if params.predictions is not None and not predicted_on(params.predictions, "test"):
            return None
        running = teachers(artefact, state.teachers[TEACHER], context)
        seeds = {m.name: m.seed for m in members(artefact) if m.seed is not None}
        found = together(running, seeds, params, "test", context)
        assert artefact.folder is not None  # noqa: S101 - see `predictions`
        write(found, artefact.folder / "test")
    return predictions(artefact, "test")


def together(
    running: Mapping[str, Teacher],
    seeds: Mapping[str, int],
    params: Any,
    split: SplitName,
    context: Context,
) -> Predictions:
    """Predictions of networks, then those of files. Raises `DataError` as `predicted` does."""
    task, device = context.task, context.device
    own = predict(running, split, task, seeds=seeds, device=device, progress=context.progress)
    if params.predictions is None:
        return own
    return _joined(own, predicted(params.predictions, split, context))


def _joined(one: Predictions, other: Predictions) -> Predictions:
    first, second = one.origin, other.origin
    origin = Origin(
        (*first.seeds, *second.seeds),
        (*first.sources, *second.sources),
        first.data,
        first.code,
        first.training_views if first.training_views == second.training_views else None,
    )
    both = np.concatenate([one.probabilities, other.probabilities])
    return Predictions(
        (*one.models, *other.models), one.classes, one.split, both, one.targets, origin
    )


def _writer(found: Callable[[], Predictions]) -> Callable[[Path], object]:
    """Predicts only when it is stored: the splits are in memory one after another."""

    def write_to(folder: Path) -> object:
        return write(found(), folder)

    return write_to


def _weights(made: Sequence[Assistant]) -> dict[str, Any]:
    """By place among all members; the teacher is the first and is kept elsewhere."""
    return {
        f"{place}/{name}": tensor
        for place, one in enumerate(made, 1)
        for name, tensor in one.module.state_dict().items()
    }
