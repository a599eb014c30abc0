"""What cannot be pruned is refused by name before anything is trained."""

from __future__ import annotations

from typing import Any

from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Context, Pruning
from stillhouse.plugins.prune.counting import AXES


def refuse(params: Any, context: Context) -> None:
    """Raise UserError for shares of what the family's networks do not have, or keep."""
    family = context.family
    pruning = family.pruning(context.full)
    for name in (*AXES, "layers"):
        share = getattr(params, name)
        if share is None or share == 1 or name in _offered(pruning):
            continue
        why = pruning.refused.get(name, f"its networks have no {name.replace('_', ' ')}")
        raise UserError(
            f"prune: {name}: expected a share of what {family.name} can go without "
            f"({', '.join(_offered(pruning))}), came {name}: {share:g}: {why}; leave {name} out"
        )


def _offered(pruning: Pruning) -> list[str]:
    kinds = dict.fromkeys(axis.kind for axis in pruning.axes)
    return [*kinds, *(["layers"] if pruning.stacks else [])]
