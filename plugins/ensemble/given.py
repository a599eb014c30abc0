"""Assistants that somebody else trained: checkpoints, files of predictions; and what they hold."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

import numpy as np
from torch import nn

from stillhouse.core.errors import DataError, UserError
from stillhouse.core.evaluate import Context
from stillhouse.core.evaluate.data import SplitName
from stillhouse.core.evaluate.prediction_files import read_files
from stillhouse.core.evaluate.predictions import Predictions

SUFFIXES: Final = (".npy", ".npz", ".csv")
_TRAINED: Final = (".json", ".safetensors", ".bin")


def take_checkpoint(module: nn.Module, path: str, name: str) -> nn.Module:
    """The network with the weights of a safetensors file; UserError where they do not fit."""
    from safetensors import SafetensorError

    from stillhouse.core.run.bounded import weights_for

    try:
        module.load_state_dict(weights_for(module, Path(path)), strict=True)
    except FileNotFoundError:
        raise UserError(f"assistant {name}: {path}: expected weights here, found no file") from None
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        first = "; ".join(line.strip() for line in str(error).splitlines()[:2])
        raise UserError(
            f"assistant {name}: {path}: expected a safetensors file with this network's weights, "
            f"got another ({first})"
        ) from None
    return module


def predicted(folder: str, split: SplitName, context: Context) -> Predictions:
    """The files `NAME.SPLIT.npy` (or .npz, .csv) of a folder as predictions.

    Raises `DataError` for files that do not fit the task's split, two of one name, and where not
    the same models have one as on the tuning split.
    """
    names, files = predicted_names(folder), _files(Path(folder), split)
    if list(files) != names:
        raise DataError(
            f"ensemble.predictions: {folder}: expected files of {', '.join(names)} for the {split} "
            f"split, as for the tuning split, got {', '.join(files) or 'none'}; predict every "
            "split with every model"
        )
    targets = context.task.data.split(split).targets.cpu().numpy().astype(np.int64)
    return read_files(files, split, classes=context.task.labels, targets=targets)


def predicted_names(folder: str) -> list[str]:
    """Models of which the folder has predictions on the tuning split, in order.

    Raises `DataError` for a folder without any.
    """
    found = list(_files(Path(folder), "tuning"))
    if not found:
        raise DataError(
            f"ensemble.predictions: {folder}: expected files such as NAME.tuning.npy, found none; "
            "write each model's probabilities of the tuning split"
        )
    return found


def predicted_on(folder: str, split: SplitName) -> bool:
    """Whether the folder has predictions of any model on a split."""
    return bool(_files(Path(folder), split))


def _files(folder: Path, split: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.glob(f"*.{split}.*")):
        name = path.name[: -len(f".{split}{path.suffix}")]
        if path.suffix not in SUFFIXES or not name:
            continue
        if name in found:
            raise DataError(
                f"{path}: expected one file of '{name}' for the {split} split, got also "
                f"{found[name].name}; remove one"
            )
        found[name] = path
    return found


def digests(params: Any) -> dict[str, str] | None:
    """SHA-256 of every file that the parameters name, by path; None where they name none.

    Raises UserError for a file that is missing.
    """
    sections = params.assistants
    found = [Path(section["checkpoint"]) for section in sections if section["checkpoint"]]
    for section in sections:
        found += _weights(Path(section["folder"])) if section.get("folder") else []
    found += [path for run in params.runs for path in _model(Path(run))]
    if params.predictions is not None:
        folder = Path(params.predictions)
        found += [path for split in ("train", "tuning") for path in _files(folder, split).values()]
    return {str(path): _sha256(path) for path in found} or None


def _weights(folder: Path) -> list[Path]:
    """The files of a folder of trained weights that a family's own parameter names."""
    return sorted(path for path in folder.glob("*") if path.suffix in _TRAINED)


def _model(run: Path) -> list[Path]:
    place = run / "best" if (run / "best").is_dir() else run
    return [place / "model.json", place / "model.safetensors"]


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(
            f"ensemble: {path}: expected a file with a model, got none that can be read "
            f"({error.strerror}); put it back, or take it out of the run file"
        ) from error
