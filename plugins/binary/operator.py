"""The packed product as operators of torch, so that exported programs can name them.

`stillhouse::binary_layout(signs, convolves)` puts packed rows in the order that the product reads;
`stillhouse::binary_product(x, threshold, weight, ...)` computes
scale * (sign(x - threshold) . signs) + bias, exactly as arithmetic in single precision does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from stillhouse.plugins.binary.compiling import kernel
from stillhouse.plugins.binary.shapes import LANES, ROWS, WORD, Plan, planned

_BYTES: Final = WORD // 8
Array = NDArray[Any]
_AT_ONCE: Final = 1 << 22
"""Words that the NumPy product compares at a time."""

torch.library.define("stillhouse::binary_layout", "(Tensor signs, bool convolves) -> Tensor")
torch.library.define(
    "stillhouse::binary_product",
    "(Tensor x, Tensor threshold, Tensor weight, Tensor? scale, Tensor? bias, int outputs, "
    "int[] kernel, int[] stride, int[] padding, int[] dilation) -> Tensor",
)
binary_layout: Any = torch.ops.stillhouse.binary_layout.default
binary_product: Any = torch.ops.stillhouse.binary_product.default


def layout(signs: Tensor, convolves: bool) -> Tensor:
    """Packed rows (outputs, bytes) as words: (outputs filled up to 4, words), or blocks of 8 rows.

    Blocks are (blocks, words, 8). Raises ValueError for what are no bytes.
    """
    if signs.dtype != torch.uint8 or signs.ndim != 2 or not signs.numel():
        raise ValueError(f"binary layout: expected rows of bytes, got {tuple(signs.shape)}")
    rows = ROWS if convolves else LANES
    filled = functional.pad(signs, (0, -signs.shape[1] % _BYTES, 0, -len(signs) % rows))
    words = filled.contiguous().view(torch.int64)
    if convolves:
        return words
    return words.reshape(len(words) // LANES, LANES, -1).transpose(1, 2).contiguous()


def _layout_shape(signs: Tensor, convolves: bool) -> Tensor:
    words = -(-signs.shape[1] // _BYTES)
    if convolves:
        return signs.new_empty((-(-len(signs) // ROWS) * ROWS, words), dtype=torch.int64)
    return signs.new_empty((-(-len(signs) // LANES), words, LANES), dtype=torch.int64)


def product(
    x: Tensor,
    threshold: Tensor,
    weight: Tensor,
    scale: Tensor | None,
    bias: Tensor | None,
    outputs: int,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """By the compiled kernel, or by NumPy where there is none; elsewhere than on a CPU emulated.

    Raises ValueError for misfits.
    """
    sizes = kernel_size, stride, padding, dilation
    plan = _plan(x, threshold, weight, scale, bias, outputs, *sizes)
    if x.device.type != "cpu":
        return emulated(plan, x, threshold, weight, scale, bias, *sizes)
    given = [None if t is None else t.contiguous() for t in (x, threshold, weight, scale, bias)]
    out = x.new_empty(plan.shape)
    library = kernel()
    if library is None:
        arrays: list[Any] = [None if t is None else t.detach().numpy() for t in given]
        out.numpy()[...] = in_numpy(plan, *arrays)
        return out
    call = library.binary_convolution if plan.convolves else library.binary_linear
    places = [None if t is None else t.data_ptr() for t in given]
    if call(*places, out.data_ptr(), plan.sizes):
        raise MemoryError("binary product: no memory for the packed inputs")
    return out


def _product_shape(x: Tensor, *others: Any) -> Tensor:
    return x.new_empty(_plan(x, *others).shape)


def emulated(
    plan: Plan,
    x: Tensor,
    threshold: Tensor,
    weight: Tensor,
    scale: Tensor | None,
    bias: Tensor | None,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """In single precision on any device: no faster than a layer of real weights, but equal."""
    outputs = plan.shape[1] if plan.convolves else plan.shape[-1]
    one = x.new_ones(())
    shape = (-1, *(1 for _ in kernel_size))
    signs = torch.where(x >= threshold.reshape(shape), one, -one)
    words = weight if plan.convolves else weight.transpose(1, 2).flatten(0, 1)
    bits = words[:outputs, :, None] >> torch.arange(WORD, device=x.device) & 1
    rows = (bits.flatten(1)[:, : plan.entries] * 2 - 1).to(x.dtype)
    if plan.convolves:
        given = functional.pad(signs, tuple(padding), value=1.0)
        channels_last = rows.reshape(outputs, *kernel_size, x.shape[1])
        convolve = functional.conv1d if len(kernel_size) == 1 else functional.conv2d
        out = convolve(given, channels_last.movedim(-1, 1), None, tuple(stride), 0, tuple(dilation))
    else:
        out = functional.linear(signs, rows)
    out = out if scale is None else out * scale.reshape(shape)
    return out if bias is None else out + bias.reshape(shape)


def _plan(
    x: Tensor,
    threshold: Tensor,
    weight: Tensor,
    scale: Tensor | None,
    bias: Tensor | None,
    outputs: int,
    *sizes: Sequence[int],
) -> Plan:
    for tensor in (x, threshold, scale, bias):
        if tensor is not None and tensor.dtype is not torch.float32:
            raise ValueError(f"binary product: expected numbers in float32, got {tensor.dtype}")
    if weight.dtype is not torch.int64:
        raise ValueError(f"binary product: expected words as weight, got {weight.dtype}")
    return planned(
        x.shape,
        threshold.shape,
        weight.shape,
        None if scale is None else scale.shape,
        None if bias is None else bias.shape,
        outputs,
        *map(tuple, sizes),
    )


def in_numpy(
    plan: Plan, x: Array, threshold: Array, weight: Array, scale: Array | None, bias: Array | None
) -> Array:
    """The kernel's arithmetic, with the same results."""
    words = weight.view(np.uint64)
    rows = words if plan.convolves else words.transpose(0, 2, 1).reshape(-1, words.shape[1])
    outputs = plan.shape[1] if plan.convolves else plan.shape[-1]
    given = _windows(plan, x, threshold) if plan.convolves else _rows(x >= threshold)
    counts = _differing(given, rows[:outputs])
    out = (plan.entries - 2 * counts).astype(np.float32)
    out = out if scale is None else out * scale
    out = out if bias is None else out + bias
    if not plan.convolves:
        return out.reshape(plan.shape)
    whole = out.reshape(plan.shape[0], math.prod(plan.shape[2:]), outputs)
    return whole.transpose(0, 2, 1).reshape(plan.shape)


