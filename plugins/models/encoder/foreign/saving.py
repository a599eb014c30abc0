"""Plain encoders written as models of transformers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from stillhouse.plugins.models.encoder.foreign.files import HEAD, write, write_head
from stillhouse.plugins.models.encoder.network import Encoder

Made = tuple[dict[str, Any], dict[str, Tensor]]
"""A configuration, as `config.json` holds it, and tensors by transformers' names."""


def saved(module: nn.Module, folder: Path, make: Callable[[Encoder], Made], remark: str) -> str:
    """Write configuration and weights into a new folder; say what is there.

    A head, for which transformers' plain models have no place, is a file of its own. Raises
    `UserError` where transformers has no such shape, or the folder has files.
    """
    if not isinstance(module, Encoder):
        raise TypeError(f"expected a plain Encoder, came {type(module).__name__}")
    config, state = make(module)
    write(folder, config, state)
    said = f"a transformers {config['architectures'][0]}; {remark}"
    if write_head(folder, module.state_dict()):
        pool = "mean over positions" if module.structure["pool"] == "mean" else "first position"
        pooled = f"pooler's answer to the {pool}" if module.structure["pooler"] else pool
        said += f"; its head, a linear layer on the {pooled}, is in {HEAD}"
    return said
