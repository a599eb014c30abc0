"""What checkpoints hold of networks that keep some of their weights out of their state."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from stillhouse.core.distill.held import held, take


class Kept(nn.Module):
    """A vector of which the state only has the sum."""

    def __init__(self) -> None:
        super().__init__()
        self.real, self.shift = nn.Parameter(torch.arange(3.0)), nn.Parameter(torch.zeros(2))

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[f"{prefix}sum"] = destination.pop(f"{prefix}real").sum()

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        given = dict(state_dict)
        given[f"{prefix}real"] = given.pop(f"{prefix}sum").expand(3) / 3
        super()._load_from_state_dict(given, prefix, *rest)


def test_it_is_the_state_of_a_network_that_keeps_nothing_out() -> None:
    with torch.random.fork_rng():
        plain = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    state, whole = plain.state_dict(), held(plain)
    assert list(state) == list(whole)
    assert all(torch.equal(state[name], whole[name]) for name in state)


def test_what_is_kept_out_comes_back_as_it_was() -> None:
    one, other = nn.ModuleDict({"part": Kept()}), nn.ModuleDict({"part": Kept()})
    with torch.no_grad():
        one.get_parameter("part.real").mul_(5)
        one.get_parameter("part.shift").add_(1)
    whole = {name: tensor.clone() for name, tensor in held(one).items()}
    assert sorted(whole) == ["part.real", "part.shift", "part.sum"]
    take(other, whole)
    assert torch.equal(other.get_parameter("part.real"), torch.tensor([0.0, 5.0, 10.0]))
    assert torch.equal(other.get_parameter("part.shift"), torch.ones(2))
    other.load_state_dict(one.state_dict())
    assert torch.equal(other.get_parameter("part.real"), torch.full((3,), 5.0))


def test_without_it_a_network_is_not_restored() -> None:
    one = Kept()
    with pytest.raises(RuntimeError, match=r"expected the parameters \['real'\]"):
        take(one, one.state_dict())
