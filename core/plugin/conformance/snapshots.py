"""What a method must leave as it was: the given state and the process's generators."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from stillhouse.core.evaluate import ModuleTeacher, State
from stillhouse.core.plugin.conformance.check import UnmetError, unmet

Snapshot = Mapping[str, Any]

_SWITCHES: Final = {
    "torch's default dtype": torch.get_default_dtype,
    "torch's gradient mode": torch.is_grad_enabled,
    "torch's deterministic mode": torch.are_deterministic_algorithms_enabled,
    "torch's number of threads": torch.get_num_threads,
}


@contextmanager
def unmoved(half: str) -> Iterator[None]:
    """Raises UnmetError when generators or switches of the process differ afterwards."""
    before = _process()
    yield
    for name, value in _process().items():
        if value != before[name]:
            unmet(
                f"{half} to leave {name} as it was", "another state",
                "draw from torch.Generator().manual_seed(context.seed('label')), or fork the "
                "generator with torch.random.fork_rng",
            )  # fmt: skip


@contextmanager
def unchanged(state: State, half: str) -> Iterator[None]:
    """Raises UnmetError when the state, or what it holds, differs afterwards."""
    before = snapshot(state)
    yield
    after = snapshot(state)
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    if changed:
        unmet(
            f"{half} to leave the given state as it was", f"another {changed[0]}",
            "copy first (copy.deepcopy of the module, dataclasses.replace) and return a new state",
        )  # fmt: skip


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Global generators at a seed, and afterwards as they were: no result may depend on them."""
    kept = torch.get_rng_state(), np.random.get_state(), random.getstate()
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(kept[0])
        np.random.set_state(kept[1])
        random.setstate(kept[2])


def snapshot(state: State) -> Snapshot:
    """All that a state says and holds, by name, so that two can be compared."""
    found: dict[str, Any] = {
        "set of teachers": [(name, id(teacher)) for name, teacher in state.teachers.items()],
        "list of loss terms": [id(term) for term in state.terms],
        "policy": repr(state.policy),
        "masking": repr(state.masking),
    }
    for name in ("train", "tuning", "validation", "test"):
        split = state.data.split(name)
        found[f"{name} split"] = digest(split.inputs), digest(split.targets), digest(split.seen)
    for name, teacher in state.teachers.items():
        if isinstance(teacher, ModuleTeacher):
            found |= _module(f"teacher '{name}'", teacher.module)
    if state.student is not None:
        student = state.student
        found["student's updates"] = student.updates
        found["student's structure"] = json.dumps(dict(student.structure), default=repr)
        found["student's changes of form"] = repr(student.rebuilds)
        found |= _module("student", student.module)
    return found


def digest(tensor: Tensor) -> str:
    """A hash of a tensor's dtype, shape and bits."""
    bits = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    head = f"{tensor.dtype} {tuple(tensor.shape)}".encode()
    return hashlib.blake2b(head + bits.tobytes(), digest_size=16).hexdigest()


def weights(module: nn.Module) -> dict[str, str]:
    """A hash of every tensor of a module, by name."""
    return {name: digest(tensor) for name, tensor in module.state_dict().items()}


def same_weights(first: nn.Module, second: nn.Module, expected: str, change: str) -> None:
    """Raises UnmetError naming the first tensor that differs in bits, or is missing."""
    a, b = weights(first), weights(second)
    differing = [name for name in {**a, **b} if a.get(name) != b.get(name)]
    if differing:
        came = f"another {differing[0]}" + f" and {len(differing) - 1} more" * (len(differing) > 1)
        raise UnmetError(f"expected {expected}, got {came}; {change}")


def _module(whose: str, module: nn.Module) -> dict[str, Any]:
    found: dict[str, Any] = {
        f"{name} of the {whose}": value for name, value in weights(module).items()
    }
    for name, part in module.named_modules():
        hooks = len(part._forward_hooks), len(part._forward_pre_hooks), len(part._backward_hooks)
        found[f"layer '{name}' of the {whose}"] = id(part), part.training, hooks
    for name, parameter in module.named_parameters():
        found[f"requires_grad of {name} of the {whose}"] = parameter.requires_grad
    return found


def _process() -> dict[str, Any]:
    drawn: Any = np.random.get_state()
    return {
        "torch's global generator": digest(torch.get_rng_state()),
        "NumPy's global generator": (drawn[0], drawn[1].tobytes(), *drawn[2:]),
        "Python's global generator": random.getstate(),
        **{name: read() for name, read in _SWITCHES.items()},
    }
