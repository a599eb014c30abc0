"""Mixtures of predictions: of probabilities, or of logits; at a temperature."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search.ensembles.checking import Array, blocks

MIXINGS: Final = ("probabilities", "logits")
FLOOR: Final = 1e-12
"""The least probability that a logarithm sees: one model's certain mistake costs 27.6 nats."""


def logarithms(probabilities: NDArray[Any]) -> Array:
    """Logits, up to a constant a sample, of probabilities (..., classes)."""
    return np.asarray(np.log(np.maximum(probabilities, FLOOR, dtype=np.float64)))


def tempered(probabilities: NDArray[Any], temperature: float) -> Array:
    """softmax(z/T) from softmax(z) (..., classes): logits differ by a constant from logarithms."""
    if temperature == 1:
        return np.asarray(probabilities, dtype=np.float64)
    raised = np.exp(logarithms(probabilities) / temperature)
    return np.asarray(raised / raised.sum(-1, keepdims=True))


def mixed(
    probabilities: NDArray[Any],
    weights: Array,
    mixing: str = "probabilities",
    temperature: float = 1.0,
    several: bool = False,
) -> Array:
    """The ensemble's probabilities (samples, classes), from (models, samples, classes).

    Mixed probabilities are sum_k w_k softmax(z_k/T); mixed logits, softmax(sum_k w_k z_k/T). With
    `several`, classes are labels of their own: a sigmoid in place of the softmax.
    """
    out = np.empty(probabilities.shape[1:])
    for block in blocks(len(out), probabilities.shape[2] * len(weights)):
        part = np.asarray(probabilities[:, block])
        if several:
            part = np.stack([1 - part, part], axis=-1)
        found = _mixed(part, weights, mixing, temperature)
        out[block] = found[..., 1] if several else found
    return out


def _mixed(part: NDArray[Any], weights: Array, mixing: str, temperature: float) -> Array:
    if mixing == "probabilities":
        return np.tensordot(weights, tempered(part, temperature), 1)
    scores = np.tensordot(weights, logarithms(part), 1) / temperature
    raised = np.exp(scores - scores.max(-1, keepdims=True))
    return np.asarray(raised / raised.sum(-1, keepdims=True))
