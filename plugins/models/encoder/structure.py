"""What an encoder's structure holds: JSON-able, the same keys for every member of the family.

input_shape   [samples] | [tokens] | [frames, features] | [channels, height, width]
outputs       width of the answer; 0: no pooling and no head, the last layer's output is it
front_end     {"kind": "waveform" | "fbank" | "frames" | "tokens" | "patches" | "log_mel", ...}
              | {"kind": "choice", "use": ..., "options": {...}}: one runs, a gene says which
positions     {"kind": "conv", "kernel": 128, "groups": 16}
              | {"kind": "table", "count": 512, "learned": true} | None
width         features of every position, E
depth         layers
heads         [depth], of `head_dim` features each; not tied to the width
hidden        [depth], features inside the feed-forward layers
head_dim
chunk         rows of one chunk of the feed-forward's full weights, of which a narrower network
              takes the first `width` (LightHuBERT), or None: hidden features are a prefix
before        norms before attention and feed-forward (true) or after the sums (false)
norm          a norm after the positions          final_norm   one after the last layer
eps           of every norm                       activation   "gelu" | "relu"
padding       the token that is not attended to, or None
pool          "mean" | "first"                    pooler       a tanh layer before the head
thirds        which full layers a shallower network keeps: false, the first ones; true, the last
              of each third go first (LightHuBERT)
"""

from __future__ import annotations

from typing import Any, Final

PLAIN: Final[dict[str, Any]] = {
    "positions": None, "head_dim": 64, "chunk": None, "before": False, "norm": True,
    "final_norm": False, "eps": 1e-5, "activation": "gelu", "padding": None, "pool": "mean",
    "pooler": False, "thirds": False,
}  # fmt: skip
"""What a structure holds unless its family says otherwise."""


def kept_layers(full_depth: int, depth: int, *, thirds: bool) -> tuple[int, ...]:
    """Which full layers, from 0, a network of `depth` keeps.

    With `thirds` and a depth that three divides, the last layer of the last third goes first, then
    that of the second and the first, and so on round (LightHuBERT, arXiv:2203.15610: of twelve,
    eleven lack the 12th, ten the 8th as well). Else the first layers stay.
    """
    if not thirds or full_depth % 3:
        return tuple(range(depth))
    size = full_depth // 3
    order = [(part + 1) * size - 1 - turn for turn in range(size) for part in (2, 1, 0)]
    dropped = set(order[: full_depth - depth])
    return tuple(place for place in range(full_depth) if place not in dropped)
