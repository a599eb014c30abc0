"""One trial of a sweep: a run of its own with the trial's values, and what came out of it."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final, final

from stillhouse.core.atomic import write_atomically
from stillhouse.core.config.runfile import RunFile, load, parse
from stillhouse.core.config.settings import ExecuteSection
from stillhouse.core.config.sweep import SECONDS, SweepSection
from stillhouse.core.config.written import inline
from stillhouse.core.errors import LimitError, RunDirectoryError, StillhouseError
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.directory import RUN_FILE, RunDirectory
from stillhouse.core.sweep.directory import SweepDirectory
from stillhouse.core.sweep.outcomes import OUTCOME, Outcome, Point, is_fault
from stillhouse.core.sweep.space import method_of

_PATIENCE_S: Final = 60.0
"""For a killed worker that still holds the trial's directory."""

Clock = Callable[[], float]


@final
class Trials:
    """Runs the trials of a sweep in this process, each once: what is on disk is not run again."""

    def __init__(
        self, directory: SweepDirectory, catalogue: Catalogue, clock: Clock = time.monotonic
    ) -> None:
        """Raises as `load` does for the sweep's run file."""
        self.directory, self.catalogue, self._clock = directory, catalogue, clock
        whole = load(directory.run_file, catalogue)
        if whole.sweep is None:
            raise RunDirectoryError(f"{directory.run_file}: expected a section sweep:, found none")
        self.section: SweepSection = whole.sweep
        self.base = replace(whole, sweep=None).to_yaml()
        """The run file that all trials begin with."""

    def place(self, point: Point) -> Path:
        """The run directory of a trial on a rung."""
        step = point.step if self.section.budget is not None else None
        return self.directory.trial(point.number, step)

    def run_file(self, point: Point) -> RunFile:
        """The run file of a trial: a run in this process that shares the sweep's artefacts."""
        sets = [f"{path}={inline(value)}" for path, value in self._settings(point).items()]
        source = str(self.directory.run_file)
        run = parse(self.base, source, self.catalogue, sets)
        store = str(self.directory.artefacts.absolute())
        threads = run.train.threads or max(1, int(self.section.cpus))
        return replace(
            run,
            name=f"{run.name}-{self.place(point).name}"[:100],
            execute=ExecuteSection(kind="inline", store=store),
            train=replace(run.train, threads=threads),
        )

    def outcome(self, point: Point) -> Outcome:
        """What comes out of a trial; from its folder when it has been there before.

        A trial's own failure (limits that cannot be met, a loss that diverged) is an outcome with
        an error. Raises what is the machine's: a full disk, a damaged file, data that changed.
        """
        place = self.place(point)
        try:
            run = self.run_file(point)
            resolved = run.to_yaml()
            if (kept := _kept(place, resolved)) is not None:
                return kept
            found = self._explored(point, run, resolved, place)
        except StillhouseError as error:
            if is_fault(error):
                raise
            place.mkdir(parents=True, exist_ok=True)
            facts = (point.number, point.step, point.values, point.start)
            found = Outcome(*facts, error=f"{type(error).__name__}: {error}")
        write_atomically(place / OUTCOME, json.dumps(asdict(found), allow_nan=False))
        return found

    def _settings(self, point: Point) -> dict[str, Any]:
        """Every key that the trial sets: its values, the rung's budget, and where it starts."""
        budget, settings = self.section.budget, dict(point.values)
        if budget is None:
            return settings
        before = budget.rungs[point.step - 1] if point.step and self._continues else 0
        settings[budget.parameter] = budget.rungs[point.step] - before
        if point.start:
            settings[f"{budget.parameter.rpartition('.')[0]}.start"] = point.start
        return settings

    @property
    def _continues(self) -> bool:
        return self.section.scheduler.name == "pbt"

    def _explored(self, point: Point, run: RunFile, resolved: str, place: Path) -> Outcome:
        from stillhouse.core.evaluate import Silent
        from stillhouse.core.run.engine import Stopwatch, explore
        from stillhouse.core.run.status import STATUS_FILE
        from stillhouse.core.run.watching import Watching

        plan = make_plan(run, self.catalogue)
        directory = _directory(place, resolved, self.catalogue)
        with (
            _held(directory, self._clock),
            Watching(place / STATUS_FILE, Silent(), name=run.name) as watching,
        ):
            watch = Stopwatch(place / "stages.json", self._clock, watching.stage)
            done = explore(plan, self.catalogue, directory, watching, watch)
            seconds = sum(watch.seconds.values())
            return self._told(point, done, seconds)

    def _told(self, point: Point, done: Any, seconds: float) -> Outcome:
        from stillhouse.core.run.goals import known_of, ranked

        order = ranked(done.entries, done.goals, [limit.cost for limit in done.costing.limits])
        if not order or done.goals.violation(known_of(order[0])) > 0:
            failed = next((entry.error for entry in done.entries if entry.error), "")
            raise LimitError(
                f"none of {len(done.entries)} evaluated candidates meets the run's limits on "
                f"metrics{failed and f'; the first that failed: {failed}'}"
            )
        best, artefact = order[0], ""
        if self._continues and self.section.budget is not None:
            method = method_of(self.section.budget.parameter, done.opened.plan.run.recipe)
            folder = done.evaluator.prepared(method, best.configuration).folder
            artefact = str(folder.absolute()) if folder is not None else ""
        costs = {name: cost for name, cost in best.costs.items() if math.isfinite(cost)}
        return Outcome(
            point.number, point.step, dict(point.values), point.start, costs,
            {**best.values, SECONDS: seconds}, artefact=artefact,
        )  # fmt: skip


def _kept(place: Path, resolved: str) -> Outcome | None:
    try:
        found = Outcome.read(place / OUTCOME)
        same = not (place / RUN_FILE).exists() or (place / RUN_FILE).read_text("utf-8") == resolved
    except FileNotFoundError:
        return None
    return found if same else None


def _directory(place: Path, resolved: str, catalogue: Catalogue) -> RunDirectory:
    """The trial's run directory, begun anew where it holds a run of other settings."""
    if (place / RUN_FILE).is_file():
        if (place / RUN_FILE).read_text("utf-8") == resolved:
            return RunDirectory.existing(place)
        shutil.rmtree(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    return RunDirectory.create(place, resolved, catalogue.file)


@contextmanager
def _held(directory: RunDirectory, clock: Clock) -> Iterator[None]:
    """The directory to oneself, once a worker that died with it has let go."""
    with ExitStack() as stack:
        until = clock() + _PATIENCE_S
        while True:
            try:
                stack.enter_context(directory)
                break
            except RunDirectoryError:
                if clock() > until:
                    raise
                time.sleep(0.2)
        yield
