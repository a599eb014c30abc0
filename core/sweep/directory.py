"""A sweep's folder: its run file, its trials, the artefacts they share, its ledger and report."""

from __future__ import annotations

from pathlib import Path
from typing import Self, final

from stillhouse.core.errors import RunDirectoryError
from stillhouse.core.plain_file import link_out
from stillhouse.core.plugin.beside import PluginFile
from stillhouse.core.run.directory import MARK, RUN_FILE, SWEEP_MARK, RunDirectory


@final
class SweepDirectory:
    """Paths of one sweep. Hold it with `with`: a second process on the same folder is refused."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run_file = folder / RUN_FILE
        self.trials = folder / "trials"
        self.artefacts = folder / "artefacts"
        self.ledger = folder / "ledger.jsonl"
        self.study = folder / "study.jsonl"
        self.best = folder / "best"
        self.tune = folder / "tune"
        self.summary = folder / "sweep.json"
        self._whole = RunDirectory(folder)

    @staticmethod
    def create(
        folder: Path, resolved: str, code: PluginFile | None = None, *, overwrite: bool = False
    ) -> SweepDirectory:
        """A fresh folder with the resolved run file in it; raises as `RunDirectory.create`."""
        RunDirectory.create(folder, resolved, code, overwrite=overwrite)
        (folder / SWEEP_MARK).touch()
        return SweepDirectory(folder)

    @staticmethod
    def existing(folder: Path) -> SweepDirectory:
        """The folder of a sweep started earlier; RunDirectoryError if it is none.

        As of a run, no link in it may lead out of it.
        """
        if not all((folder / name).is_file() for name in (MARK, SWEEP_MARK, RUN_FILE)):
            raise RunDirectoryError(
                f"{folder}: expected a sweep's folder (with {SWEEP_MARK} and {RUN_FILE}), found "
                "none; start a sweep with: stillhouse sweep RUN_FILE --out DIR"
            )
        if link := link_out(folder):
            raise RunDirectoryError(
                f"{link}: expected the sweep's own file or folder, got a link that leads out of "
                f"{folder}; put a copy of what it leads to in its place"
            )
        return SweepDirectory(folder)

    def trial(self, number: int, step: int | None) -> Path:
        """The run directory of a trial, or with `step` (from 0) of one of its rungs."""
        rung = "" if step is None else f"-{step + 1}"
        return self.trials / f"{number:04d}{rung}"

    def settled(self) -> None:
        """The sweep is known to be possible: one that it replaced may go."""
        self._whole.settled()

    def __enter__(self) -> Self:
        self._whole.__enter__()
        return self

    def __exit__(self, *failure: object) -> None:
        self._whole.__exit__(*failure)  # type: ignore[arg-type]
