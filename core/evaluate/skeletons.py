"""Networks from descriptions: family, structure and the changes of form to repeat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, cast

import torch
from torch import nn

from stillhouse.core.errors import PluginError, StillhouseError
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
    """A network of a described shape and form, with weights drawn from `generator`.

    Raises PluginError, naming the supplier, when a method fails to repeat its change of form.
    """
    build = cast("type[ModelFamily]", catalogue.resolve(catalogue.model(described["family"])))
    module = build().build(described["structure"], generator)
    for change in described["rebuilds"]:
        module = _rebuilt(module, change["method"], change["record"], catalogue)
    return module


def _rebuilt(
    module: nn.Module, name: str, record: Mapping[str, Any], catalogue: Catalogue
) -> nn.Module:
    method = cast("type[Method]", catalogue.resolve(catalogue.method(name)))()
    try:
        return method.rebuild(module, record)
    except StillhouseError:
        raise
    except Exception as error:
        raise PluginError(
            f"method '{name}' ({catalogue.provenance('method', name)}) failed in rebuild: "
            f"{type(error).__name__}: {error}; it was given the record {dict(record)}"
        ) from error
