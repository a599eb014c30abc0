"""Networks from descriptions: family, structure and the changes of form to repeat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, cast

import torch
from torch import nn

from stillhouse.core.evaluate.family import ModelFamily
from stillhouse.core.evaluate.method import Method
from stillhouse.core.evaluate.state import Student
from stillhouse.core.plugin import Catalogue


def description(student: Student) -> dict[str, Any]:
    """What latency, size and loading depend on: everything about a student but its weights."""
    return {
        "family": student.family,
        "structure": dict(student.structure),
        "rebuilds": [asdict(change) for change in student.rebuilds],
    }


def skeleton(
    described: Mapping[str, Any], generator: torch.Generator, catalogue: Catalogue
) -> nn.Module:
    """A network of a described shape and form, with weights drawn from `generator`."""
    build = cast("type[ModelFamily]", catalogue.resolve(catalogue.model(described["family"])))
    module = build().build(described["structure"], generator)
    for change in described["rebuilds"]:
        info = catalogue.method(change["method"])
        method = cast("type[Method]", catalogue.resolve(info))()
        module = method.rebuild(module, change["record"])
    return module
