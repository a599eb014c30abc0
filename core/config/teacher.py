"""How a teacher is trained: declared once, like any plugin's parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from stillhouse.core.plugin.params import Param, Params, declared, param

CHANNELS: Final = "channels"
"""The engine's one key whose name a model family may take for itself, as HuBERT does for those of
its front end: such a network sees all of its inputs."""
_VIEW: Final = "channels that it sees, of the last axis of inputs, in order; []: all"


def channels_of(section: Mapping[str, Any]) -> tuple[int, ...]:
    """The channels that a network of a flat section sees, () for all of them."""
    found = section.get(CHANNELS, ())
    return tuple(found) if isinstance(found, (list, tuple)) else ()


def engine_keys(engine: type[Params], own: Iterable[str]) -> tuple[Param, ...]:
    """The engine's keys beside a model's own, of which `channels` may be one."""
    taken = {CHANNELS}.intersection(own)
    return tuple(key for key in declared(engine) if key.name not in taken)


class StudentView(Params):
    """What the student sees of a sample."""

    channels: tuple[int, ...] = param((), kind="channels", searchable=False, help=_VIEW)


class TeacherTraining(Params):
    """Training of the teacher, and of the control networks trained from scratch."""

    epochs: int = param(20, low=1, searchable=False, help="passes over the training split")
    batch_size: int = param(64, low=1, searchable=False, help="samples per update")
    learning_rate: float = param(
        1e-3, low=1e-7, high=1.0, log=True, searchable=False, help="peak learning rate"
    )
    weight_decay: float = param(
        0.01, low=0.0, high=1.0, searchable=False, help="decoupled weight decay of AdamW"
    )
    warmup: float = param(
        0.1, low=0.0, high=1.0, searchable=False, help="share of updates with a rising rate"
    )
    freeze: bool = param(
        False,
        searchable=False,
        help="keep the weights that the model's parameters name and train its head alone",
    )
    patience: int = param(
        0, low=0, searchable=False, help="epochs without gain before stopping; 0 never stops early"
    )
    channels: tuple[int, ...] = param((), kind="channels", searchable=False, help=_VIEW)


class NetworkTraining(TeacherTraining):
    """Training of a network that a method lists, and where it comes from instead."""

    name: str = param("", searchable=False, help="what it is called; empty: by its model")
    checkpoint: str | None = param(
        None, kind="path", searchable=False, help="its weights; then it is not trained"
    )
    draw: int = param(
        0,
        low=0,
        high=64,
        searchable=False,
        help="subnets to draw from its supernet and use instead of it; 0: none",
    )
