"""Hint points: a clustering of a network's layers, and the layer that stands for each cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from stillhouse.core.errors import UserError
from stillhouse.core.errors import nearest as nearest_name
from stillhouse.core.search.clustering.contiguous import contiguous
from stillhouse.core.search.clustering.distances import Array, Numbers, checked
from stillhouse.core.search.clustering.exact import enumerable, exact
from stillhouse.core.search.clustering.fasterpam import fasterpam
from stillhouse.core.search.clustering.medoids import cost, medoid, members
from stillhouse.core.search.clustering.paper import index_mean, paper
from stillhouse.core.search.clustering.spacing import runs_to, spread, stage_ends

CLUSTERERS: Final = ("exact", "fasterpam", "contiguous", "paper", "uniform", "stage-ends")
AUTO: Final = "auto"
"""`exact` where its sets of medoids can be enumerated, else `fasterpam`."""
CENTRES: Final = ("medoid", "middle", "last")


@dataclass(frozen=True)
class Clustering:
    """Layers in clusters.

    `centres` are strictly increasing layer numbers, the hint points, one a cluster. `labels`
    (layers,) are the clusters of all layers, numbered by their centres' order. `cost` is the summed
    distance of layers to their cluster's medoid, whatever its centre.
    """

    centres: tuple[int, ...]
    labels: tuple[int, ...]
    cost: float


def cluster(
    distances: Array,
    k: int,
    clusterer: str = "exact",
    centre: str = "medoid",
    stages: Sequence[int] | None = None,
) -> Clustering:
    """k clusters of layers from their distances (layers, layers), by one of `CLUSTERERS` or `AUTO`.

    `centre` says which member is a hint point: the `medoid`, least distant from all members; the
    `middle`, nearest in number to the integer mean of theirs, as published (arXiv:2103.00053); or
    the `last`. `uniform` (evenly spaced layers) and `stage-ends` (the last layer of each of the
    last k stages, from `stages`, the stage number of each layer) are controls: their hint points
    end runs of layers, whatever `centre` says. Nothing is drawn at random.

    Raises `UserError` for a matrix that holds no distances, for a k below 1 or above the number of
    layers, and as the clusterer says.
    """
    _known("clusterer", clusterer, (*CLUSTERERS, AUTO))
    _known("centre", centre, CENTRES)
    distances = checked(distances, k)
    if clusterer == "uniform":
        return _ending(distances, spread(len(distances), k))
    if clusterer == "stage-ends":
        return _ending(distances, stage_ends(stages, len(distances), k))
    if clusterer == AUTO:
        clusterer = "exact" if enumerable(len(distances), k) else "fasterpam"
    return _centred(distances, _PARTITIONS[clusterer](distances, k), centre)


_PARTITIONS: Final[Mapping[str, Callable[[Array, int], Numbers]]] = {
    "exact": exact,
    "fasterpam": fasterpam,
    "contiguous": contiguous,
    "paper": paper,
}


def _ending(distances: Array, ends: Sequence[int]) -> Clustering:
    return _centred(distances, runs_to(ends), "last")


def _centred(distances: Array, labels: Numbers, centre: str) -> Clustering:
    """Clusters renumbered by their centres: rules may order clusters that interleave otherwise."""
    centres = [_centre(distances, own, centre) for own in members(labels)]
    ranks = np.argsort(np.argsort(centres))
    return Clustering(
        tuple(sorted(centres)), tuple(ranks[labels].tolist()), cost(distances, labels)
    )


def _centre(distances: Array, own: Numbers, centre: str) -> int:
    if centre == "medoid":
        return medoid(distances, own)
    return index_mean(own) if centre == "middle" else int(own[-1])


def _known(what: str, name: str, names: Sequence[str]) -> None:
    if name not in names:
        raise UserError(
            f"hint clustering: expected a {what} of {', '.join(names)}, got '{name}'"
            f"{nearest_name(name, names)}"
        )
