"""Folders of transformers models: `config.json` and `model.safetensors`, read and written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stillhouse.core import plain_file, plain_json
from stillhouse.core.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

CONFIG: Final = "config.json"
WEIGHTS: Final = "model.safetensors"
HEAD: Final = "head.safetensors"
"""What transformers' plain models have no place for: the answering layer of ours."""


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` of a folder; needs no torch. `UserError` where it is missing or no object."""
    path = folder / CONFIG
    try:
        found = plain_json.read(path)
    except OSError as error:
        raise UserError(
            f"{path}: expected the configuration of a transformers model: {error.strerror}; name a "
            f"folder that save_pretrained wrote, with {CONFIG} and {WEIGHTS}"
        ) from None
    except ValueError as error:
        raise UserError(f"{path}: expected JSON: {error}") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: expected a JSON object, came {type(found).__name__}")
    return found


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Tensors of `model.safetensors`. `UserError` where it is missing, damaged or in pieces."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / WEIGHTS
    if not path.is_file():
        raise UserError(
            f"{path}: expected the weights of a transformers model in one file of that name, found "
            "none; write it with model.save_pretrained(folder, max_shard_size='100GB')"
        )
    try:
        plain_file.check(path)
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"{path}: expected a safetensors file, it is damaged or cut off: {error}; copy it again"
        ) from None


def folder_hash(folder: Path) -> str:
    """SHA-256 of a folder's configuration and weights; `UserError` where one is missing."""
    digest = hashlib.sha256()
    for path in (folder / CONFIG, folder / WEIGHTS):
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise UserError(
                f"{path}: expected a file of a transformers model: {error.strerror}; name a folder "
                f"that save_pretrained wrote, with {CONFIG} and {WEIGHTS}"
            ) from None
    return digest.hexdigest()


def without_prefix(state: Mapping[str, Tensor], *prefixes: str) -> dict[str, Tensor]:
    """Tensors of the body alone, by its own names, where the model had more than a body.

    The first prefix that any name has decides. Norms of old checkpoints have `gamma` and `beta`
    for weight and bias.
    """
    for prefix in prefixes:
        inside = {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}
        if inside:
            state = inside
            break
    return {_modern(name): tensor for name, tensor in state.items()}


def write(folder: Path, config: Mapping[str, Any], state: Mapping[str, Tensor]) -> None:
    """A new folder that transformers' `from_pretrained` loads. `UserError` if it has files."""
    from safetensors.torch import save_file

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: expected a new or empty folder to write the model into")
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**config, "dtype": "float32"}, indent=2)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")
    save_file(dict(state), folder / WEIGHTS, metadata={"format": "pt"})


def write_head(folder: Path, state: Mapping[str, Tensor]) -> bool:
    """Beside the body, the head's weight and bias, if the network has one; say whether."""
    from safetensors.torch import save_file

    head = {name: t.detach().clone() for name, t in state.items() if name.startswith("head.")}
    if head:
        save_file(head, folder / HEAD)
    return bool(head)


def _modern(name: str) -> str:
    for old, new in ((".gamma", ".weight"), (".beta", ".bias")):
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name
