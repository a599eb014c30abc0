"""What a measure of similarity is."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.similarity.layers import Layers


class Similarity(ABC):
    """How alike layers see the same samples: 1 for the same, near 0 for unrelated ones."""

    @abstractmethod
    def matrix(self, layers: Layers) -> NDArray[np.float64]:
        """Layer by layer, (layers, layers), symmetric, with a diagonal of 1; float64.

        Raises `UserError` for features that it is not defined for, saying what is needed.
        """
