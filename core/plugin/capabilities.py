"""The capabilities that methods agree on; a plugin may add words of its own."""

from __future__ import annotations

from typing import Final

STUDENT: Final = "student"
"""There is a network to work on."""
FLOAT_WEIGHTS: Final = "float weights"
"""Training may still change the network."""
PLAIN_LAYERS: Final = "plain layers"
"""Layers and shapes are as the student's model family builds them."""
DENSE_WEIGHTS: Final = "dense weights"
"""No weight is zero for good."""
FULL_PRECISION: Final = "full precision"
"""Nothing is quantised or binary yet."""

NEW_STUDENT: Final = frozenset(
    {STUDENT, FLOAT_WEIGHTS, PLAIN_LAYERS, DENSE_WEIGHTS, FULL_PRECISION}
)
"""What every method that makes a student leaves."""
