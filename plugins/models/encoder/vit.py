"""Vision transformers (Dosovitskiy et al. 2021, arXiv:2010.11929)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import final

from torch import Tensor, nn

from stillhouse.core.errors import UserError
from stillhouse.core.evaluate.state import Structure
from stillhouse.plugins.models.encoder.family import EncoderFamily, checked
from stillhouse.plugins.models.encoder.front_ends import front_end
from stillhouse.plugins.models.encoder.sizes import layered, vit_named, vit_sizes
from stillhouse.plugins.models.info import VitParams


@final
class VitFamily(EncoderFamily):
    """Encoders of images (channels, height, width), or (height, width) of one channel."""

    name = "vit"

    def structure(self, params: VitParams, input_shape: tuple[int, ...], outputs: int) -> Structure:
        """Raises `UserError` for inputs that are no images, or not of the size the weights have."""
        sizes, named = vit_sizes(params), vit_named(params)
        patch = [sizes["patch"]] * 2 if named is None else named["front_end"]["patch"]
        channels = input_shape[0] if len(input_shape) == 3 else 1
        facts = {"kind": "patches", "patch": patch, "channels": channels}
        count = front_end(facts).positions(facts, input_shape)
        if named is not None and list(input_shape) != named["input_shape"]:
            raise UserError(
                f"vit: expected images of the shape {named['input_shape']} that the weights are "
                f"for, the task gives {list(input_shape)}"
            )
        return checked(
            {
                **layered(sizes),
                "eps": 1e-12,
                **(named or {}),
                "input_shape": list(input_shape),
                "outputs": outputs,
                "front_end": facts,
                "positions": {"kind": "table", "count": count, "learned": True},
                "before": True,
                "norm": False,
                "final_norm": True,
                "pool": params.pool,
                "pooler": params.pooler,
            }
        )

    def pretrained(self, params: VitParams, structure: Structure) -> Mapping[str, Tensor] | None:
        if params.folder is None:
            return None
        from stillhouse.plugins.models.encoder.foreign.vit import read_vit

        return read_vit(Path(params.folder), structure)

    def translated(self, module: nn.Module) -> nn.Module:
        from stillhouse.plugins.models.encoder.foreign.vit import from_vit

        return from_vit(module)

    def save_foreign(self, module: nn.Module, folder: Path) -> str:
        from stillhouse.plugins.models.encoder.foreign.vit import save_vit

        return save_vit(module, folder)
