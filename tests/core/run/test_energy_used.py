"""Energy of one inference, read from a tree of counters as Linux has them."""

from __future__ import annotations

from pathlib import Path

from stillhouse.core.config.runfile import load
from stillhouse.core.evaluate import Silent
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.energy_used import used_mj
from stillhouse.core.run.opened import Opened, open_run


def opened_run(finished: Path, catalogue: Catalogue) -> Opened:
    directory = RunDirectory.existing(finished)
    plan = make_plan(load(directory.run_file, catalogue), catalogue)
    return open_run(plan, catalogue, directory, Silent())


def counters(root: Path) -> Path:
    zone = root / "intel-rapl:0"
    zone.mkdir(parents=True)
    for name, text in {"name": "package-0", "energy_uj": "5", "max_energy_range_uj": "100"}.items():
        (zone / name).write_text(text)
    return root


def test_without_counters_nothing_is_said(
    finished: Path, catalogue: Catalogue, tmp_path: Path
) -> None:
    opened = opened_run(finished, catalogue)
    assert used_mj(opened, finished / "best" / "model.onnx", 0.1, tmp_path) is None


def test_counters_that_stand_still_tell_no_energy(
    finished: Path, catalogue: Catalogue, tmp_path: Path
) -> None:
    opened = opened_run(finished, catalogue)
    root = counters(tmp_path / "powercap")
    assert used_mj(opened, finished / "best" / "model.onnx", 100.0, root) == 0.0
