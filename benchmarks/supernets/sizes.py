"""How much every part trains and evaluates: the published size, and a quick one for trying out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from stillhouse.core.space import Choice, Space

ENUMERATED: Final = Space(
    [
        Choice("width", (8, 16, 32)),
        Choice("depth", (1, 2, 3)),
        Choice("heads", (1, 3)),
        Choice("ffn_ratio", (0.5, 2)),
    ]
)
"""36 keyword transformers, every layer of one alike: few enough to train each of them alone."""

NARROW: Final = Space(
    [
        Choice("width", (32, 48, 64)),
        Choice("depth", (3, 4)),
        Choice("heads", (2, 3, 4), per="depth"),
        Choice("ffn_ratio", (1.5, 1.75, 2.0), per="depth"),
    ]
)
"""In the proportions of LightHuBERT's small space: no subnet is under a quarter of the full one."""

SHIPPED: Final = "keyword-transformer-small"


@dataclass(frozen=True)
class Sizes:
    """Epochs, draws and evaluations; the two recipes are parameters of the method `supernet`.

    `stage_epochs` is (stage 1, stage 2) of the two-stage training; its rival trains stage 2 for
    their sum. `passes` counts epochs of one forward-backward pass a batch. Limits are percent of
    the teacher's parameters.
    """

    teacher_epochs: int = 16
    enumerated: Mapping[str, Any] = field(
        default_factory=lambda: {
            "sampler": "uniform",
            "full_epochs": 5,
            "epochs": 35,
            "learning_rate": 2e-3,
        }
    )
    alone_repeats: int = 1
    shipped: Mapping[str, Any] = field(
        default_factory=lambda: {
            "sampler": "turns",
            "middle": 6,
            "full_epochs": 0,
            "epochs": 60,
            "learning_rate": 2e-3,
        }
    )
    stage_epochs: tuple[int, int] = (8, 24)
    passes: int = 32
    fixed_subnets: int = 40
    pool: int = 400
    limits: tuple[float, ...] = (10, 15, 22, 33, 50)
    evaluations: int = 150
    rivals: int = 50
    configurations: int = 20


QUICK: Final = replace(
    Sizes(),
    teacher_epochs=1,
    enumerated={"sampler": "uniform", "full_epochs": 1, "epochs": 1, "learning_rate": 2e-3},
    shipped={"sampler": "size_bins", "full_epochs": 1, "epochs": 1, "learning_rate": 2e-3},
    stage_epochs=(1, 1),
    passes=4,
    fixed_subnets=4,
    pool=40,
    limits=(10, 50),
    evaluations=6,
    rivals=4,
    configurations=3,
)
"""Every part end to end in a minute; its figures mean nothing."""
