"""A sweep from its run file to its ledger: Ray Tune runs the trials, the ledger keeps them."""

from __future__ import annotations

import shutil
from typing import Any

from stillhouse.core.config.sweep import SweepSection
from stillhouse.core.errors import StillhouseError
from stillhouse.core.evaluate.context import Progress
from stillhouse.core.plugin import Catalogue
from stillhouse.core.sweep.cluster import cluster, environment, quiet
from stillhouse.core.sweep.directory import SweepDirectory
from stillhouse.core.sweep.records import Records
from stillhouse.core.sweep.space import goals_of, space_of
from stillhouse.core.sweep.trial import Trials


class SweepError(StillhouseError):
    """The machine or the setup ended a trial, and so the sweep; says why. Nothing is lost."""


def run_trials(
    directory: SweepDirectory, trials: Trials, catalogue: Catalogue, progress: Progress
) -> Records:
    """Run what is left of a sweep's trials, in a directory held by the caller.

    Raises:
        UserError: Ray is not installed. ExecutionError: no cluster, or one too small for a trial.
        SweepError: the machine's fault in a trial; resuming goes on after it.
    """
    section = trials.section
    records = Records(directory, section, trials.base)
    try:
        if section.scheduler.name == "none" and len(records.entries) >= section.trials:
            return records
        with cluster(section), environment():
            shutil.rmtree(directory.tune, ignore_errors=True)
            try:
                _fit(directory, section, records, catalogue, progress)
            finally:
                shutil.rmtree(directory.tune, ignore_errors=True)
    except BaseException:
        records.close()
        raise
    return records


def _fit(
    directory: SweepDirectory,
    section: SweepSection,
    records: Records,
    catalogue: Catalogue,
    progress: Progress,
) -> None:
    import random

    from ray import tune

    from stillhouse.core.sweep.recording import Recording
    from stillhouse.core.sweep.schedulers import scheduler_of
    from stillhouse.core.sweep.trainable import TrialRun

    code = catalogue.file.name if catalogue.file else ""
    spec = {"folder": str(directory.folder.absolute()), "code": code}
    searcher, space = _proposals(directory, section, catalogue)
    recording = Recording(records, progress, section, each=searcher is None)
    resources: dict[str, float] = {"cpu": section.cpus, "gpu": section.gpus}
    if section.memory_mb:
        resources["memory"] = section.memory_mb * 1e6
    tuner = tune.Tuner(
        tune.with_resources(TrialRun, resources),
        param_space={"sweep": spec, **space},
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler_of(section),
            num_samples=section.trials if searcher else 1,
            # A population is whole from the start; a cluster started here has room for so many.
            max_concurrent_trials=section.concurrent if searcher else None,
            reuse_actors=True,
            trial_name_creator=_name,
            trial_dirname_creator=_name,
        ),
        run_config=tune.RunConfig(
            name="sweep",
            storage_path=str(directory.tune.absolute()),
            failure_config=tune.FailureConfig(max_failures=section.retries),
            checkpoint_config=tune.CheckpointConfig(
                checkpoint_frequency=0 if searcher else 1, checkpoint_at_end=False
            ),
            callbacks=[recording],
            verbose=0,
        ),
    )
    # A population seeds Python's own generator.
    state = random.getstate()
    try:
        with recording, quiet():
            tuner.fit()
    except Exception:
        recording.raise_fault()
        raise
    finally:
        random.setstate(state)
        if hasattr(searcher, "close"):
            searcher.close()


def _proposals(
    directory: SweepDirectory, section: SweepSection, catalogue: Catalogue
) -> tuple[Any, dict[str, Any]]:
    """A searcher, or for population-based training, which takes none, the first points."""
    goals, name = goals_of(section), section.sampler.name
    asked: dict[str, Any] = {
        "maximize": section.maximize,
        "minimize": section.minimize,
        "sampler": name,
        "params": dict(section.sampler.fixed),
        "seed": section.seed,
        "budget": section.trials,
        "catalogue": catalogue,
    }
    if section.scheduler.name != "pbt":
        from stillhouse.core.sweep.searcher import StudySearcher

        limits = [str(limit) for limit in goals.outcomes]
        again = "untold" if section.scheduler.name == "none" else "all"
        searcher = StudySearcher(
            space_of(section.parameters), **asked, limits=limits,
            measures=[limit.cost for limit in goals.outcomes], ledger=directory.study,
            number="number", when="first", again=again,
        )  # fmt: skip
        return searcher, {}
    from ray import tune

    from stillhouse.core.search import open_study

    space = space_of(section.parameters)
    codes = open_study(space, **asked).ask(section.trials)
    points = [{**space.decode(row), "number": number} for number, row in enumerate(codes)]
    return None, {"point": tune.grid_search(points)}


def _name(trial: Any) -> str:
    config = trial.config
    return f"{config.get('point', config)['number']:04d}"
