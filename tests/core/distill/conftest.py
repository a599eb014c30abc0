"""A two-layer family with an elastic width, small enough to train in milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import skip_init

from stillhouse.core.cost.sheet import Operator, OperatorSheet
from stillhouse.core.evaluate import (
    Classification,
    Context,
    ElasticModule,
    ModelFamily,
    ModuleTeacher,
    Split,
    State,
    TaskData,
)


class Stack(nn.Module):
    """Inputs (batch, frames, features) to logits (batch, outputs)."""

    def __init__(self, features: int, width: int, outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.first = skip_init(nn.Linear, features, width)
        self.second = skip_init(nn.Linear, width, width)
        self.dropout = nn.Dropout(dropout)
        self.head = skip_init(nn.Linear, width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        x = self.dropout(torch.relu(self.second(x)))
        return self.head(x.mean(1))


class Sliced(nn.Module):
    def __init__(self, plain: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = plain.weight, plain.bias
        self.outputs = plain.out_features

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight[: self.outputs, : x.shape[-1]]
        return functional.linear(x, weight, self.bias[: self.outputs])


@final
class ElasticStack(ElasticModule):
    def __init__(self, plain: Stack, structure: Mapping[str, Any]) -> None:
        super().__init__()
        self._structure = dict(structure)
        self.full = {"width": structure["width"]}
        self.first, self.second = Sliced(plain.first), Sliced(plain.second)
        self.head = Sliced(plain.head)
        self.set_active(self.full)

    def set_active(self, configuration: Mapping[str, Any]) -> None:
        self.width = self.first.outputs = self.second.outputs = configuration["width"]

    def active(self) -> Mapping[str, Any]:
        return {"width": self.width}

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.second(torch.relu(self.first(x)))).mean(1))

    def structure(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        return {**self._structure, "width": configuration["width"]}

    def extract(self) -> nn.Module:
        raise NotImplementedError


@final
class StackFamily(ModelFamily):
    name = "stack"

    def structure(
        self, params: Any, input_shape: tuple[int, ...], outputs: int
    ) -> Mapping[str, Any]:
        return {"input_shape": list(input_shape), "outputs": outputs, "width": params}

    def build(self, structure: Mapping[str, Any], generator: torch.Generator) -> Stack:
        shape = structure["input_shape"][-1], structure["width"], structure["outputs"]
        module = Stack(*shape, dropout=structure.get("dropout", 0.0))
        with torch.no_grad():
            for p in module.parameters():
                p.normal_(0.0, 0.3, generator=generator)
        return module

    def subnet(self, full: Mapping[str, Any], configuration: Mapping[str, Any]) -> Any:
        return {**full, **configuration}

    def taps(self, structure: Mapping[str, Any]) -> dict[str, int]:
        return {"first": structure["width"], "second": structure["width"]}

    def masking_point(self, structure: Mapping[str, Any]) -> str:
        return "first"

    def columns(self, structures: Sequence[Mapping[str, Any]]) -> Any:
        return {"width": np.array([s["width"] for s in structures], float)}

    def sheet(self, full: Mapping[str, Any], columns: Any) -> OperatorSheet:
        width = columns["width"]
        row = Operator("second", "linear", "stack", {"inputs": width, "outputs": width})
        return OperatorSheet(len(width), (row,))

    def elastic(self, module: nn.Module) -> ElasticStack:
        assert isinstance(module, Stack)
        shape = module.first.in_features, module.first.out_features, module.head.out_features
        full = {"input_shape": [4, shape[0]], "outputs": shape[2], "width": shape[1]}
        return ElasticStack(module, full)

    def scaled(self, full: Mapping[str, Any], parameters: int) -> Mapping[str, Any]:
        raise NotImplementedError


@dataclass(frozen=True)
class Bench:
    """A task, a family, a teacher, and a student of any seed."""

    context: Context
    state: State

    def student(self, seed: int = 1, **changes: Any) -> Stack:
        structure = {**self.context.full, **changes}
        return self.context.family.build(structure, torch.Generator().manual_seed(seed))


def split(name: Any, samples: int, generator: torch.Generator) -> Split:
    targets = torch.arange(samples) % 3
    inputs = torch.randn(samples, 4, 6, generator=generator) + targets[:, None, None]
    return Split(name, inputs, targets)


@pytest.fixture
def bench() -> Bench:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    sizes = {"train": 40, "tuning": 6, "validation": 12, "test": 6}
    data = TaskData(*(split(n, s, generator) for n, s in sizes.items()), sha256="tiny")
    task = Classification("tiny", data, ("a", "b", "c"), shift=1, noise=0.1)
    family = StackFamily()
    full = family.structure(16, (4, 6), 3)
    teacher = ModuleTeacher(
        family.build(full, generator), ("first", "second"), {"first": 16, "second": 16}
    )
    return Bench(Context(task, family, full), State({"teacher": teacher}, data))


@pytest.fixture
def weights() -> Callable[[nn.Module], dict[str, Tensor]]:
    def copied(module: nn.Module) -> dict[str, Tensor]:
        return {name: t.detach().clone() for name, t in module.state_dict().items()}

    return copied


@pytest.fixture(autouse=True)
def untouched_global_generator() -> Iterator[None]:
    """No test of this folder may move torch's global generator."""
    before = torch.get_rng_state()
    yield
    assert torch.equal(before, torch.get_rng_state())
