"""A teacher that is several: the weighted mixture of its members' answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Observation, Teacher
from stillhouse.core.search.ensembles import Stack

_LEAST = 1e-12


@final
@dataclass(frozen=True)
class Mixing:
    """How answers z_k (batch, classes) become one.

    Of `probabilities` the mixture at temperature t is q_t = sum_k w_k softmax(z_k / (T t)), of
    `logits` softmax(sum_k w_k z_k / (T t)); T is `temperature`, found with the weights, t that of
    distillation. `sigmoid` takes each label by itself. A `stack` predicts from probabilities
    instead, and is softened as what it predicts.
    """

    kind: str = "probabilities"
    temperature: float = 1.0
    sigmoid: bool = False
    stack: Stack | None = None


@final
class EnsembleTeacher(Teacher):
    """Its logits are those whose softmax (or sigmoid) at temperature `at` is the mixture at `at`.

    Members of weight 0 never run. There are no taps.
    """

    taps: tuple[str, ...] = ()

    def __init__(
        self, members: Sequence[Teacher], weights: Sequence[float], mixing: Mixing, at: float = 1.0
    ) -> None:
        if len(members) != len(weights) or not sum(weights) > 0 or min(weights) < 0:
            raise UserError(
                f"ensemble: expected a weight of at least 0 for each of {len(members)} models and "
                f"one above 0, got {list(weights)}"
            )
        stacked = mixing.stack is not None
        used = [pair for pair in zip(members, weights, strict=True) if pair[1] > 0 or stacked]
        self.widths: dict[str, int] = {}
        self.members = tuple(member for member, _ in used)
        self.weights = torch.tensor([weight for _, weight in used], dtype=torch.float64)
        self.weights = self.weights / self.weights.sum()
        self.mixing, self.at = mixing, at

    @torch.no_grad()
    def observe(self, inputs: Tensor, taps: tuple[str, ...] = ()) -> Observation:
        """Raises UserError for taps, of which an ensemble has none."""
        if taps:
            raise UserError(
                f"ensemble: expected to be asked for answers only, got the taps {', '.join(taps)}; "
                "learn from the layers of 'teacher'"
            )
        answers = torch.stack([member.observe(inputs).logits.float() for member in self.members])
        return Observation(self.mixed(answers))

    def mixed(self, answers: Tensor) -> Tensor:
        """Logits (batch, classes) from those of the members (members, batch, classes)."""
        if self.mixing.stack is not None:
            shown = answers.cpu().double().softmax(-1).float().numpy()
            return stacked(shown, self.mixing.stack, self.mixing.sigmoid).to(answers)
        weights = self.weights.to(answers)[:, None, None]
        scores = answers / self.mixing.temperature
        if self.mixing.kind == "logits" or len(answers) == 1:
            return (weights * scores).sum(0)
        shares = weights.log()
        if self.mixing.sigmoid:
            present = (shares + functional.logsigmoid(scores / self.at)).logsumexp(0)
            absent = (shares + functional.logsigmoid(-scores / self.at)).logsumexp(0)
            return self.at * (present - absent)
        return self.at * (shares + (scores / self.at).log_softmax(-1)).logsumexp(0)


def stacked(probabilities: NDArray[Any], stack: Stack, sigmoid: bool = False) -> Tensor:
    """Logits (batch, classes), float64, of what a stack says of (models, batch, classes).

    Their softmax, or with `sigmoid` their sigmoid, is what the stack predicts.
    """
    said = torch.from_numpy(stack.predict(probabilities))
    return said.logit(_LEAST) if sigmoid else said.clamp_min(_LEAST).log()
