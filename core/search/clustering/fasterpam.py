"""FasterPAM: k-medoids by eager swaps, for more layers than can be enumerated."""

from __future__ import annotations

import numpy as np

from stillhouse.core.errors import UserError
from stillhouse.core.search.clustering.distances import Array, Numbers
from stillhouse.core.search.clustering.medoids import nearest


def fasterpam(distances: Array, k: int) -> Numbers:
    """Labels (layers,) of a local optimum of k-medoids (Schubert and Rousseeuw 2021, FasterPAM).

    Starts at the middles of k even runs instead of at random: the same matrix, the same answer.
    Raises `UserError` without the package `kmedoids`, which is not a requirement: it is GPL.
    """
    try:
        import kmedoids
    except ModuleNotFoundError:
        raise UserError(
            "fasterpam: expected the package 'kmedoids', which is not installed; install it with: "
            "pip install 'stillhouse[fasterpam]', or use contiguous"
        ) from None

    count = len(distances)
    start = np.array([(2 * i + 1) * count // (2 * k) for i in range(k)], dtype=np.uintp)
    found = kmedoids.fasterpam(np.ascontiguousarray(distances), start)
    return nearest(distances, sorted(int(layer) for layer in found.medoids))
