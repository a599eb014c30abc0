"""Loading repeats a method's change of form, where nothing but the files is known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file

from stillhouse.core.evaluate import Student
from stillhouse.core.evaluate.skeletons import description
from stillhouse.core.plugin.catalogue import Catalogue
from stillhouse.core.plugin.conformance.check import unmet
from stillhouse.core.plugin.conformance.process import fresh
from stillhouse.core.plugin.conformance.reload import INPUTS, OUTPUTS, answer
from stillhouse.core.plugin.conformance.trial import Trial
from stillhouse.core.run.loading import FORMAT

_CHILD: Final = "stillhouse.core.plugin.conformance.reload"


def check_rebuild(trial: Trial) -> None:
    """`stillhouse.core.load` answers bit for bit as the student does.

    In a fresh process, where the form was changed; else the description alone is on trial.
    """
    student = trial.first.last.student
    if student is None:
        return
    for change in student.rebuilds:
        _check_plain(change.record)
    folder = trial.folder / "rebuilt"
    folder.mkdir(exist_ok=True)
    _write(student, trial, folder)
    if student.rebuilds:
        theirs = _fresh_answers(folder, trial.catalogue)
    else:
        theirs = answer(folder, trial.catalogue)
    with torch.inference_mode():
        ours = student.module(trial.opened.task.data.validation.inputs)
    if not torch.equal(ours, theirs):
        difference = float((ours - theirs).abs().max())
        unmet(
            "the loaded model to answer as the student does", f"answers {difference:g} away",
            "let rebuild give all of the form, and keep numbers in buffers, not in attributes",
        )  # fmt: skip


def _fresh_answers(folder: Path, catalogue: Catalogue) -> torch.Tensor:
    code = [str(catalogue.file.path)] if catalogue.file else []
    fresh(_CHILD, str(folder), str(torch.get_num_threads()), *code)
    return load_file(folder / OUTPUTS)["outputs"]


def _check_plain(record: Any) -> None:
    try:
        back = json.loads(json.dumps(record, allow_nan=False))
    except (TypeError, ValueError) as error:
        back = error
    if back != _listed(record):
        unmet(
            f"a record of a Rebuild that JSON gives back, {record!r}", repr(back),
            "use text keys, numbers, text, lists: no tensors, no NumPy numbers",
        )  # fmt: skip


def _listed(record: Any) -> Any:
    """The record with lists for tuples, which JSON does not tell apart."""
    if isinstance(record, Mapping):
        return {key: _listed(value) for key, value in record.items()}
    return [_listed(value) for value in record] if isinstance(record, (list, tuple)) else record


def _write(student: Student, trial: Trial, folder: Path) -> None:
    tensors = {k: v.detach().cpu().contiguous() for k, v in student.module.state_dict().items()}
    save_file(tensors, folder / "model.safetensors")
    record = {"format": FORMAT, **description(student)}
    (folder / "model.json").write_text(json.dumps(record), "utf-8")
    inputs = trial.opened.task.data.validation.inputs.contiguous()
    save_file({"inputs": inputs}, folder / INPUTS)
