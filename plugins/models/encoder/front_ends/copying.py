"""Parts that no gene narrows, copied so that no two networks share storage."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn

Part = TypeVar("Part", bound=nn.Module)


def twin(part: Part) -> Part:
    """A copy with its own storage and without gradients."""
    copied = copy.deepcopy(part)
    copied.zero_grad(set_to_none=True)
    return copied
