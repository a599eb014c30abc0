"""How a teacher is trained: declared once, like any plugin's parameters."""

from __future__ import annotations

from stillhouse.core.plugin.params import Params, param


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
