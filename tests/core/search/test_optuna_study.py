"""A study read back with Optuna is the study that was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from stillhouse.core.errors import UserError
from stillhouse.core.search import AskTell, export_study, known_costs, open_study
from stillhouse.core.space import Choice, Integer, Real, Simplex, Space, Taps

SPACE = Space(
    [
        Integer("depth", 1, 2),
        Choice("mixer", ("attention", "convolution"), per="depth"),
        Integer("kernel", 3, 9, step=2, per="depth", when=("mixer", ("convolution",))),
        Integer("epochs", 1, 64, log=True),
        Real("rate", 1e-4, 1e-1, log=True),
        Simplex("weights", 2),
        Taps("hints", count=2, total=5),
    ]
)
DISTRIBUTIONS = {
    "depth": IntDistribution(1, 2),
    "mixer": CategoricalDistribution(("attention", "convolution")),
    "kernel": IntDistribution(3, 9, step=2),
    "epochs": IntDistribution(1, 64, log=True),
    "rate": FloatDistribution(1e-4, 1e-1, log=True),
    "weights": FloatDistribution(0.0, 1.0),
    "hints": IntDistribution(0, 4),
}


def plain(name: str) -> str:
    return name.partition("[")[0].partition(".")[0]


@pytest.fixture
def study() -> AskTell:
    """Twelve trials, the last one failed."""
    searched = open_study(
        SPACE,
        maximize=["accuracy"],
        minimize=["steps"],
        costs=known_costs(lambda columns: {"steps": columns["epochs"] * columns["depth"]}),
        limits=["steps <= 100", "accuracy >= 0.5"],
        sampler="random",
    )
    codes = searched.ask(12)
    accuracy = np.linspace(0.4, 0.8, 12)
    accuracy[-1] = np.nan
    searched.tell(codes, {"accuracy": accuracy})
    return searched


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["sqlite:///{}/study.db", "journal:{}/study.log"])
def test_every_field_comes_back(study: AskTell, tmp_path: Path, scheme: str) -> None:
    url = scheme.format(tmp_path)
    assert export_study(study, url, "mine") == 12
    found = loaded(url)
    assert [d.name for d in found.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert found.metric_names == ["accuracy", "steps"]
    for trial, ours in zip(found.trials, study.trials, strict=True):
        assert trial.number == ours.number
        assert trial.user_attrs == {"key": ours.key, **ours.costs}
        assert trial.distributions == {n: DISTRIBUTIONS[plain(n)] for n in trial.params}
        assert trial.constraints["steps <= 100"] == (ours.costs["steps"] - 100) / 100
    complete, failed = found.trials[:-1], found.trials[-1]
    assert {trial.state for trial in complete} == {TrialState.COMPLETE}
    assert [tuple(t.values) for t in complete] == [t.values for t in study.trials[:-1]]
    assert [t.constraints["accuracy >= 0.5"] for t in complete] == [
        t.excess[0] for t in study.trials[:-1]
    ]
    assert failed.state == TrialState.FAIL
    assert failed.values is None
    assert set(failed.constraints) == {"steps <= 100"}


def test_parameters_are_the_active_genes_as_people_write_them(
    study: AskTell, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    export_study(study, url, "mine")
    for trial, ours in zip(loaded(url).trials, study.trials, strict=True):
        configuration = SPACE.decode(ours.codes)
        expected = {}
        for name, value in configuration.items():
            if name in ("mixer", "kernel"):
                expected |= {f"{name}[{i}]": v for i, v in enumerate(value) if v is not None}
            elif name in ("weights", "hints"):
                expected |= {f"{name}.{i}": v for i, v in enumerate(value)}
            else:
                expected[name] = value
        assert trial.params == expected


@pytest.mark.slow
def test_optuna_finds_the_front_that_the_study_has(study: AskTell, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    export_study(study, url, "mine")
    assert [trial.number for trial in loaded(url).best_trials] == [t.number for t in study.front()]


@pytest.mark.slow
def test_a_name_that_is_taken_is_refused_and_its_study_left_alone(
    study: AskTell, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    export_study(study, url, "mine")
    with pytest.raises(UserError, match="has a study called 'mine' already; export under another"):
        export_study(study, url, "mine")
    assert len(loaded(url).trials) == 12
    assert export_study(study, url, "other") == 12


@pytest.mark.parametrize(
    "url", ["study.db", "nosuchdb://x", "sqlite:////nowhere/at/all/x.db", "journal:/nowhere/x.log"]
)
def test_a_storage_that_cannot_be_used_is_the_users_error(study: AskTell, url: str) -> None:
    with pytest.raises(UserError, match=r"cannot be used as an Optuna storage \(.+\); expected a"):
        export_study(study, url, "mine")


def test_a_study_that_cannot_be_written_whole_is_not_left_in_part(
    study: AskTell, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = optuna.storages.InMemoryStorage()
    add = storage.create_new_trial

    def full(*given: object, **named: object) -> int:
        if len(storage.get_all_trials(0)) == 5:
            raise OSError("disk full")
        return add(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(storage, "create_new_trial", full)
    with pytest.raises(OSError, match="disk full"):
        export_study(study, storage, "mine")
    assert storage.get_all_studies() == []


def loaded(url: str) -> optuna.Study:
    storage: object = url
    if url.startswith("journal:"):
        backend = optuna.storages.journal.JournalFileBackend(url.removeprefix("journal:"))
        storage = optuna.storages.JournalStorage(backend)
    return optuna.load_study(study_name="mine", storage=storage)  # type: ignore[arg-type]
