"""Torch's functions by what they do to channels; names without underscores at their ends."""

from __future__ import annotations

from typing import Final


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


ARITHMETIC: Final = _names("add sub mul div truediv floordiv pow mod and or xor matmul")
"""Operators that also come in place (`__iadd__`) and from the right (`__radd__`)."""

UNCHANGED: Final = _names(
    "dropout dropout1d dropout2d dropout3d feature_dropout alpha_dropout feature_alpha_dropout "
    "clone contiguous detach to type_as float half double bfloat16 cpu cuda requires_grad"
)
"""Values stay as they are, in eval mode."""

ELEMENTWISE: Final = UNCHANGED | _names(
    "add sub rsub mul div truediv floordiv pow mod multiply divide subtract true_divide "
    "maximum minimum where lerp addcmul addcdiv masked_fill copy eq ne lt le gt ge and or xor "
    "invert logical_and logical_or logical_not relu relu6 gelu silu mish elu selu celu "
    "leaky_relu hardtanh hardswish hardsigmoid softplus softsign tanhshrink hardshrink "
    "softshrink threshold sigmoid tanh logsigmoid clamp clip clamp_min clamp_max exp expm1 log "
    "log1p log2 log10 sqrt rsqrt abs absolute neg negative reciprocal square sin cos sign round "
    "floor ceil erf isnan isfinite nan_to_num expand expand_as bool int long"
)
"""Entries that broadcasting brings together."""

SAME: Final = _names(
    "softmax log_softmax softmin cumsum normalize zeros_like ones_like full_like empty_like "
    "rand_like randn_like bernoulli max_pool1d max_pool2d avg_pool1d avg_pool2d lp_pool1d "
    "lp_pool2d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_max_pool1d adaptive_max_pool2d "
    "interpolate upsample pad triu tril"
)
"""Axes stay where they are; those of positions may change their size."""

MOVES: Final = _names(
    "view reshape view_as reshape_as flatten ravel unflatten permute transpose swapaxes swapdims "
    "movedim moveaxis adjoint t T mT H mH squeeze unsqueeze getitem select narrow chunk split "
    "split_with_sizes tensor_split unbind unfold flip roll repeat repeat_interleave tile "
    "index_select"
)
"""Entries change places, and some may go."""

REDUCTIONS: Final = _names("mean sum amax amin max min std var prod norm logsumexp argmax argmin")
"""Axes are averaged away, or summed, and so on."""

JOINS: Final = _names("cat concat concatenate stack")
PRODUCTS: Final = _names("matmul bmm mm")
