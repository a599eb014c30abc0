"""The exact figures of hint selection: similarities, a planted structure, clusterers, identity.

Similarities are held to a NumPy implementation of their own here, written from Kornblith et al.
2019: Gram matrices for linear CKA, orthonormal bases for R^2 CCA.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from record import arguments, parser, save, show

from stillhouse.core.search.clustering import cluster, k_by_silhouette
from stillhouse.core.similarity import Accumulator, Layers, Similarity
from stillhouse.plugins.similarities.linear_cka import LinearCka
from stillhouse.plugins.similarities.r2_cca import R2Cca

Array = NDArray[np.float64]

BLOCKS: Final = (0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2)
OTHERS: Final = ("fasterpam", "contiguous", "paper", "uniform")


def gathered(features: Sequence[Array], chunk: int = 512, order: Array | None = None) -> Layers:
    """Features of layers (samples, width) through the streaming path."""
    names = [f"layer {i}" for i in range(len(features))]
    accumulator, samples = Accumulator(names, len(features[0])), len(features[0])
    indices = torch.from_numpy(np.arange(samples) if order is None else order)
    for part in torch.split(indices, chunk):
        given = (torch.from_numpy(layer)[part] for layer in features)
        accumulator.add(dict(zip(names, given, strict=True)), part)
    return accumulator.layers()


def pair(similarity: Similarity, x: Array, y: Array) -> float:
    return float(similarity.matrix(gathered([x, y]))[0, 1])


def gram_cka(x: Array, y: Array) -> float:
    """HSIC of linear kernels, the N by N form."""
    middle = np.eye(len(x)) - 1 / len(x)
    k, l = middle @ (x @ x.T) @ middle, middle @ (y @ y.T) @ middle  # noqa: E741
    return float((k * l).sum() / np.sqrt((k * k).sum() * (l * l).sum()))


def basis_cca(x: Array, y: Array) -> float:
    """Mean squared canonical correlation, by orthonormal bases of the centred features."""
    bases = [np.linalg.svd(z - z.mean(0), full_matrices=False)[0] for z in (x, y)]
    return float(((bases[0].T @ bases[1]) ** 2).sum() / min(x.shape[1], y.shape[1]))


def similarity_errors(seed: int) -> dict[str, float]:
    """Largest absolute errors over a few shapes; 0 would be exact."""
    rng, out = np.random.default_rng(seed), {}
    measures: list[tuple[str, Similarity, Callable[[Array, Array], float]]] = [
        ("linear CKA", LinearCka(), gram_cka),
        ("R2 CCA", R2Cca(), basis_cca),
    ]
    for name, measure, reference in measures:
        errors: dict[str, list[float]] = {}
        for widths in ((8, 8), (5, 20), (24, 16)):
            shared = rng.standard_normal((400, 6))
            x, y = (
                shared @ rng.standard_normal((6, w)) + 0.5 * rng.standard_normal((400, w))
                for w in widths
            )
            turn = np.linalg.qr(rng.standard_normal((widths[0], widths[0])))[0]
            plain = pair(measure, x, y)
            errors.setdefault("with itself", []).append(abs(pair(measure, x, x) - 1))
            errors.setdefault("rotated", []).append(abs(pair(measure, x @ turn, y) - plain))
            errors.setdefault("scaled", []).append(abs(pair(measure, 7.5 * x, y) - plain))
            errors.setdefault("reference", []).append(abs(reference(x, y) - plain))
            if name == "R2 CCA":
                for condition in (10, 100):
                    ends = condition**-0.5, condition**0.5
                    mixed = x @ turn @ np.diag(np.geomspace(*ends, widths[0])) @ turn.T
                    name_of = f"a map of condition {condition}"
                    error = abs(pair(measure, mixed, y) - plain)
                    errors.setdefault(name_of, []).append(error)
        out |= {f"{name}, {kind}": max(found) for kind, found in errors.items()}
    return out


def planted(seed: int) -> list[Array]:
    """Twelve layers, 1,000 samples of width 16: three blocks, each of one latent of width 6."""
    rng = np.random.default_rng(seed)
    latents = rng.standard_normal((3, 1000, 6))
    return [
        latents[b] @ rng.standard_normal((6, 16)) + 0.7 * rng.standard_normal((1000, 16))
        for b in BLOCKS
    ]


def distances(features: Sequence[Array], **how: Any) -> Array:
    found = 1 - LinearCka().matrix(gathered(features, **how)).round(10)
    np.fill_diagonal(found, 0.0)
    return np.maximum(found, 0.0)


def recovered(seed: int) -> bool:
    """Whether blocks, medoids and their number are found."""
    matrix = distances(planted(seed))
    found = cluster(matrix, 3)
    inside = [BLOCKS[layer] for layer in found.centres] == [0, 1, 2]
    return found.labels == BLOCKS and inside and k_by_silhouette(matrix, 2, 6) == 3


def identical(seed: int) -> bool:
    """Whether chunks of other sizes and other orders come to the same distances, bit for bit."""
    layers, rng = planted(seed), np.random.default_rng(seed)
    ways = [{"chunk": 1000}, {"chunk": 7}, {"chunk": 64, "order": rng.permutation(1000)}]
    first, *others = [distances(layers, **way) for way in ways]
    return all(np.array_equal(first, other) for other in others)


def never_worse(seed: int, problems: int = 200) -> float:
    """Largest amount by which another clusterer's cost lies below the exact one's."""
    rng, worst = np.random.default_rng(seed), 0.0
    for _ in range(problems):
        points = rng.standard_normal((int(rng.integers(6, 15)), 3))
        matrix = np.linalg.norm(points[:, None] - points, axis=-1)
        k = int(rng.integers(2, 5))
        exact = cluster(matrix, k, "exact").cost
        worst = max(worst, *(exact - cluster(matrix, k, other).cost for other in OTHERS))
    return worst


def seconds(k: int, seed: int) -> float:
    """The exact clusterer's time for 54 layers."""
    points = np.random.default_rng(seed).standard_normal((54, 3))
    matrix = np.linalg.norm(points[:, None] - points, axis=-1)
    began = time.perf_counter()
    cluster(matrix, k, "exact")
    return time.perf_counter() - began


def main() -> None:
    given = arguments(parser(__doc__ or "", "0-9", "hints_exact.json"))
    errors = [similarity_errors(seed) for seed in given.seeds]
    results: dict[str, Any] = {n: max(e[n] for e in errors) for n in errors[0]}
    results["planted structure recovered"] = sum(map(recovered, given.seeds))
    results["the same for any chunks and order"] = sum(map(identical, given.seeds))
    results["exact costs more than another, most"] = max(map(never_worse, given.seeds[:3]))
    results |= {f"seconds for C(54, {k})": seconds(k, given.seeds[0]) for k in (3, 4)}
    rows = [[name, f"{value:.3g}"] for name, value in results.items()]
    show(f"{len(given.seeds)} seeds", ["", "largest error, or number"], rows)
    save(given, {"results": results})


if __name__ == "__main__":
    main()
