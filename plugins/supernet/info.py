"""The supernet method, described without importing the code that trains."""

from __future__ import annotations

from collections.abc import Iterator

from stillhouse.core.plugin import NEW_STUDENT, MethodInfo, Params, hookimpl, param


class SupernetParams(Params):
    """Run-file parameters of `supernet`."""

    space: str = param(
        "auto",
        kind="space",
        searchable=False,
        help="which subnets there are; auto: those that the student's family offers",
    )
    initial: str = param(
        "fresh",
        choices=("fresh", "teacher"),
        help="where the full student's weights come from; of a larger teacher it takes a slice",
    )
    start: str | None = param(
        None,
        kind="path",
        searchable=False,
        help="folder of an earlier supernet's artefact, whose weights stage 2 goes on with instead "
        "of stage 1's; of the same space and full student",
    )
    full_epochs: int = param(
        10, low=0, high=10_000, help="stage 1: epochs of the full student alone"
    )
    epochs: int = param(20, low=0, high=10_000, help="stage 2: epochs of sampled subnets")
    stage_two_from: str = param(
        "stage_one",
        choices=("stage_one", "fresh"),
        help="what stage 2 begins with; fresh skips stage 1 and gives its epochs to stage 2",
    )
    sort: bool = param(
        False, help="order channels by importance between the stages, where the model has an order"
    )
    sampler: str = param(
        "sandwich",
        choices=("uniform", "sandwich", "turns", "size_bins"),
        help="which subnets an update trains: one at random; largest + smallest + some; these in "
        "turn, one an update; or one of a random size",
    )
    middle: int = param(
        2, low=0, high=16, help="random subnets between largest and smallest (sandwich, turns)"
    )
    shrink: str = param(
        "none",
        choices=("none", "progressive"),
        help="progressive opens the space step by step: kernels, depth, then widths",
    )
    subspaces: int = param(
        1, low=1, high=8, help="parts of the space by size, each with a supernet of its own"
    )
    inplace: str = param(
        "none",
        choices=("none", "add", "replace"),
        help="subnets also, or only, learn the largest subnet's answers (sandwich)",
    )
    batch_size: int = param(64, low=1, high=65_536, help="samples a forward pass")
    gradient_accumulation: int = param(
        1, low=1, high=4096, help="forward passes an update, for batches that do not fit"
    )
    learning_rate: float = param(1e-3, low=1e-6, high=1, log=True, help="peak rate of both stages")
    schedule: str = param(
        "cosine", choices=("cosine", "linear", "constant"), help="the rate after the warm-up"
    )
    warmup: float = param(0.1, low=0, high=1, help="share of the updates with a rising rate")
    weight_decay: float = param(0.01, low=0, high=1, help="decoupled decay of the weight matrices")
    task_weight: float = param(1.0, low=0, high=100, help="weight of the task's supervised loss")
    freeze_unsampled: bool = param(
        False, help="hold weights and moments that no sampled subnet used in an update"
    )
    save_every: int | None = param(
        None,
        low=1,
        phase="apply",
        searchable=False,
        help="updates between checkpoints; one is also due after 20 s",
    )
    statistics_samples: int = param(
        1000,
        low=0,
        high=1_000_000,
        phase="apply",
        help="training samples for the batch-norm statistics of each subnet; 0 keeps the "
        "supernet's",
    )
    after: str = param(
        "inherit",
        choices=("inherit", "finetune", "scratch"),
        phase="apply",
        help="the subnet's weights at full budget: as inherited, trained on, or trained from new "
        "ones",
    )
    after_epochs: int = param(
        10, low=1, high=10_000, phase="apply", help="epochs of finetune and scratch"
    )
    after_learning_rate: float = param(
        5e-4, low=1e-6, high=1, log=True, phase="apply", help="peak rate of finetune and scratch"
    )
    compare: bool = param(
        False,
        phase="apply",
        searchable=False,
        help="set the found model beside itself as inherited, fine-tuned and trained from scratch",
    )


@hookimpl
def stillhouse_methods() -> Iterator[MethodInfo]:
    yield MethodInfo(
        name="supernet",
        summary="Train all subnets of a space at once, then slice one out per candidate",
        build="stillhouse.plugins.supernet.supernet:Supernet",
        params=SupernetParams,
        changes="student",
        leaves=NEW_STUDENT,
        spends=frozenset({"loss terms", "masked spans"}),
        prepares=True,
    )
