"""What a plain convolutional network's structure holds: JSON-able.

input_shape  [frames, features] | [height, width] | [channels, height, width]; without channels: one
outputs      width of the answer
size         convolutions: a rung of `LADDER`, which decides stages, pools and hidden layer
width        channels of the first stage
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final


@final
@dataclass(frozen=True)
class Rung:
    """A network of the ladder: `widths` and `hidden` are multiples of the first stage's channels.

    Each stage has its `depths` convolutions and ends in a max-pool. `hidden` features lie between
    the last stage and the answer; with 0 the answer reads the last stage.
    """

    width: int
    depths: tuple[int, ...]
    widths: tuple[int, ...]
    hidden: int = 0


LADDER: Final[Mapping[int, Rung]] = {
    2: Rung(16, (1, 1), (1, 1)),
    4: Rung(16, (2, 2), (1, 2)),
    6: Rung(16, (2, 2, 2), (1, 2, 4)),
    8: Rung(16, (2, 2, 2, 2), (1, 2, 4, 8), 4),
    10: Rung(32, (2, 2, 2, 4), (1, 2, 4, 8), 4),
}
"""The "plane" networks for CIFAR-10 of teacher-assistant distillation (Mirzadeh et al. 2020)."""


def rung(structure: Mapping[str, Any]) -> Rung:
    return LADDER[structure["size"]]


def input_channels(structure: Mapping[str, Any]) -> int:
    shape = structure["input_shape"]
    return 1 if len(shape) == 2 else int(shape[0])


def sides(structure: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Height and width of what each stage takes and, last, of what the last one gives."""
    height, width = structure["input_shape"][-2:]
    found = [(int(height), int(width))]
    for _ in rung(structure).depths:
        height, width = found[-1]
        found.append((max(1, height // 2), max(1, width // 2)))
    return found


def windows(structure: Mapping[str, Any]) -> list[tuple[int, int] | None]:
    """What each stage's max-pool takes the largest of, which is also its stride.

    2 along a side, which it halves and rounds down; 1 along a side that is down to 1. None where
    both sides are: there is nothing left to pool.
    """
    found = [(min(2, height), min(2, width)) for height, width in sides(structure)[:-1]]
    return [None if window == (1, 1) else window for window in found]


def channels(structure: Mapping[str, Any]) -> list[int]:
    """Channels that each stage gives."""
    return [structure["width"] * times for times in rung(structure).widths]


def hidden_width(structure: Mapping[str, Any]) -> int:
    """Features of the hidden layer; 0 where there is none."""
    return int(structure["width"] * rung(structure).hidden)
