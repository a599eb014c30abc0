"""Names of models, short enough to stand beside a drawing and still told apart."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence


def short_names(names: Sequence[str], letters: int) -> Mapping[str, str]:
    """Every name with its short form.

    Where one is too long, all lose the words that they share in front. What is still too long
    loses its middle.
    """
    different = list(dict.fromkeys(names))
    shared = _shared(different) if any(len(name) > letters for name in different) else 0
    rests = {name: f"…{name[shared:]}" if shared else name for name in different}
    return {name: shortened(rest, letters) for name, rest in rests.items()}


def shortened(name: str, letters: int) -> str:
    """A name without its middle where it is too long: similar names differ at their ends."""
    if len(name) <= letters:
        return name
    head = (letters - 1) * 3 // 5
    return f"{name[:head]}…{name[len(name) - (letters - 1 - head) :]}"


def _shared(names: Sequence[str]) -> int:
    """Letters of the whole words that all names begin with; 0 for one name."""
    if len(names) < 2:
        return 0
    first, last = min(names), max(names)
    pairs = enumerate(zip(first, last, strict=False))
    same = next((i for i, (a, b) in pairs if a != b), len(first))
    ends = [found.end() for found in re.finditer(r"[-_./ ]", first[:same])]
    return ends[-1] if ends else 0
