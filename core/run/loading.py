"""Rebuild a found model in a fresh process: structure from JSON, weights from safetensors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from stillhouse.core import plain_json
from stillhouse.core.errors import PluginError, RunDirectoryError
from stillhouse.core.plain_file import leads_out
from stillhouse.core.plugin import Catalogue
from stillhouse.core.plugin.beside import PATTERN

if TYPE_CHECKING:
    from torch import nn

FORMAT: Final = 1
CODE: Final = "plugins"
WEIGHTS: Final = "model.safetensors"


def load(
    folder: str | Path,
    catalogue: Catalogue | None = None,
    *,
    plugins: str | Path | None = None,
) -> nn.Module:
    """The model of a run directory (or of its `best/` folder), in eval mode, on the CPU.

    Imports no training code and executes nothing from the files: `model.json` names a model
    family, which builds the skeleton, and `model.safetensors` holds the weights. `plugins` is the
    one file that is run, where a model needs code that no package has; a copy of it lies beside
    the model, and runs only if it is named here.

    Raises:
        RunDirectoryError: a file is missing, damaged, or does not fit the structure; the model
            needs a file of plugins, and it is not the one named.
    """
    place = _place(Path(folder))
    record = _record(place / "model.json")
    catalogue = catalogue or Catalogue.discover()
    if plugins is not None:
        catalogue = catalogue.beside(Path(plugins))
    _check_code(record, catalogue, place)
    skeleton = _skeleton(record, catalogue, place)
    return _with_weights(skeleton, place / WEIGHTS).eval()


def described(folder: str | Path) -> dict[str, Any]:
    """What `model.json` says of the model: family, structure, labels, input shape, certificate.

    Raises `RunDirectoryError` as `load` does.
    """
    return _record(_place(Path(folder)) / "model.json")


def _place(folder: Path) -> Path:
    for place in (folder / "best", folder):
        if (place / "model.json").is_file():
            _check_links(folder, place)
            return place
    raise RunDirectoryError(
        f"{folder}: expected a finished run or its best/ folder (with model.json), found none; "
        f"finish the run with: stillhouse search --resume {folder}"
    )


def _check_links(folder: Path, place: Path) -> None:
    for path in (place / "model.json", place / WEIGHTS):
        if leads_out(path, folder):
            raise RunDirectoryError(
                f"{path}: expected the model's own file, got a link that leads out of {folder}; "
                "put a copy of the file in its place"
            )


def _record(path: Path) -> dict[str, Any]:
    try:
        record = plain_json.read(path)
        if record["format"] != FORMAT:
            raise ValueError(f"format {record['format']}, this version reads {FORMAT}")
        dict(record["structure"]), list(record["rebuilds"]), str.strip(record["family"])
        if (code := record.get(CODE)) is not None and not re.fullmatch(PATTERN, code["file"]):
            raise ValueError(
                f"{CODE}.file: expected the name of a Python file, got {code['file']!r}"
            )
        str.strip((code or {"sha256": ""})["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunDirectoryError(f"{path}: not a model description ({error!r})") from None
    return cast("dict[str, Any]", record)


def _check_code(record: dict[str, Any], catalogue: Catalogue, place: Path) -> None:
    code = record.get(CODE)
    if code is None:
        return
    name, digest = code["file"], code["sha256"]
    if catalogue.file is None or catalogue.file.sha256 != digest:
        file, given = place / name, catalogue.file
        raise RunDirectoryError(
            f"{place / 'model.json'}: expected the code of {name} (sha256 {digest[:16]}), which "
            f"the model needs and which runs only where you name it, got {given or 'none'}; read "
            f"{file}, then load(..., plugins={str(file)!r}), or --plugins {file}"
        )


def _skeleton(record: dict[str, Any], catalogue: Catalogue, place: Path) -> nn.Module:
    import torch

    from stillhouse.core.evaluate.skeletons import skeleton
    from stillhouse.core.run.bounded import bounded_by

    weights = place / WEIGHTS
    try:
        with bounded_by(weights):
            return skeleton(record, torch.Generator().manual_seed(0), catalogue)
    except FileNotFoundError:
        raise _no_weights(weights) from None
    except PluginError:
        raise
    # A family is given a structure that may be anything, and raises nearly anything.
    except Exception as error:
        raise RunDirectoryError(
            f"{place / 'model.json'}: the structure cannot be built ({error!r})"
        ) from None


def _with_weights(module: nn.Module, path: Path) -> nn.Module:
    from safetensors import SafetensorError

    from stillhouse.core.run.bounded import weights_for

    try:
        module.load_state_dict(weights_for(module, path), strict=True)
    except FileNotFoundError:
        raise _no_weights(path) from None
    except (SafetensorError, RuntimeError, OSError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise RunDirectoryError(f"{path}: the weights do not fit the structure ({first})") from None
    return module


def _no_weights(path: Path) -> RunDirectoryError:
    return RunDirectoryError(f"{path}: expected the weights here, found no file")
