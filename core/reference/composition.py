"""The page of composition: what every two methods make together, by carrying it out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from stillhouse.core.plugin.conformance.composing import Pairing
from stillhouse.core.reference.markdown import code, page, table

KEPT: Final = "✓"
SWAPPED: Final = "⇄"
REFUSED: Final = "–"
BROKEN: Final = "✗"
_ABOUT: Final = f"""\
Every ordered pair of built-in methods, in the least recipe that holds both, rows before columns.

- {KEPT} composes, in this order.
- {SWAPPED} composes, the column's method first: the plan orders the recipe so by capabilities.
- {REFUSED} is refused before anything is trained; the reason stands below.

A pair composes when the recipe, carried out on a small transformer, leaves a network that is
exported and answers in ONNX Runtime as in torch; that loads from `model.json` and
`model.safetensors` and then answers bit for bit as before; whose shape, parameters and zeros are
those that were counted before training; and that holds nothing of a teacher, and no parameter that
only training needed. A test carries out every pair."""


def composition_page(pairings: Sequence[Pairing]) -> str:
    """The table and the reasons; `pairings` are all ordered pairs of some names, in order."""
    names = list(dict.fromkeys(pairing.first for pairing in pairings))
    found = {(pairing.first, pairing.second): pairing for pairing in pairings}
    numbers = {name: str(place) for place, name in enumerate(names, 1)}
    rows = (
        [numbers[first], f"[{first}](methods.md#{first})"]
        + [mark(found[first, second]) for second in names]
        for first in names
    )
    matrix = table(("no.", "method", *numbers.values()), rows)
    return page("Which methods compose", _ABOUT, matrix, *_reasons(pairings))


def mark(pairing: Pairing) -> str:
    """A cell of the table."""
    if pairing.verdict == "composed":
        return SWAPPED if pairing.swapped else KEPT
    return REFUSED if pairing.verdict == "refused" else BROKEN


def reason(pairing: Pairing) -> tuple[str, str, str]:
    """A row of the table of reasons."""
    return code(pairing.first), code(pairing.second), pairing.reason


def _reasons(pairings: Sequence[Pairing]) -> Iterator[str]:
    for verdict, title in (("refused", "Refusals"), ("broken", "Broken")):
        rows = [reason(p) for p in pairings if p.verdict == verdict]
        if rows:
            yield f"## {title}\n\n" + table(("row", "column", "what a user is told"), rows)
