"""The built-in distillation methods, described without importing the code that trains."""

from __future__ import annotations

from collections.abc import Iterator

from stillhouse.core.plugin import NEW_STUDENT, MethodInfo, Params, hookimpl, param


class SoftLabelsParams(Params):
    """Run-file parameters of `soft-labels`."""

    temperature: float = param(4.0, low=1, high=20, log=True, help="softens both sets of logits")
    weight: float = param(1.0, low=0, high=100, help="weight of the term in the training loss")
    form: str = param(
        "auto",
        choices=("auto", "softmax", "sigmoid"),
        help="softmax over classes, or a sigmoid for each; auto: sigmoid where a sample has "
        "several labels (softmax is LRH-Net's there)",
    )


class HiddenStatesParams(Params):
    """Run-file parameters of `hidden-states`."""

    layers: int = param(4, low=1, high=64, help="last teacher taps whose mean is the target")
    loss: str = param("l1", choices=("l1", "mse", "cosine"), help="distance to the target")
    weight: float = param(1.0, low=0, high=100, help="weight of the term in the training loss")
    instance_norm: bool = param(
        True, help="normalise teacher features over time, each tap and then their mean"
    )
    features: str = param(
        "output",
        choices=("output", "feed_forward"),
        help="what of a teacher's layer is learned: its output, or that of its feed-forward layer "
        "before the residual sum (LightHuBERT)",
    )
    loss_on: str = param(
        "all",
        choices=("all", "masked"),
        help="positions that count; masked ones need mask-spans before",
    )


class MaskSpansParams(Params):
    """Run-file parameters of `mask-spans`."""

    share: float = param(
        0.65, low=0.01, high=1, help="summed length of a sample's spans over its positions"
    )
    length: int = param(10, low=1, high=1000, help="positions of a span")


class DistilParams(Params):
    """Run-file parameters of `distil`."""

    epochs: int = param(
        10, low=0, high=10_000, phase="apply", help="epochs at full budget; 0 leaves the student"
    )
    batch_size: int = param(64, low=1, high=65_536, phase="apply", help="samples an update")
    learning_rate: float = param(
        5e-4, low=1e-6, high=1, log=True, phase="apply", help="peak rate, after the warm-up"
    )
    task_weight: float = param(
        1.0, low=0, high=100, phase="apply", help="weight of the task's supervised loss"
    )


@hookimpl
def stillhouse_methods() -> Iterator[MethodInfo]:
    yield MethodInfo(
        name="soft-labels",
        summary="Learn the teacher's softened answers (Hinton et al. 2015)",
        build="stillhouse.plugins.distil.soft_labels:SoftLabels",
        params=SoftLabelsParams,
        changes="loss terms",
        leaves=frozenset({"loss terms"}),
    )
    yield MethodInfo(
        name="hidden-states",
        summary="Predict the mean of the teacher's last hidden states (data2vec, LightHuBERT)",
        build="stillhouse.plugins.distil.hidden_states:HiddenStates",
        params=HiddenStatesParams,
        changes="loss terms",
        leaves=frozenset({"loss terms"}),
    )
    yield MethodInfo(
        name="mask-spans",
        summary="Hide spans of positions from the student in training (HuBERT, LightHuBERT)",
        build="stillhouse.plugins.distil.mask_spans:MaskSpans",
        params=MaskSpansParams,
        changes="data",
        leaves=frozenset({"masked spans"}),
    )
    yield MethodInfo(
        name="fresh",
        summary="Start from the student section's network with fresh weights",
        build="stillhouse.plugins.distil.fresh:Fresh",
        changes="student",
        leaves=NEW_STUDENT,
    )
    yield MethodInfo(
        name="distil",
        summary="Train each candidate on the task and the gathered loss terms",
        build="stillhouse.plugins.distil.distil:Distil",
        params=DistilParams,
        changes="student",
        needs=frozenset({"student", "float weights"}),
        spends=frozenset({"loss terms", "masked spans"}),
    )
