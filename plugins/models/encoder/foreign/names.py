"""Which of another library's tensors each of ours is made of, used in both directions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from stillhouse.core.errors import UserError

Names = Mapping[str, tuple[str, ...]]
"""Our tensor's name to theirs; three are stacked (query, key and value), one is taken as it is."""


@final
@dataclass(frozen=True)
class LayerNames:
    """Modules of one of their layers; `prefix` has a place for its number, "layers.{}."."""

    prefix: str
    query: str
    key: str
    value: str
    out: str
    norm1: str
    norm2: str
    up: str
    down: str

    def names(self, depth: int) -> dict[str, tuple[str, ...]]:
        """Every tensor of the first `depth` layers."""
        found: dict[str, tuple[str, ...]] = {}
        for place in range(depth):
            at, here = self.prefix.format(place), f"layers.{place}."
            for kind in ("weight", "bias"):
                three = (self.query, self.key, self.value)
                found[f"{here}attention.qkv_{kind}"] = tuple(f"{at}{m}.{kind}" for m in three)
                for ours, theirs in (
                    ("norm1", self.norm1),
                    ("attention.out", self.out),
                    ("norm2", self.norm2),
                    ("feed_forward.up", self.up),
                    ("feed_forward.down", self.down),
                ):
                    found[f"{here}{ours}.{kind}"] = (f"{at}{theirs}.{kind}",)
        return found


def module_names(pairs: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Weight and bias of each module."""
    return {
        f"{a}.{kind}": (f"{b}.{kind}",) for a, b in pairs.items() for kind in ("weight", "bias")
    }


def ours(names: Names, theirs: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Their tensors under our names, in single precision, none sharing storage with theirs.

    A query, key or value without a bias has one of zeros. Raises `UserError` for a missing tensor,
    naming it and `source`.
    """
    found = {}
    for name, parts in names.items():
        if len(parts) == 1:
            found[name] = _tensor(theirs, parts[0], source).detach().float().clone()
        else:
            stacked = [_projection(theirs, part, source) for part in parts]
            found[name] = torch.stack(stacked).detach().float()
    return found


def theirs(names: Names, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors under their names, contiguous, none sharing storage."""
    found = {}
    for name, parts in names.items():
        tensors = [state[name]] if len(parts) == 1 else list(state[name].unbind())
        for part, tensor in zip(parts, tensors, strict=True):
            found[part] = tensor.detach().float().clone().contiguous()
    return found


def _projection(theirs: Mapping[str, Tensor], name: str, source: str) -> Tensor:
    if name in theirs or not name.endswith(".bias"):
        return _tensor(theirs, name, source)
    weight = _tensor(theirs, name.removesuffix("bias") + "weight", source)
    return weight.new_zeros(len(weight))


def _tensor(theirs: Mapping[str, Tensor], name: str, source: str) -> Tensor:
    if name not in theirs:
        raise UserError(f"{source}: expected a tensor '{name}', found none of that name")
    return theirs[name]
