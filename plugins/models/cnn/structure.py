"""What a convolutional network's structure holds: JSON-able.

input_shape  [frames, features] | [channels, height, width]
outputs      width of the answer
dimensions   1: over frames, features are channels; 2: over (frames, features) or images
block        "residual": two convolutions and a shortcut (ResNet, He et al. 2016, fig. 5 left)
             | "depthwise": expand, depthwise, project (MobileNetV2, Sandler et al. 2018, fig. 3)
stem         kernel of the first convolution
strides      [stages], stride of each stage's first block
growth       channels of a stage as a multiple of the stage before
width        channels of the stem and of the first stage
depth        [stages], blocks
kernel       [stages][depth], odd, the same along every dimension
hidden       [stages][depth], channels inside each block
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def stage_width(structure: Mapping[str, Any], stage: int, width: Any) -> Any:
    """Channels of a stage whose network is `width` wide; numbers or arrays.

    The millionth undoes rounding.
    """
    return np.maximum(1, np.floor(np.multiply(width, structure["growth"] ** stage) + 1e-6))


def block_base(structure: Mapping[str, Any], stage: int, place: int, width: Any) -> Any:
    """What a block's hidden channels are a multiple of; numbers or arrays.

    A depthwise block widens what comes in, a residual one holds as many as it gives.
    """
    first = stage > 0 and place == 0 and structure["block"] == "depthwise"
    return stage_width(structure, stage - 1 if first else stage, width)


def hidden_width(expand: Any, base: Any) -> Any:
    """The whole part of the ratio times the base, at least 1; numbers or arrays."""
    return np.maximum(1, np.floor(np.multiply(expand, base) + 1e-6))


def stride(structure: Mapping[str, Any], stage: int, place: int) -> int:
    return int(structure["strides"][stage]) if place == 0 else 1


def keeps_shape(structure: Mapping[str, Any], stage: int, place: int) -> bool:
    """Whether a block gives as many channels and positions as it takes, at every width."""
    widens = stage > 0 and structure["growth"] != 1
    return place > 0 or (stride(structure, stage, place) == 1 and not widens)


def sizes(structure: Mapping[str, Any]) -> list[int]:
    """The input's sizes along the dimensions that are convolved over."""
    shape = [int(size) for size in structure["input_shape"]]
    if structure["dimensions"] == 1:
        return shape[:1]
    return shape if len(shape) == 2 else shape[1:]


def input_channels(structure: Mapping[str, Any]) -> int:
    shape = structure["input_shape"]
    if structure["dimensions"] == 1:
        return int(shape[1])
    return 1 if len(shape) == 2 else int(shape[0])
