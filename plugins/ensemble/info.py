"""The ensemble of teaching assistants as a method, described without importing the code."""

from __future__ import annotations

from collections.abc import Iterator

from stillhouse.core.plugin import NEW_STUDENT, MethodInfo, Params, hookimpl, param


class MixtureParams(Params):
    """Which models are mixed, and how their weights are found."""

    assistants: tuple[object, ...] = param(
        (), kind="models", searchable=False,
        help="networks to train between teacher and student, in the order they learn: each a "
        "section like the teacher's; draw: K takes K subnets of it, checkpoint: its weights",
    )  # fmt: skip
    runs: tuple[str, ...] = param(
        (), kind="paths", searchable=False,
        help="finished runs whose found models are assistants as they are",
    )  # fmt: skip
    other_data: bool = param(
        False, searchable=False,
        help="runs may have learnt from other data, or the same divided otherwise: then see to it "
        "that nothing of this run's tuning and test splits was among it",
    )  # fmt: skip
    topology: str = param(
        "flat",
        choices=("flat", "cascade", "dense"),
        help="assistants learn from the teacher, from the one before, or from all before, one of "
        "which is left out in every batch",
    )
    assistant_temperature: float = param(
        4.0, low=1, high=20, log=True, help="softens what assistants learn"
    )
    assistant_share: float = param(
        0.7, low=0, high=1, help="share of what they learn from others in their loss, beside labels"
    )
    given: tuple[float, ...] = param(
        (), kind="simplex", phase="apply",
        help="a weight for every model, for weights: given; searched, the study finds them by the "
        "students they make",
    )  # fmt: skip
    only: tuple[int, ...] = param(
        (), kind="taps", phase="apply",
        help="places of the models that may be mixed, from 0, the teacher not counted; []: all",
    )  # fmt: skip
    objective: str = param(
        "log_loss",
        choices=("log_loss", "brier", "accuracy"),
        phase="apply",
        help="what weights are found by; log-loss alone is convex and has exact referees",
    )
    mixing: str = param(
        "probabilities",
        choices=("probabilities", "logits"),
        phase="apply",
        help="what is weighted and added",
    )
    calibrate: bool = param(
        False, phase="apply",
        help="find one temperature of all models together with the weights; else it is 1",
    )  # fmt: skip
    drop: bool = param(
        True, phase="apply",
        help="assistants go whose weight is small while the tuning loss hardly rises",
    )  # fmt: skip
    drop_below: float = param(0.02, low=0, high=1, phase="apply", help="a small weight")
    drop_rise: float = param(
        1e-3, low=0, high=10, phase="apply", help="by less than this the loss hardly rises"
    )
    at_most: int = param(0, low=0, high=64, phase="apply", help="models in the mixture; 0: any")
    limit_on: str = param(
        "macs",
        choices=("parameters", "macs", "training_macs", "latency_ms"),
        searchable=False,
        help="the cost that `limit` is on, added up over the models that are mixed",
    )
    limit: float | None = param(
        None, low=0, phase="apply", searchable=False, help="the most that the mixture may cost"
    )


class EnsembleParams(MixtureParams):
    """Run-file parameters of `ensemble`."""

    weights: str = param(
        "differential-evolution",
        choices=(
            "differential-evolution", "em", "slsqp", "greedy", "stacking", "uniform",
            "best-single", "given", "teacher-alone", "none",
        ),
        phase="apply",
        help="how the weights are found on the tuning split; given: those of `given`; none: the "
        "student learns from no ensemble",
    )  # fmt: skip
    predictions: str | None = param(
        None, kind="path", searchable=False,
        help="a folder of assistants that are only predictions, NAME.SPLIT.npy, .npz or .csv, for "
        "the splits tuning and train, and test if it is to be told",
    )  # fmt: skip
    include_teacher: bool = param(
        False, phase="apply", help="the teacher is one of the models that are mixed"
    )
    temperature: float = param(
        4.0, low=0.25, high=20, log=True, phase="apply",
        help="softens the mixture and the student's answers when it learns",
    )  # fmt: skip
    weight: float = param(
        1.0, low=0, high=100, phase="apply", help="weight of the term in the training loss"
    )
    squared: bool = param(
        True, phase="apply", help="times the temperature squared (Hinton et al.); LRH-Net: false"
    )
    form: str = param(
        "auto",
        choices=("auto", "softmax", "sigmoid"),
        phase="apply",
        help="softmax over classes or a sigmoid a label; auto: as the task has it",
    )
    targets: str = param(
        "auto",
        choices=("auto", "online", "cached"),
        phase="apply",
        help="mix while the student trains, or once; auto: once, if inputs come as they are",
    )


class DeployedParams(MixtureParams):
    """Run-file parameters of `deploy-ensemble`."""

    weights: str = param(
        "differential-evolution",
        choices=(
            "differential-evolution", "em", "slsqp", "greedy", "uniform", "best-single", "given",
        ),
        phase="apply",
        help="how the weights are found on the tuning split; given: those of `given`",
    )  # fmt: skip


@hookimpl
def stillhouse_methods() -> Iterator[MethodInfo]:
    yield MethodInfo(
        name="ensemble",
        summary="Learn from a weighted ensemble of teaching assistants (differential evolution)",
        build="stillhouse.plugins.ensemble.ensemble:TeachingEnsemble",
        params=EnsembleParams,
        changes="teachers",
        leaves=frozenset({"loss terms", "ensemble"}),
        prepares=True,
        reads=frozenset({"teachers", "data"}),
    )
    yield MethodInfo(
        name="deploy-ensemble",
        summary="The weighted ensemble itself as the model that is exported",
        build="stillhouse.plugins.ensemble.deployed:DeployedEnsemble",
        params=DeployedParams,
        changes="student",
        # Nothing trains through fixed networks, and the mixture is no network of the family's.
        leaves=NEW_STUDENT - {"float weights", "plain layers"},
        prepares=True,
    )
