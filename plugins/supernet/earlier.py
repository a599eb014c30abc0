"""Weights of an earlier supernet, to go on with: what population-based training hands over."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from stillhouse.core import plain_file, plain_json
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import ElasticModule

_TENSORS: Final = "artefact.safetensors"
_RECORD: Final = "artefact.json"


@dataclass(frozen=True, eq=False)
class Earlier:
    """The elastic weights in an artefact's `folder`, and the optimiser steps they received."""

    folder: Path
    weights: Mapping[str, Tensor]
    updates: int

    @staticmethod
    def read(params: Any) -> Earlier | None:
        """The one that `params.start` names, None where it names none.

        Raises:
            UserError: the folder holds no artefact, or the parameters contradict it.
        """
        if params.start is None:
            return None
        refuse_contradictions(params)
        folder = Path(params.start)
        try:
            from safetensors import SafetensorError
            from safetensors.torch import load_file

            record = plain_json.read(folder / _RECORD, finite=False)
            plain_file.check(folder / _TENSORS)
            return Earlier(folder, load_file(folder / _TENSORS), int(record["updates"]))
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise UserError(f"{_expected(folder)} ({error})") from None

    def load_into(self, elastic: ElasticModule) -> None:
        """Give a fresh elastic network these weights; UserError where a shape differs."""
        own = {name: tensor.shape for name, tensor in elastic.state_dict().items()}
        given = {name: tensor.shape for name, tensor in self.weights.items()}
        names = own.keys() | given.keys()
        other = sorted(name for name in names if own.get(name) != given.get(name))
        if other:
            raise UserError(
                f"start: the supernet in {self.folder} is of another space or full student: "
                f"'{other[0]}' is {_shown(own.get(other[0]))} here and "
                f"{_shown(given.get(other[0]))} there; use one of the same, or leave start out"
            )
        elastic.load_state_dict(dict(self.weights))


def content(params: Any) -> str | None:
    """What identifies the weights that `params.start` names: a hash; None where it names none."""
    if params.start is None:
        return None
    folder = Path(params.start)
    try:
        plain_file.check(folder / _TENSORS)
        with (folder / _TENSORS).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        raise UserError(f"{_expected(folder)} ({error})") from None


def refuse_contradictions(params: Any) -> None:
    """Raise UserError for parameters that say where weights come from in another way."""
    if params.start is None:
        return
    for name, alone in (("subspaces", 1), ("stage_two_from", "stage_one")):
        if (given := getattr(params, name)) != alone:
            raise UserError(f"start goes with {name}: {alone}, got {given}; leave one of them out")


def _expected(folder: Path) -> str:
    return (
        f"start: {folder}: expected the folder of a supernet's artefact, such as "
        "RUN/artefacts/supernet-..."
    )


def _shown(shape: Any) -> str:
    return "absent" if shape is None else "x".join(map(str, shape)) or "a number"
