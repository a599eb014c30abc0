"""Early exits, described without importing the code that makes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from stillhouse.core.plugin import Gain, MethodInfo, Params, hookimpl, param
from stillhouse.core.plugin.capabilities import FLOAT_WEIGHTS, PLAIN_LAYERS, STUDENT

Criterion = Literal["entropy", "max-probability", "margin"]
_TARGET: Final = "onnxruntime-cpu"
_NETWORKS: Final = ("keyword transformer, 64 wide, 6 blocks", "cnn, residual blocks, 1-D")
_SETTINGS: Final = (
    "1 exit, leave 0.6", "1 exit, leave 0.8", "2 exits, leave 0.6", "2 exits, leave 0.8",
)  # fmt: skip
_MEASURED: Final = (
    ((1.37, 1.36, 1.40, 1.005), (1.62, 1.61, 1.65, 1.005),
     (1.83, 1.82, 1.86, 1.010), (2.22, 2.20, 2.26, 1.010)),
    ((1.25, 1.20, 1.26, 1.011), (1.42, 1.22, 1.47, 1.011),
     (1.42, 1.38, 1.48, 1.026), (1.80, 1.79, 1.90, 1.026)),
)  # fmt: skip
"""By network and setting: speed-up as the mean over validation clips of spoken-digits, smallest and
largest of five processes, and the share of the file's bytes; docs/early-exit.md says how measured.
"""


class EarlyExitParams(Params):
    """Run-file parameters of `early-exit`."""

    exits: int = param(
        1, low=1, high=3, phase="apply", help="exits, evenly spaced over the network's taps"
    )
    taps: str = param(
        "",
        phase="apply",
        help="names of the taps that have an exit, with commas between them, instead of a number",
    )
    criterion: Criterion = param(
        "margin", phase="apply", help="what of an exit's answer says whether it is sure"
    )
    leave: float = param(
        0.5,
        low=0.01,
        high=0.99,
        phase="apply",
        help="share of the samples reaching an exit that leave there, on the tuning split",
    )
    cost: float | None = param(
        None,
        low=0.01,
        high=1,
        phase="apply",
        help="expected multiply-accumulates as a share of the whole network's; decides how many "
        "leave, instead of `leave`",
    )
    epochs: int = param(
        5, low=0, high=10_000, phase="apply", help="epochs for the exits at full budget"
    )
    batch_size: int = param(64, low=1, high=65_536, phase="apply", help="samples an update")
    learning_rate: float = param(
        3e-3, low=1e-6, high=1, log=True, phase="apply", help="peak learning rate of the exits"
    )
    imitate: float = param(
        0.5,
        low=0,
        high=100,
        phase="apply",
        help="weight of the last answer's soft labels beside the task's own loss",
    )
    temperature: float = param(
        2.0, low=1, high=20, log=True, phase="apply", help="softens both sets of logits"
    )


@hookimpl
def stillhouse_methods() -> Iterator[MethodInfo]:
    yield MethodInfo(
        name="early-exit",
        summary="Answers from an inner layer where that is sure; the rest of the network is spared",
        build="stillhouse.plugins.dynamic.early_exit:EarlyExit",
        params=EarlyExitParams,
        changes="form",
        needs=frozenset({STUDENT, FLOAT_WEIGHTS}),
        spends=frozenset({FLOAT_WEIGHTS, PLAIN_LAYERS}),
        trains=True,
        speeds_up=frozenset({_TARGET}),
        measured=tuple(_gains()),
    )


def _gains() -> Iterator[Gain]:
    for network, cells in zip(_NETWORKS, _MEASURED, strict=True):
        for setting, (speed_up, low, high, size) in zip(_SETTINGS, cells, strict=True):
            yield Gain(
                target=_TARGET, network=network, setting=f"{setting}, spoken digits",
                speed_up=speed_up, low=low, high=high, size=size,
                machine="Intel Xeon, AVX-512 and VNNI",
            )  # fmt: skip
