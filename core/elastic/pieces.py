"""Which entries of an axis a subnet uses, where they are no plain prefix."""

from __future__ import annotations

import torch
from torch import Tensor

Pieces = tuple[slice, ...]
"""Rising ranges along an axis, each with a start and a stop, none touching the next."""


def prefix(size: int) -> Pieces:
    """The first `size` entries."""
    return (slice(0, size),)


def chunked(width: int, hidden: int, chunk: int) -> Pieces:
    """The first `width` entries of every `chunk`, the last time cut, until there are `hidden`.

    LightHuBERT's feed-forward slicing (Wang et al. 2022, arXiv:2203.15610; its released code).
    """
    whole, rest = divmod(hidden, width)
    if width == chunk or not whole:
        return prefix(hidden)
    found = [slice(i * chunk, i * chunk + width) for i in range(whole)]
    return (*found, slice(whole * chunk, whole * chunk + rest)) if rest else tuple(found)


def take(weight: Tensor, axis: int, pieces: Pieces) -> Tensor:
    """The entries side by side; a view where they are one range."""
    parts = [weight.narrow(axis, piece.start, piece.stop - piece.start) for piece in pieces]
    return parts[0] if len(parts) == 1 else torch.cat(parts, axis)
