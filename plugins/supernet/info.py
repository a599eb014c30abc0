"""The supernet method, described without importing the code that trains."""

from __future__ import annotations

from collections.abc import Iterator

from stillhouse.core.plugin import MethodInfo, Params, hookimpl, param


class SupernetParams(Params):
    """Run-file parameters of `supernet`."""

    space: str = param(kind="space", searchable=False, help="which subnets there are")
    initial: str = param(
        "fresh", choices=("fresh", "teacher"), help="where the full student's weights come from"
    )
    full_epochs: int = param(
        10, low=0, high=10_000, help="stage 1: epochs of the full student alone"
    )
    epochs: int = param(20, low=0, high=10_000, help="stage 2: epochs of sampled subnets")
    sampler: str = param(
        "sandwich",
        choices=("uniform", "sandwich", "size_bins"),
        help="which subnets an update trains: one at random, largest + smallest + some, or one "
        "of a random size",
    )
    middle: int = param(
        2, low=0, high=16, help="random subnets an update between largest and smallest (sandwich)"
    )
    inplace: str = param(
        "none",
        choices=("none", "add", "replace"),
        help="subnets also, or only, learn the largest subnet's answers (sandwich)",
    )
    batch_size: int = param(64, low=1, high=65_536, help="samples an update")
    learning_rate: float = param(1e-3, low=1e-6, high=1, log=True, help="peak rate of both stages")
    weight_decay: float = param(0.01, low=0, high=1, help="decoupled decay of the weight matrices")
    task_weight: float = param(1.0, low=0, high=100, help="weight of the task's supervised loss")
    freeze_unsampled: bool = param(
        False, help="hold weights and moments that no sampled subnet used in an update"
    )


@hookimpl
def stillhouse_methods() -> Iterator[MethodInfo]:
    yield MethodInfo(
        name="supernet",
        summary="Train all subnets of a space at once, then slice one out per candidate",
        build="stillhouse.plugins.supernet.supernet:Supernet",
        params=SupernetParams,
        changes="student",
        leaves=frozenset({"student", "float weights"}),
        spends=frozenset({"loss terms"}),
        prepares=True,
    )
