from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from stillhouse.core.plugin import TaskInfo, declared
from stillhouse.plugins.tasks.info import stillhouse_tasks

TASKS = {task.name: task for task in stillhouse_tasks()}


def test_every_task_with_an_entry_point_is_described() -> None:
    entries = entry_points(group="stillhouse.tasks")
    ours = {entry.name for entry in entries if entry.value == "stillhouse.plugins.tasks.info"}
    assert set(TASKS) == ours


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_every_default_meets_its_own_declaration(task: TaskInfo) -> None:
    for parameter in declared(task.params):
        assert parameter.required or parameter.problem(parameter.default) is None


@pytest.mark.parametrize("name", ["npz", "audio-folder", "waveform-folder", "fsdd-dir", "text-csv"])
def test_the_path_is_required_and_is_a_path(name: str) -> None:
    path = next(p for p in declared(TASKS[name].params) if p.name == "path")
    assert (path.required, path.kind) == (True, "path")


def test_no_task_parameter_can_be_searched() -> None:
    assert not any(p.searchable for task in TASKS.values() for p in declared(task.params))


def test_describing_tasks_imports_nothing_heavy() -> None:
    code = (
        "import sys; from stillhouse.plugins.tasks.info import stillhouse_tasks\n"
        f"assert len(list(stillhouse_tasks())) == {len(TASKS)}\n"
        "heavy = ('torch', 'torchaudio', 'numpy', 'soundfile', 'tokenizers')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
