"""A network with exits on the way, in torch and as what is exported of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, final

import torch
from torch import Tensor, nn

from stillhouse.core.distill.taps import tapped
from stillhouse.core.measure import Graph, GraphForm
from stillhouse.plugins.dynamic.heads import ExitHead
from stillhouse.plugins.dynamic.info import Criterion
from stillhouse.plugins.dynamic.placing import key_of
from stillhouse.plugins.dynamic.rules import NEVER, doubt


@final
class EarlyExitNetwork(GraphForm):
    """A backbone whose inner features answer as well, and the rule when that is enough.

    A sample leaves at the first exit whose doubt is below the exit's threshold; else the backbone
    answers. One sample alone really stops there; of several each runs to the end.
    """

    thresholds: Tensor

    def __init__(
        self, backbone: nn.Module, heads: Mapping[str, ExitHead], criterion: Criterion
    ) -> None:
        """`heads` by the tap that each reads, in order of depth."""
        super().__init__()
        self.backbone, self.taps, self.criterion = backbone, tuple(heads), criterion
        self.heads = nn.ModuleDict({key_of(tap): head for tap, head in heads.items()})
        self.register_buffer("thresholds", torch.full((len(heads),), NEVER))

    def forward(self, inputs: Tensor) -> Tensor:
        if inputs.is_meta:
            return self._to_the_end(inputs)
        return self._until_sure(inputs) if len(inputs) == 1 else self._chosen(inputs)

    def answers(self, inputs: Tensor) -> list[Tensor]:
        """Logits of every exit, then of the backbone, (batch, classes) each."""
        last, features = tapped(self.backbone, inputs, self.taps)
        return [*(self._head(tap)(features[tap]) for tap in self.taps), last]

    def doubts(self, inputs: Tensor) -> Tensor:
        """How unsure each exit is, (batch, exits)."""
        return self._doubts(self.answers(inputs))

    def traced(self) -> nn.Module:
        return _Answers(self)

    def finished(self, graph: Graph | None) -> Graph:
        """Nodes that only some samples need lie in branches, behind the rule of each exit."""
        from stillhouse.plugins.dynamic.branches import branched

        assert graph is not None  # noqa: S101 - there always is something to trace
        return branched(graph, self.criterion, self.thresholds.tolist())

    def _head(self, tap: str) -> nn.Module:
        return self.heads[key_of(tap)]

    def _doubts(self, answers: Sequence[Tensor]) -> Tensor:
        return torch.stack([doubt(logits, self.criterion) for logits in answers[:-1]], -1)

    def _chosen(self, inputs: Tensor) -> Tensor:
        answers = self.answers(inputs)
        leaves = self._doubts(answers) < self.thresholds
        chosen = answers[-1]
        for place in reversed(range(len(self.taps))):
            chosen = torch.where(leaves[:, place, None], answers[place], chosen)
        return chosen

    def _until_sure(self, inputs: Tensor) -> Tensor:
        def stop(place: int, logits: Tensor) -> None:
            if doubt(logits, self.criterion) < self.thresholds[place]:
                raise _SureError(logits)

        try:
            with self._watched(stop):
                logits: Tensor = self.backbone(inputs)
        except _SureError as sure:
            return sure.logits
        return logits

    def _to_the_end(self, inputs: Tensor) -> Tensor:
        """The longest way, for counting: every exit decides, and none is taken."""
        with self._watched(lambda _, logits: doubt(logits, self.criterion)):
            logits: Tensor = self.backbone(inputs)
        return logits

    @contextmanager
    def _watched(self, told: Callable[[int, Tensor], object]) -> Iterator[None]:
        """While it lasts, exits answer as soon as the backbone has their features."""

        def hook(place: int, tap: str) -> Callable[[nn.Module, Any, Tensor], None]:
            def answer(_module: nn.Module, _inputs: Any, features: Tensor) -> None:
                told(place, self._head(tap)(features))

            return answer

        handles = [
            self.backbone.get_submodule(tap).register_forward_hook(hook(place, tap))
            for place, tap in enumerate(self.taps)
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


class _SureError(Exception):
    """Leaves a forward pass with the answer of an exit."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__("an exit is sure")
        self.logits = logits


@final
class _Answers(nn.Module):
    """Every answer of a network, for exporters."""

    def __init__(self, network: EarlyExitNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network.answers(inputs))