def _rows(positive: Array) -> Array:
    """(..., entries) as words, (positions, words)."""
    flat = positive.reshape(-1, positive.shape[-1])
    stored = np.packbits(flat, axis=1, bitorder="little")
    filled = np.pad(stored, ((0, 0), (0, -stored.shape[1] % _BYTES)))
    return np.ascontiguousarray(filled).view(np.uint64)


def _windows(plan: Plan, x: Array, threshold: Array) -> Array:
    sizes = list(plan.sizes)
    samples, channels, high, wide, _, ky, kx, sy, sx = sizes[:9]
    above, below, left, right, dy, dx, out_y, out_x = sizes[9:]
    positive = x.reshape(samples, channels, high, wide) >= threshold[:, None, None]
    around = ((0, 0), (0, 0), (above, below), (left, right))
    plane = np.pad(positive, around, constant_values=True).transpose(0, 2, 3, 1)
    parts = [
        plane[:, i * dy :, j * dx :][:, : (out_y - 1) * sy + 1 : sy, : (out_x - 1) * sx + 1 : sx]
        for i in range(ky)
        for j in range(kx)
    ]
    return _rows(np.concatenate(parts, axis=-1))


def _differing(given: Array, rows: Array) -> Array:
    """Places where signs differ, (positions, outputs)."""
    step = max(1, _AT_ONCE // max(1, rows.size))
    parts = [
        np.bitwise_count(given[at : at + step, None] ^ rows).sum(-1, dtype=np.int32)
        for at in range(0, len(given), step)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, len(rows)), np.int32)


BINDINGS: Final[Mapping[str, Callable[..., Tensor]]] = {
    "stillhouse.binary_layout.default": layout,
    "stillhouse.binary_product.default": product,
}
"""The operators as plain functions."""
torch.library.impl("stillhouse::binary_layout", "CompositeExplicitAutograd", layout)
torch.library.register_fake("stillhouse::binary_layout", _layout_shape)
torch.library.impl("stillhouse::binary_product", "CPU", product)
torch.library.impl("stillhouse::binary_product", "CUDA", product)
torch.library.register_fake("stillhouse::binary_product", _product_shape)
