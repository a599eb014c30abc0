"""Where exits go: by name, or evenly spaced, for one network or for the rows of a sheet."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.errors import UserError, nearest
from stillhouse.core.evaluate import Context, Student

Flags = NDArray[np.bool_]
HEADS: Final = "heads"
_TAP: Final = ".tap"


def key_of(tap: str) -> str:
    """What the head at a tap is called among the heads."""
    return block_of(tap).replace(".", "-")


def block_of(tap: str) -> str:
    """The part of a network whose output a tap shows: the rows' names begin with it."""
    return tap.removesuffix(_TAP)


def lies_in(name: str, block: str) -> bool:
    """Whether a row or a module is a block or a part of it."""
    return name == block or name.startswith(f"{block}.")


def named(taps: str) -> list[str]:
    """The taps that the parameter names."""
    return [name.strip() for name in taps.split(",") if name.strip()]


def refuse_names(taps: Sequence[str], wanted: str) -> None:
    """Raise UserError for a name that is none of the whole network's inner taps."""
    for name in named(wanted):
        if name not in taps[:-1]:
            raise UserError(
                f"early-exit: taps: expected names among {', '.join(taps[:-1])}, got '{name}'"
                f"{nearest(name, taps[:-1])}"
            )


def exits_of(student: Student, params: Any, context: Context) -> list[str]:
    """The taps of one network that get an exit, in order of depth; none in a network of one.

    Raises UserError for names that even the whole network does not have.
    """
    refuse_names(list(context.family.taps(context.full)), params.taps)
    family_taps = context.family.taps(student.structure)
    taps = [tap for tap in family_taps if _has_weights(student.module, tap)]
    there = np.ones((len(taps), 1), np.bool_)
    chosen = placed([block_of(tap) for tap in taps], there, np.array([params.exits]), params.taps)
    return [tap for tap, wanted in zip(taps, chosen[:, 0], strict=True) if wanted]


def blocks_in(sheet: OperatorSheet, taps: Iterable[str]) -> list[str]:
    """Blocks of a sheet's rows, in order, of which a family's taps are examples."""
    patterns = {re.sub(r"\d+", r"\\d+", re.escape(block_of(tap))) for tap in taps}
    pattern = re.compile(f"({'|'.join(sorted(patterns))})(\\.|$)")
    found = (pattern.match(row.name) for row in sheet.rows) if patterns else ()
    return list(dict.fromkeys(match[1] for match in found if match))


def there_in(sheet: OperatorSheet, blocks: Sequence[str]) -> Flags:
    """Which blocks each candidate has, (blocks, candidates)."""
    there = np.zeros((len(blocks), sheet.candidates), np.bool_)
    for place, block in enumerate(blocks):
        for row in sheet.rows:
            if lies_in(row.name, block):
                there[place] |= np.not_equal(row["active"], 0)
    return there


def placed(
    blocks: Sequence[str], there: Flags, count: NDArray[Any], taps: str | Sequence[str]
) -> Flags:
    """Which blocks have an exit, (blocks, candidates); the last that is there has none.

    `count` of them, (candidates,): after the nearest block to each of the shares 1/(n + 1) to
    n/(n + 1) of the depth; fewer in networks of fewer blocks. With `taps`, those that it names.
    """
    depth = there.sum(axis=0)
    rank = there.cumsum(axis=0) - 1
    inner = there & (rank < depth - 1)
    texts = [taps] * there.shape[1] if isinstance(taps, str) else list(taps)
    chosen = np.zeros_like(there)
    for place in range(1, int(np.max(count, initial=0)) + 1):
        at = np.maximum(np.floor(place * depth / (count + 1) + 0.5) - 1, 0)
        chosen |= inner & (rank == at) & (place <= count)
    for text in dict.fromkeys(texts):
        if wanted := {block_of(name) for name in named(text)}:
            own = np.array([other == text for other in texts])
            by_name = np.array([block in wanted for block in blocks], np.bool_)
            chosen[:, own] = (inner & by_name[:, None])[:, own]
    return chosen


def _has_weights(network: nn.Module, tap: str) -> bool:
    parts: Mapping[str, nn.Module] = dict(network.named_modules())
    block = parts.get(block_of(tap))
    return tap in parts and block is not None and any(True for _ in block.parameters())
