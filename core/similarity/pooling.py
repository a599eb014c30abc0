"""Features of a sample's positions as one vector: their mean, padding left out."""

from __future__ import annotations

from torch import Tensor

from stillhouse.core.errors import UserError


def pooled(tap: str, features: Tensor, samples: int, mask: Tensor | None = None) -> Tensor:
    """The mean over each sample's real positions, (samples, channels), float64.

    Features are (samples, *positions, channels), or (samples * positions, channels). `mask` is bool
    (samples, positions), true where a position is real; features of one vector a sample have no
    positions to leave out. Sums are taken in float64, so that the layout of a batch decides none of
    the first ten digits.

    Raises `UserError`, naming the tap, for features of another shape, a sample without a real
    position, and means that are not finite.
    """
    positions = _positions(tap, features, samples)
    if mask is None or positions.shape[1] == 1:
        means = positions.double().mean(1)
    else:
        means = _masked_mean(tap, positions, mask)
    if not bool(means.isfinite().all()):
        raise UserError(
            f"tap '{tap}': expected finite features, got some that are not; look at the teacher's "
            "weights and inputs"
        )
    return means


def _positions(tap: str, features: Tensor, samples: int) -> Tensor:
    """(samples, positions, channels)."""
    rows, fits = features.shape[0] if features.ndim else 0, features.ndim >= 2
    if not fits or not rows or rows % samples or (features.ndim > 2 and rows != samples):
        raise UserError(
            f"tap '{tap}': expected features (batch, *positions, channels) of {samples} samples, "
            f"got {tuple(features.shape)}; name a module that shows such"
        )
    return features.reshape(samples, -1, features.shape[-1])


def _masked_mean(tap: str, positions: Tensor, mask: Tensor) -> Tensor:
    if mask.shape != positions.shape[:2]:
        raise UserError(
            f"tap '{tap}': expected features of {mask.shape[1]} positions, as the inputs have, got "
            f"{positions.shape[1]}; name a module that keeps the inputs' positions"
        )
    real = mask.sum(1, keepdim=True)
    if not bool(real.all()):
        raise UserError(f"tap '{tap}': a sample is all padding; remove it from the data")
    return positions.double().masked_fill(~mask[..., None], 0).sum(1) / real
