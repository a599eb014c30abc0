"""Several labels a sample: each is there or not, whatever the others are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from stillhouse.core.evaluate.labelled import Labelled
from stillhouse.core.plugin.metrics import MULTI_LABEL


@final
class MultiLabel(Labelled):
    """Any number of labels a sample: binary cross-entropy, average precision and accuracy.

    Targets are float32 of 0 and 1, (samples, labels); outputs are logits of that shape, and a label
    is answered to be there where its sigmoid is above 0.5. Loss and log-loss are means over samples
    and labels, as is accuracy, the share of labels answered rightly.
    """

    metrics = MULTI_LABEL
    several = True

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(outputs, targets)

    def score(self, outputs: Tensor, targets: Tensor) -> Mapping[str, float]:
        exact, wanted = outputs.double(), targets.double()
        losses = functional.binary_cross_entropy_with_logits(exact, wanted)
        right = ((outputs > 0) == (targets > 0)).double().mean()
        return {
            "average_precision": average_precision(outputs, targets),
            "log_loss": float(losses),
            "accuracy": float(right),
        }


def average_precision(scores: Tensor, targets: Tensor) -> float:
    """Mean over the labels that occur of sum_n (R_n - R_{n-1}) P_n; both (samples, labels).

    P_n and R_n are precision and recall of the samples that score no less than the n-th highest
    different score: equal scores come together, in no order, and nothing is interpolated. NaN where
    no label occurs.
    """
    present = targets > 0
    occur = present.any(0).nonzero().flatten().tolist()
    found = [_of_label(scores[:, label], present[:, label]) for label in occur]
    return float(torch.stack(found).mean()) if found else float("nan")


def _of_label(scores: Tensor, present: Tensor) -> Tensor:
    """Of one label that occurs: the mean, over its samples, of the precision at their scores."""
    order = scores.argsort(descending=True)
    ranked, hits = scores[order], present[order]
    last = torch.ones_like(hits)
    last[:-1] = ranked[:-1] != ranked[1:]
    ends = last.nonzero().flatten() + 1
    precision = hits.cumsum(0)[ends - 1].double() / ends
    sizes = ends.diff(prepend=ends.new_zeros(1))
    return precision.repeat_interleave(sizes)[hits].mean()
