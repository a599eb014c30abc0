"""Networks whose exported form is more than what an exporter makes of their forward pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final

from torch import nn

Graph = Any
"""An `onnx.ModelProto` of fixed shapes, constants folded; the core itself imports no onnx."""
THRESHOLD: Final = "threshold."
"""A graph that stops early compares with scalar constants of this name and a number from 0, in
the order in which it comes by: below 0 it never stops there, above 1 it always does."""


class GraphForm(nn.Module, ABC):
    """A student's network that is finished on its graph: quantised there, or given branches.

    Called like any network, it answers as the finished graph does. A method that changes the form
    of a `GraphForm` on the graph takes the float graph of `traced()`, and gives what it made of it
    to `finished`.
    """

    @abstractmethod
    def traced(self) -> nn.Module | None:
        """What an exporter is given; may return several tensors. None: nothing is left to trace."""

    @abstractmethod
    def finished(self, graph: Graph | None) -> Graph:
        """The graph that is deployed, of one input and one output; may take `graph` over.

        `graph` is that of `traced()`, tidied, its outputs in order; None where that is None.
        """
