"""Parts of a network whose answer jumps where a number crosses a border."""

from __future__ import annotations

from torch import nn


class Rounding(nn.Module):
    """A quantiser, a sign: a difference in the last digit of its input may move it by a whole step.

    A runtime adds up in another order than torch, so now and then it rounds the other way. What
    holds such parts is compared with torch's answers by that measure, see
    `Target.export`. Abstract: its first argument is what it rounds.
    """
