"""A sweep from its folder to its report. Every part answers from disk what was done before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stillhouse.core.atomic import write_atomically
from stillhouse.core.config.runfile import load
from stillhouse.core.evaluate.context import Progress
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.goals import Goals, known_of
from stillhouse.core.run.ledger import Entry
from stillhouse.core.run.reporting import write_reports
from stillhouse.core.run.status import STATUS_FILE
from stillhouse.core.run.watching import Watching
from stillhouse.core.sweep.directory import SweepDirectory
from stillhouse.core.sweep.finishing import Finished, finish
from stillhouse.core.sweep.records import Records
from stillhouse.core.sweep.running import run_trials
from stillhouse.core.sweep.space import goals_of
from stillhouse.core.sweep.telling import summarise
from stillhouse.core.sweep.trial import Trials


@dataclass(frozen=True)
class Swept:
    """A finished sweep: its ledger's lines, its finished trials, the best first."""

    entries: Sequence[Entry]
    finished: Sequence[Finished]
    notes: Sequence[str]
    goals: Goals

    @property
    def lines(self) -> list[str]:
        """What the terminal says at the end."""
        found = [
            f"trial {one.entry.key}  "
            + ", ".join(f"{k} {v}" for k, v in shown(one.entry, self.goals).items())
            for one in self.finished
        ]
        return [*found, *(f"note: {note}" for note in self.notes)]


def shown(entry: Entry, goals: Goals) -> dict[str, str]:
    """A trial's parameters, objectives and metrics in few characters."""
    short = {path.rpartition(".")[2]: value for path, value in entry.configuration.items()}
    plain = {k: f"{v:.4g}" if isinstance(v, float) else str(v) for k, v in short.items()}
    known = known_of(entry)
    names = dict.fromkeys([*(o.name for o in goals.objectives), *entry.values])
    return {**plain, **{name: f"{known[name]:.4g}" for name in names if name in known}}


def sweep(directory: SweepDirectory, catalogue: Catalogue, progress: Progress) -> Swept:
    """Run or go on with a sweep in a directory held by the caller.

    Raises:
        UserError: Ray is not installed. ExecutionError: no cluster, or one too small for a trial.
        SweepError: the machine's fault in a trial. LimitError: no trial meets the limits.
    """
    name = load(directory.run_file, catalogue).name
    trials = Trials(directory, catalogue)
    status = directory.folder / STATUS_FILE
    with Watching(status, progress, name=name, kind="sweep") as watching:
        watching.stage("trials")
        directory.settled()
        if directory.summary.exists():
            records = Records(directory, trials.section, trials.base)
        else:
            records = run_trials(directory, trials, catalogue, watching)
        with records:
            entries = records.entries
        watching.stage("finalists")
        finished, notes = finish(directory, trials, entries, catalogue, watching)
        summary = summarise(directory, trials, entries, finished, notes, name)
        write_atomically(directory.summary, summary.to_json())
        write_reports(catalogue, summary, directory.folder)
    return Swept(entries, finished, notes, goals_of(trials.section))
