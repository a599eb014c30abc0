"""Loading rebuilds a model from data alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from stillhouse.core.errors import RunDirectoryError, UserError
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.loading import load

PROBE = """
import sys
from stillhouse.core import load
model = load(sys.argv[1])
trained = [m for m in sys.modules if m.startswith(("stillhouse.core.distill.training",
           "stillhouse.core.run.engine", "stillhouse.plugins.supernet",
           "stillhouse.plugins.tasks"))]
print(sum(p.numel() for p in model.parameters()), model.training, trained)
"""


def test_a_fresh_process_loads_without_training_code(project: Path) -> None:
    folder = project / "reference"
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(folder)], capture_output=True, text=True, check=True
    )
    summary = json.loads((folder / "summary.json").read_text())
    found = next(row for row in summary["rows"] if row["role"] == "found")
    assert done.stdout.split(None, 2) == [str(found["parameters"]), "False", "[]\n"]


def test_the_best_folder_alone_is_enough(finished: Path, catalogue: Catalogue) -> None:
    whole, alone = load(finished, catalogue), load(finished / "best", catalogue)
    inputs = torch.zeros(2, 12, 4)
    assert torch.equal(whole(inputs), alone(inputs))


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def edit(best: Path) -> None:
        record = json.loads((best / "model.json").read_text())
        change(record)
        (best / "model.json").write_text(json.dumps(record))

    return edit


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda best: (best / "model.json").unlink(), "expected a finished run"),
        (lambda best: (best / "model.json").write_text("{"), "model.json"),
        (lambda best: (best / "model.json").write_text("[]"), "model.json"),
        (lambda best: (best / "model.safetensors").unlink(), "found no file"),
        (lambda best: (best / "model.safetensors").write_bytes(b"x" * 40), "do not fit"),
        (edited(lambda r: r.update(format=99)), "format 99"),
        (edited(lambda r: r.pop("structure")), "structure"),
        (edited(lambda r: r.update(family="keyword-transformr")), "did you mean"),
        (edited(lambda r: r["structure"].update(width="wide")), "cannot be built"),
        (edited(lambda r: r["structure"].update(width=17)), "do not fit the structure"),
        (edited(lambda r: r["structure"].pop("hidden")), "cannot be built"),
        (edited(lambda r: r.update(rebuilds=[{"method": "nope", "record": {}}])), "nope"),
    ],
)
def test_a_damaged_model_is_one_clear_error(
    finished: Path, catalogue: Catalogue, damage: Callable[[Path], object], said: str
) -> None:
    damage(finished / "best")
    with pytest.raises(UserError, match=said):
        load(finished, catalogue)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, catalogue: Catalogue) -> None:
    with pytest.raises(RunDirectoryError, match="expected a finished run"):
        load(tmp_path, catalogue)
