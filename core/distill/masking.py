"""Masked spans: what a student does not get to see while it learns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

import torch
from torch import Tensor, nn

from stillhouse.core.errors import UserError

if TYPE_CHECKING:
    from stillhouse.core.evaluate.family import ModelFamily
    from stillhouse.core.evaluate.state import Structure

MASKED: Final = "masked"
"""Key of the mask, bool (batch, positions), among the features that loss terms are shown."""

_LEAST: Final = 2


@dataclass(frozen=True)
class Masking:
    """Spans of `length` positions that are hidden from a student in training, never from teachers.

    `share` is the summed length of a sample's spans over its positions. Spans may overlap, so at
    the usual 0.65 and 10 about half of the positions are hidden (HuBERT, arXiv:2106.07447,
    section 3.2; LightHuBERT, arXiv:2203.15610). Every sample has at least two.
    """

    share: float = 0.65
    length: int = 10

    def check(self, positions: int) -> None:
        """Raise `UserError` unless a span leaves some of so many positions to see."""
        if self.length >= positions:
            raise UserError(
                f"mask-spans: expected a length below the network's {positions} positions, got "
                f"{self.length}; lower it, or give longer inputs"
            )


def masking_point(family: ModelFamily, structure: Structure) -> str:
    """The module whose output is masked; `UserError` for a family that names none."""
    point = family.masking_point(structure)
    if point is None:
        raise UserError(
            f"mask-spans: expected a model family that can hide positions, '{family.name}' names "
            f"no place for it; leave mask-spans out, or take an encoder such as hubert"
        )
    return point


def spans(masking: Masking, samples: int, positions: int, generator: torch.Generator) -> Tensor:
    """Draw masks, bool (samples, positions), true where a position is hidden.

    Starts are drawn without repeats; their number, the same for all samples, is the expected one
    rounded up or down at random (as fairseq's `compute_mask_indices` does). Raises `UserError` for
    spans as long as the input.
    """
    masking.check(positions)
    starts = positions - masking.length + 1
    exact = masking.share * positions / masking.length
    count = int(exact + float(torch.rand((), generator=generator)))
    count = min(max(_LEAST, count), starts)
    chosen = torch.rand((samples, starts), generator=generator).argsort(1)[:, :count]
    places = chosen[..., None] + torch.arange(masking.length)
    hidden = torch.zeros(samples, positions, dtype=torch.bool)
    return hidden.scatter_(1, places.flatten(1), value=True)


@final
class SpanMask(nn.Module):
    """Puts a learned vector in the place of masked positions, while the student trains.

    It is trained beside the student, as an adapter is, and dropped with it. Narrower subnets take
    a prefix of the vector, of `width` features in full.
    """

    def __init__(self, width: int, masking: Masking) -> None:
        super().__init__()
        self.vector = nn.Parameter(torch.rand(width))
        self.masking = masking
        self.rows = slice(None)
        """Which samples of the update the next forward pass sees."""
        self._samples, self._seed = 0, 0
        self._drawn: Tensor | None = None

    def begin(self, samples: int, seed: int) -> None:
        """A new update of so many samples: masks are drawn from the seed when they are needed."""
        self._samples, self._seed, self._drawn = samples, seed, None
        self.rows = slice(None)

    def mask(self, positions: int) -> Tensor:
        """The mask (rows, positions) of the samples in `rows`, the same in all of an update."""
        if self._drawn is None:
            generator = torch.Generator().manual_seed(self._seed)
            self._drawn = spans(self.masking, self._samples, positions, generator)
        return self._drawn[self.rows].to(self.vector.device)

    def shown(self) -> Tensor:
        """The mask of the last forward pass, (batch, positions)."""
        if self._drawn is None:
            raise RuntimeError("no forward pass since the update began")
        return self._drawn[self.rows].to(self.vector.device)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, positions, width) with masked positions replaced."""
        vector = self.vector[: x.shape[-1]].to(x.dtype)
        return torch.where(self.mask(x.shape[1])[..., None], vector, x)


def hidden_in(
    mask: SpanMask,
) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor | None]:
    """A forward hook that masks a module's output in training and leaves it alone in eval mode."""

    def hook(module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        masked: Tensor | None = mask(output) if module.training else None
        return masked

    return hook
