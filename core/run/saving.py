"""The found model on disk: ONNX, safetensors, structure as JSON, model card."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from stillhouse.core.atomic import umask
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import ModelFamily, Student
from stillhouse.core.evaluate.skeletons import description
from stillhouse.core.plugin import Catalogue
from stillhouse.core.plugin.beside import PluginFile
from stillhouse.core.run.loading import CODE, FORMAT


def save_model(
    folder: Path,
    student: Student,
    artefact: Path,
    card: str,
    extra: Mapping[str, Any],
    family: ModelFamily | None = None,
    code: PluginFile | None = None,
) -> None:
    """Write `model.onnx` (the measured artefact), weights, structure and card, then swap them in.

    `extra` is JSON-able and kept in `model.json` beside what loading needs: input and labels,
    policy, configuration, certificate. Where the `family` can write another library's model, that
    lies in a folder of its own, or `model.json` says why not. `code` is the file of plugins without
    which the model cannot be loaded: a copy lies beside it, and `model.json` has its digest.
    """
    beside = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder.parent))
    shutil.copyfile(artefact, beside / f"model{artefact.suffix}")
    tensors = {k: v.detach().cpu().contiguous() for k, v in student.module.state_dict().items()}
    save_file(tensors, beside / "model.safetensors")
    record = {
        "format": FORMAT,
        **description(student),
        **extra,
        **_foreign(family, student, beside),
        **_code(code, beside),
    }
    (beside / "model.json").write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    (beside / "README.md").write_text(card, "utf-8")
    for path in (beside, *beside.rglob("*")):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~umask())
    if folder.exists():
        folder.rename(Path(tempfile.mkdtemp(prefix=".writing-", dir=folder.parent)) / "old")
    beside.replace(folder)


def _foreign(family: ModelFamily | None, student: Student, folder: Path) -> dict[str, str]:
    if family is None or type(family).save_foreign is ModelFamily.save_foreign:
        return {}
    if student.rebuilds:
        return {"foreign": f"not written: {student.rebuilds[0].method} changed the form"}
    try:
        return {"foreign": family.save_foreign(student.module, folder / "foreign")}
    except UserError as error:
        shutil.rmtree(folder / "foreign", ignore_errors=True)
        return {"foreign": f"not written: {error}"}


def _code(code: PluginFile | None, folder: Path) -> dict[str, Any]:
    if code is None:
        return {}
    (folder / code.name).write_bytes(code.source)
    return {CODE: {"file": code.name, "sha256": code.sha256}}


def needed_code(student: Student, catalogue: Catalogue) -> PluginFile | None:
    """The file of plugins that supplies the family or a change of form of a student, if any."""
    changes = (catalogue.code_of("method", change.method) for change in student.rebuilds)
    return catalogue.code_of("model", student.family) or next(filter(None, changes), None)


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
