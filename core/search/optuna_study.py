"""A study written as an Optuna study, which optuna-dashboard opens."""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stillhouse.core.errors import UserError
from stillhouse.core.search.asking import AskTell
from stillhouse.core.search.optuna_genes import parameters
from stillhouse.core.search.sampler import Objective
from stillhouse.core.search.study import Trial
from stillhouse.core.space import Space

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.study import StudyDirection
    from optuna.trial import FrozenTrial

_JOURNAL: Final = "journal:"


@dataclass(frozen=True)
class Record:
    """One candidate as Optuna shall show it.

    `values` in the objectives' order, empty when the evaluation failed. `steps` are what a ladder
    of fidelities reported; `stopped` if it did not reach the last rung. `constraints` by name, 0
    or less where met. `attributes` are JSON-able.
    """

    configuration: Mapping[str, Any]
    values: Sequence[float]
    constraints: Mapping[str, float]
    attributes: Mapping[str, Any]
    seconds: float = 0.0
    steps: Mapping[int, float] = field(default_factory=dict)
    stopped: bool = False


def export_study(study: AskTell, storage: str | BaseStorage, name: str) -> int:
    """Write an ask-tell study's trials under a new name; returns how many.

    `storage` is a database (`sqlite:///study.db`), a journal file (`journal:study.log`) or an
    Optuna storage. Raises UserError when it cannot be used or has a study of that name.
    """
    problem = study.problem
    records = [_record(study, trial) for trial in study.trials]
    return write_study(storage, name, problem.space, problem.objectives, records)


def write_study(
    storage: str | BaseStorage,
    name: str,
    space: Space,
    objectives: Sequence[Objective],
    records: Sequence[Record],
    ended: dt.datetime | None = None,
) -> int:
    """Write candidates as the trials of a new study, all or none; returns how many.

    Trials last as long as their evaluations and lie one after another up to `ended` (now).
    """
    import optuna

    with quiet():
        opened = _opened(storage)
        try:
            study = optuna.create_study(
                storage=opened,
                study_name=name,
                directions=directions(objectives),
            )
        except optuna.exceptions.DuplicatedStudyError:
            raise UserError(
                f"{storage}: has a study called '{name}' already; export under another name with "
                "--name (name= in Python), or delete it first: optuna delete-study"
            ) from None
        try:
            study.set_metric_names([objective.name for objective in objectives])
            clock = ended or dt.datetime.now()
            clock -= dt.timedelta(seconds=sum(record.seconds for record in records))
            for record in records:
                trial = _trial(record, space)
                trial.datetime_start = clock
                trial.datetime_complete = clock = clock + dt.timedelta(seconds=record.seconds)
                study.add_trial(trial)
        except BaseException:
            optuna.delete_study(study_name=name, storage=opened)
            raise
    return len(records)


def _record(study: AskTell, trial: Trial) -> Record:
    costs = {name: np.array([cost]) for name, cost in trial.costs.items()}
    known = {str(m): float(m.signed_excess(costs[m.cost])[0]) for m in study.limits}
    measured = dict(zip(study.problem.outcomes, trial.excess, strict=True))
    return Record(
        configuration=study.problem.space.decode(trial.codes),
        values=() if trial.failed else trial.values,
        constraints=known if trial.failed else {**known, **measured},
        attributes={"key": trial.key, **trial.costs},
    )


def _trial(record: Record, space: Space) -> FrozenTrial:
    from optuna.trial import TrialState, create_trial

    genes = list(parameters(space, record.configuration))
    state = TrialState.COMPLETE if record.values else TrialState.FAIL
    stopped = record.stopped and bool(record.values)
    return create_trial(
        state=TrialState.PRUNED if stopped else state,
        values=list(record.values) if record.values and not stopped else None,
        params={label: value for label, value, _ in genes},
        distributions={label: distribution for label, _, distribution in genes},
        user_attrs=dict(record.attributes),
        intermediate_values=dict(record.steps),
        constraints=dict(record.constraints),
    )


def _opened(storage: str | BaseStorage) -> BaseStorage:
    import optuna
    from optuna.storages.journal import JournalFileBackend

    if not isinstance(storage, str):
        return storage
    try:
        if storage.startswith(_JOURNAL):
            backend = JournalFileBackend(storage.removeprefix(_JOURNAL))
            return optuna.storages.JournalStorage(backend)
        if "://" not in storage:
            raise ValueError("no database URL")
        return optuna.storages.get_storage(storage)
    except Exception as error:
        fact = str(error).splitlines()[0] if str(error) else repr(error)
        raise UserError(
            f"{storage}: cannot be used as an Optuna storage ({fact}); expected a database such "
            "as sqlite:///study.db, or a journal file such as journal:study.log"
        ) from error


def directions(objectives: Sequence[Objective]) -> list[StudyDirection]:
    """Optuna's word for each objective's direction."""
    from optuna.study import StudyDirection

    up, down = StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE
    return [up if objective.maximize else down for objective in objectives]


@contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's announcements and its notes on experimental functions."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
