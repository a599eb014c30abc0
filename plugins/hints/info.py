"""Hints as a method, described without importing the code."""

from __future__ import annotations

from collections.abc import Iterator

from stillhouse.core.plugin import MethodInfo, Params, hookimpl, param


class HintsParams(Params):
    """Run-file parameters of `hints`."""

    similarity: str = param(
        "linear-cka",
        kind="similarity",
        help="how alike layers are; several, with + between them, by mean rank",
    )
    samples: int = param(
        10_000, low=8, high=10_000_000, searchable=False, help="training samples to judge it by"
    )
    select: str = param(
        "auto",
        choices=(
            "auto", "exact", "fasterpam", "contiguous", "paper", "uniform", "stage-ends", "taps",
            "none",
        ),
        phase="apply",
        help="which teacher layers: a clustering's centres (auto: exact up to a million subsets, "
        "then fasterpam), evenly spaced ones, the ends of stages, those of `taps` or `layers`, or "
        "none",
    )  # fmt: skip
    taps: tuple[int, ...] = param(
        (), kind="taps", phase="apply", help="numbers of the teacher's layers, for select: taps"
    )
    layers: tuple[str, ...] = param(
        (), kind="list", searchable=False, phase="apply",
        help="their names instead, in order of depth, as `stillhouse taps` lists them",
    )  # fmt: skip
    k: int = param(0, low=0, high=64, phase="apply", help="hints; 0: as many as k_by says")
    k_by: str = param(
        "stages",
        choices=("stages", "silhouette"),
        phase="apply",
        help="number of hints where k is 0: the student's stages (of a student of one stage: by "
        "silhouette), or the clusters that are told apart best",
    )
    centre: str = param(
        "medoid", choices=("medoid", "middle", "last"), phase="apply", help="the layer of a cluster"
    )
    loss: str = param("fitnets", kind="loss", phase="apply", help="what compares the layers")
    weight: float = param(
        1.0, low=1e-4, high=1e4, log=True, phase="apply",
        help="weight in the training loss, of a term that is 1 before training",
    )  # fmt: skip


@hookimpl
def stillhouse_methods() -> Iterator[MethodInfo]:
    yield MethodInfo(
        name="hints",
        summary="Distil from teacher layers chosen by clustering them (PURSUhInT)",
        build="stillhouse.plugins.hints.hints:HintLayers",
        params=HintsParams,
        changes="loss terms",
        leaves=frozenset({"loss terms"}),
        prepares=True,
        reads=frozenset({"teachers", "data"}),
    )
