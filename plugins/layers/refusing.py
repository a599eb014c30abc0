"""What methods that change layers refuse before anything is trained, and how they look."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stillhouse.core.cost.terms import parameters
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Choice, Context, Method, Student
from stillhouse.plugins.layers.naming import Known, alone, matches, shortened, unmatched


def refuse_patterns(
    names: Collection[str],
    others: Mapping[str, str],
    patterns: str,
    *,
    method: str,
    can: str,
    known: Known = alone,
) -> None:
    """Raise UserError for a pattern that names no layer; `others` are reasons by name, `can` says
    what the layers can ("be quantised")."""
    if not (missing := unmatched(names, patterns, known)):
        return
    found = [f"'{name}': {why}" for name, why in others.items() if matches(name, missing[0], known)]
    said = f"; {'; '.join(found[:3])}" if found else ""
    raise UserError(
        f"{method}: layers: '{missing[0]}' names no layer {can}{said}; expected patterns over "
        f"{shortened(names)}"
    )


def refuse_sheet(
    method: Method, student: Student, choice: Choice, context: Context, *, name: str, made: str
) -> None:
    """Raise UserError where a family's rows are not called like its layers: costs would be wrong.

    The method's sheet has to count the parameters of its skeleton.
    """
    family = context.family
    plain = family.sheet(student.structure, family.columns([student.structure]))
    counted = float(parameters(method.sheet(plain, as_columns(choice.params), context))[0])
    changed = method.skeleton(student, choice, context) or student
    built = sum(weight.numel() for weight in changed.module.parameters())
    if counted != built:
        raise UserError(
            f"{name}: expected the operator sheet of {family.name} to call its rows like the "
            f"layers they stand for; it counts {counted:.0f} parameters, the {made} network has "
            f"{built}; use another model family, or choose fewer layers"
        )


def as_columns(params: Any) -> dict[str, Any]:
    """One candidate's parameters as sheets take them."""
    return {
        name: np.array([value], object if isinstance(value, (str, type(None))) else float)
        for name, value in vars(params).items()
    }


def ran(network: nn.Module, parts: Mapping[str, nn.Module], example: Tensor) -> list[str] | None:
    """Those of the parts that a run calls, by name; None where the network does not run at all."""
    called: set[str] = set()
    handles = [
        part.register_forward_hook(lambda *_, n=name: called.add(n)) for name, part in parts.items()
    ]
    try:
        with torch.no_grad():
            network(example)
    except Exception:  # modules raise whatever they like
        return None
    finally:
        for handle in handles:
            handle.remove()
    return [name for name in parts if name in called]
