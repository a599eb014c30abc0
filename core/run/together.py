"""Several processes that train the teacher and prepare the methods together.

Each runs the same stages in the same order, so that they meet in every optimiser step
(`core.distill.parallel`); the first, which owns the run, alone writes checkpoints and shows
progress. It searches by itself once everything is prepared.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import torch

from stillhouse.core.distill.parallel import Group
from stillhouse.core.errors import PluginError, TrainingError
from stillhouse.core.evaluate.evaluator import CandidateError, Evaluator
from stillhouse.core.run.opened import Opened
from stillhouse.core.run.teaching import initial_state, train_teacher

_PATIENCE: Final = timedelta(hours=12)
"""How long a process waits for the others, who may have to measure a device first."""
_GRACE_S: Final = 60.0
_MOMENT_S: Final = 3.0


def prepare_all(opened: Opened, evaluator: Evaluator) -> None:
    """Have everything prepared that does not depend on the candidate, before the search."""
    space = opened.plan.space
    if all(opened.plan.artefacts(b.step) == 1 for b in opened.steps if b.step.info.prepares):
        with suppress(CandidateError):
            evaluator.realise(space.decode(space.corners()[0]), 0.0)


@contextmanager
def together(opened: Opened) -> Iterator[Opened]:
    """The run with the processes that its run file asks for (`train: {processes: N}`).

    They share the CPU threads; on "cuda" each has a GPU of its own. They are gone afterwards,
    whatever happens.

    Raises:
        TrainingError: one of them ended before its time; says why.
    """
    count, threads = opened.plan.run.train.processes, torch.get_num_threads()
    if count == 1:
        yield opened
        return
    with tempfile.TemporaryDirectory() as place:
        meeting = Path(place) / "meeting"
        others = [_start(opened, rank, count, meeting, Path(place)) for rank in range(1, count)]
        try:
            _await(others, meeting)
            yield _joined(opened, 0, count, meeting)
            for process in others:
                process.wait(_GRACE_S)
        except (RuntimeError, PluginError) as error:
            if not any(_failed(process) for process in others):
                raise
            raise TrainingError(_why(error, Path(place), count)) from error
        finally:
            for process in others:
                process.terminate()
                process.wait()
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()
            torch.set_num_threads(threads)


def _await(others: Sequence[subprocess.Popen[bytes]], meeting: Path) -> None:
    """Until every other process is about to join; RuntimeError when one has ended instead."""
    while len([*meeting.parent.glob("*.ready")]) < len(others):
        if any(process.poll() is not None for process in others):
            raise RuntimeError("it did not start")
        time.sleep(0.1)


def _failed(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process ended with an error, now or in a moment."""
    with suppress(subprocess.TimeoutExpired):
        return process.wait(_MOMENT_S) != 0
    return False


def _start(
    opened: Opened, rank: int, count: int, meeting: Path, place: Path
) -> subprocess.Popen[bytes]:
    folder, code = opened.directory.folder.resolve(), opened.catalogue.file
    command = [sys.executable, "-m", __name__, str(folder)]
    named = str(folder / code.name) if code else ""
    with (place / f"{rank}.log").open("wb") as log:
        return subprocess.Popen(  # noqa: S603 - this very module
            [*command, str(rank), str(count), str(meeting), named],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _joined(opened: Opened, rank: int, count: int, meeting: Path) -> Opened:
    device = opened.context.device
    torch.distributed.init_process_group(
        "nccl" if device.startswith("cuda") else "gloo",
        init_method=f"file://{meeting}",
        rank=rank,
        world_size=count,
        timeout=_PATIENCE,
    )
    torch.set_num_threads(max(1, torch.get_num_threads() // count))
    own = f"cuda:{rank}" if device == "cuda" else device
    group = Group.joined()
    context = replace(opened.context, group=group, device=own)
    return replace(opened, context=context, store=opened.store.joined(group, own))


def _why(error: Exception, place: Path, count: int) -> str:
    last = [log.read_text("utf-8", "replace").strip()[-300:] for log in place.glob("*.log")]
    said = next((text.splitlines()[-1] for text in last if text), str(error).splitlines()[0])
    return (
        f"one of the {count} processes that train together ended before its time ({said}); resume "
        f"the run, or use train: {{processes: 1}}"
    )


def _work(folder: str, rank: str, count: str, meeting: str, code: str) -> None:
    """What every process but the first does."""
    from stillhouse.core.config.runfile import load
    from stillhouse.core.evaluate import Silent
    from stillhouse.core.plan import make_plan
    from stillhouse.core.plugin import Catalogue
    from stillhouse.core.run.directory import RunDirectory
    from stillhouse.core.run.opened import open_run

    catalogue = Catalogue.discover()
    if code:
        catalogue = catalogue.beside(Path(code))
    directory = RunDirectory.existing(Path(folder))
    plan = make_plan(load(directory.run_file, catalogue), catalogue)
    opened = open_run(plan, catalogue, directory, Silent())
    Path(meeting).with_name(f"{rank}.ready").touch()
    opened = _joined(opened, int(rank), int(count), Path(meeting))
    state = initial_state(opened, train_teacher(opened))
    evaluator = Evaluator(opened.steps, state, opened.context, opened.store, opened.origin)
    prepare_all(opened, evaluator)


def main(arguments: Sequence[str]) -> None:
    _work(*arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
