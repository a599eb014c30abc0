"""Which operator of a plain network a part of a changed one comes from, by their names alone."""

from __future__ import annotations

from collections.abc import Collection


def origin(name: str, known: Collection[str]) -> str | None:
    """The known name that the parts of `name` hold in order, the longest; None for a new part.

    A method may put one layer in several, or a module around a layer, a block or the network:
    "up.1", "blocks.0.inner.up" and "network.up" come from "up", "blocks.0.up" and "up". Of several
    as long it is the one that begins as `name` does.
    """
    if name in known:
        return name
    parts = name.split(".")
    ranked = [
        (len(held), _shared(held, parts), one) for one in known if (held := _held(one, parts))
    ]
    return max(ranked, key=lambda found: found[:2])[2] if ranked else None


def _held(known: str, parts: list[str]) -> list[str]:
    """The parts of a known name, if they are among others in order; else none."""
    wanted, left = known.split("."), iter(parts)
    return wanted if all(part in left for part in wanted) else []


def _shared(first: list[str], second: list[str]) -> int:
    """How many parts two names begin with alike."""
    same = [a == b for a, b in zip(first, second, strict=False)]
    return [*same, False].index(False)
