"""The binary layer as it is trained: real weights behind signs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.measure.layer_form import LayerForm
from stillhouse.plugins.binary.geometry import Geometry
from stillhouse.plugins.binary.packed_layer import PackedLayer
from stillhouse.plugins.binary.signs import packed, sign, unpacked

_UNDER_HALF: Final = 2.0**-26


@final
class BinaryLayer(LayerForm):
    """A linear layer or convolution of signs: scale * (sign(x - threshold) . sign(w)) + bias.

    The scale of an output is the mean |w| of its weights (Rastegari et al. 2016, XNOR-Net,
    arXiv:1603.05279, eq. 6) in half precision, or 1: sums of up to 8,192 numbers plus or minus a
    scale of 11 bits are exact in single precision, in whatever order a runtime adds them. Each
    input channel has a learned threshold (Liu et al. 2020, ReActNet, arXiv:2003.03488, eq. 4):
    behind a rectifier all signs would be equal without. Borders are padded with +1.

    `latent` are the real weights (outputs * entries,), which only training needs: they are no part
    of the state dict, which holds `signs` (outputs, bytes) and `scale` in their place. They are
    flat because optimisers spare vectors from weight decay. Gradients pass where |x - threshold|
    and |w| are at most `clip`; every training pass clips the weights that the last step left.
    """

    def __init__(
        self,
        geometry: Geometry,
        latent: Tensor,
        threshold: Tensor,
        bias: Tensor | None,
        clip: float,
        scaled: bool,
    ) -> None:
        super().__init__()
        self.geometry, self.clip, self.scaled = geometry, clip, scaled
        self.latent, self.threshold = nn.Parameter(latent.reshape(-1)), nn.Parameter(threshold)
        self.bias = None if bias is None else nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        if torch.onnx.is_in_onnx_export():
            return self._written(x)
        geometry = self.geometry
        if self.training:
            with torch.no_grad():
                self.latent.clamp_(-self.clip, self.clip)
        given = sign(x - geometry.beside_channels(self.threshold), self.clip)
        latent = self._within(self.latent)
        out = geometry.product(_bordered(given, geometry), sign(latent, self.clip))
        if self.scaled:
            out = out * geometry.beside_channels(mean_size(latent))
        return out if self.bias is None else out + geometry.beside_channels(self.bias)

    def _written(self, x: Tensor) -> Tensor:
        """As few operators as ONNX has for it: the scale is multiplied into the weights."""
        geometry, one = self.geometry, x.new_ones(())
        # Exporters only know what is in the state dict, and take this for a constant.
        latent = self._within(self.latent.data)
        weight = sign(latent, self.clip)
        if self.scaled:
            weight = weight * mean_size(latent).reshape(-1, *(1,) * (weight.ndim - 1))
        at_least = x >= geometry.beside_channels(self.threshold)
        given = torch.where(at_least, one, -one)
        return geometry.product(_bordered(given, geometry), weight, self.bias)

    def deployed(self) -> PackedLayer:
        """The same layer of packed signs, for torch's programs; its answers are equal."""
        bias = None if self.bias is None else self.bias.detach().clone()
        threshold = self.threshold.detach().clone()
        return PackedLayer(self.geometry, self._rows(), self._stored_scale(), threshold, bias)

    def _within(self, latent: Tensor) -> Tensor:
        """(outputs, inputs, *kernel), clipped."""
        geometry = self.geometry
        shape = geometry.outputs, geometry.inputs, *geometry.kernel
        return latent.clamp(-self.clip, self.clip).reshape(shape)

    def _stored_scale(self) -> Tensor | None:
        return mean_size(self._within(self.latent.detach())).half() if self.scaled else None

    def _rows(self) -> Tensor:
        """Signs, channel by channel at each place of the kernel, as `PackedLayer` has them."""
        signs = sign(self._within(self.latent.detach()), self.clip)
        return packed(signs.movedim(1, -1).flatten(1))

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        del destination[f"{prefix}latent"]
        destination[f"{prefix}signs"] = self._rows()
        if (scale := self._stored_scale()) is not None:
            destination[f"{prefix}scale"] = scale

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        given = dict(state_dict)
        signs, scale = given.pop(f"{prefix}signs", None), given.pop(f"{prefix}scale", None)
        _, _, missing, unexpected, errors = rest
        stored = {"signs": signs, **({"scale": scale} if self.scaled else {})}
        absent = [f"{prefix}{name}" for name, found in stored.items() if found is None]
        if scale is not None and not self.scaled:
            unexpected.append(f"{prefix}scale")
        misfits = self._misfits(prefix, signs, scale)
        missing.extend(absent)
        errors.extend(misfits)
        fits = not absent and not misfits
        given[f"{prefix}latent"] = self._real(signs, scale) if fits else self.latent.detach()
        super()._load_from_state_dict(given, prefix, *rest)

    def _misfits(self, prefix: str, signs: Tensor | None, scale: Tensor | None) -> list[str]:
        outputs, row = self.geometry.outputs, -(-self.geometry.entries // 8)
        expected = {
            "signs": (signs, (outputs, row), torch.uint8),
            "scale": (scale, (outputs,), torch.float16),
        }
        return [
            f"size mismatch for {prefix}{name}: expected {dtype} of shape {shape}, got "
            f"{found.dtype} of shape {tuple(found.shape)}"
            for name, (found, shape, dtype) in expected.items()
            if found is not None and (tuple(found.shape) != shape or found.dtype != dtype)
        ]

    def _real(self, signs: Tensor, scale: Tensor | None) -> Tensor:
        """Weights that have these signs, and this mean size where it counts."""
        geometry = self.geometry
        rows = unpacked(signs, geometry.entries)
        # A scale that half precision has no number for is 0, and the signs are kept all the same.
        size = self.clip if scale is None else scale.float().clamp(min=_UNDER_HALF)[:, None]
        rows = rows * size
        whole = rows.reshape(geometry.outputs, *geometry.kernel, geometry.inputs).movedim(-1, 1)
        return whole.reshape(-1).to(self.latent.dtype)


def mean_size(latent: Tensor) -> Tensor:
    """Mean |w| of each output, a number of half precision, (outputs,).

    Rounding passes the gradient on. The mean is taken in double precision, where that of numbers
    of one size is exactly that size: saved signs and scale come back as they were.
    """
    mean = latent.flatten(1).abs().mean(1, dtype=torch.float64).to(latent.dtype)
    short = mean.half().to(mean.dtype)
    return mean + (short - mean).detach() if mean.requires_grad else short


def _bordered(signs: Tensor, geometry: Geometry) -> Tensor:
    return functional.pad(signs, geometry.padding, value=1.0) if geometry.padding else signs
