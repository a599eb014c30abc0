"""Early stopping: the best weights by the task's first metric on the validation split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn

from stillhouse.core.distill.held import held, take
from stillhouse.core.evaluate.context import Context
from stillhouse.core.evaluate.data import Split

_BATCH = 256


@final
class Stopping:
    """Looks after every epoch; without patience it never looks and never stops."""

    def __init__(self, module: nn.Module, split: Split, context: Context, patience: int | None):
        self._module, self._split, self._context = module, split, context
        self._patience = patience
        self.best: dict[str, Tensor] = {}
        self.stale, self._record = 0, 0.0

    def look(self) -> dict[str, float]:
        """Score the network and keep its weights when they are the best so far."""
        if self._patience is None:
            return {}
        score = self._score()
        metric = self._context.task.metrics[0]
        value = score[metric.name] if metric.better == "higher" else -score[metric.name]
        if not self.best or value > self._record:
            self.stale, self._record = 0, value
            weights = held(self._module).items()
            self.best = {name: tensor.detach().clone() for name, tensor in weights}
        else:
            self.stale += 1
        return score

    @property
    def over(self) -> bool:
        """Whether `patience` epochs have passed without a better one."""
        return self._patience is not None and self.stale >= max(1, self._patience)

    def finish(self) -> None:
        """Give the network its best weights."""
        if self.best:
            take(self._module, self.best)

    def counters(self) -> dict[str, float]:
        return {"stale": self.stale, "record": self._record}

    def restore(self, best: dict[str, Tensor], counters: Mapping[str, float]) -> None:
        self.best, self._record = best, counters["record"]
        self.stale = int(counters["stale"])

    @torch.no_grad()
    def _score(self) -> dict[str, float]:
        self._module.eval()
        device = self._context.device
        outputs = [self._module(b.inputs.to(device)) for b in self._split.batches(_BATCH)]
        return dict(self._context.task.score(torch.cat(outputs).float().cpu(), self._split.targets))
