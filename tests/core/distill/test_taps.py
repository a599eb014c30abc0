from __future__ import annotations

import pytest
import torch
from torch import nn

from stillhouse.core.distill.taps import Taps, tapped
from stillhouse.core.errors import UserError


def network() -> nn.Sequential:
    return nn.Sequential(nn.Identity(), nn.ReLU())


def test_features_are_the_named_modules_outputs() -> None:
    x = torch.tensor([-1.0, 2.0])
    output, features = tapped(network(), x, ("0", "1"))
    assert torch.equal(features["0"], x)
    assert torch.equal(features["1"], output)


def test_hooks_are_gone_afterwards() -> None:
    module = network()
    with Taps(module, ("0",)):
        assert module[0]._forward_hooks
    assert not module[0]._forward_hooks


def test_an_unknown_name_is_refused_and_leaves_no_hook() -> None:
    module = nn.Sequential()
    module.add_module("block", nn.ReLU())
    with pytest.raises(UserError, match="no module is called 'blocks'; did you mean 'block'"):
        Taps(module, ("block", "blocks"))
    assert not module[0]._forward_hooks
