"""Batch-norm statistics, estimated again from training data."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stillhouse.core.distill.statistics import has_statistics, reestimate
from stillhouse.core.elastic import ElasticBatchNorm
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Split


def split(samples: int = 24) -> Split:
    inputs = 3 + 2 * torch.randn(samples, 4, 5, generator=torch.Generator().manual_seed(0))
    return Split("train", inputs, torch.zeros(samples, dtype=torch.int64))


def network(dropout: float = 0.0) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        conv = nn.Conv1d(4, 3, 1)
    return nn.Sequential(nn.BatchNorm1d(4), conv, nn.Dropout(dropout), nn.BatchNorm1d(3)).eval()


def settings(**changes: int) -> dict[str, int]:
    return {"samples": 24, "batch_size": 8, "seed": 0, **changes}


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.mean((0, 2)), x.var((0, 2))


def test_one_batch_of_everything_gives_its_own_moments() -> None:
    module, data = network(), split()
    assert reestimate(module, data, **settings(batch_size=24))
    mean, variance = moments(data.inputs)
    torch.testing.assert_close(module[0].running_mean, mean)
    torch.testing.assert_close(module[0].running_var, variance)
    # The second norm saw what the first gave with the batch's own moments.
    first = (data.inputs - mean[:, None]) / (
        data.inputs.var((0, 2), correction=0)[:, None] + 1e-5
    ) ** 0.5
    mean, variance = moments(module[1](first))
    torch.testing.assert_close(module[3].running_mean, mean, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(module[3].running_var, variance, rtol=1e-4, atol=1e-4)


def test_every_batch_weighs_the_same_whatever_was_known_before() -> None:
    module, data = network(), split()
    with torch.no_grad():
        module[0].running_mean.fill_(99)
        module[0].running_var.fill_(99)
    reestimate(module, data, **settings())
    parts = [moments(batch.inputs) for batch in data.batches(8, seed=0)]
    torch.testing.assert_close(module[0].running_mean, torch.stack([m for m, _ in parts]).mean(0))
    torch.testing.assert_close(module[0].running_var, torch.stack([v for _, v in parts]).mean(0))


def test_the_seed_decides_which_samples_count() -> None:
    found = []
    for seed in (0, 0, 1):
        module = network()
        reestimate(module, split(), **settings(samples=8, seed=seed))
        found.append(module[0].running_mean.clone())
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_only_full_batches_count() -> None:
    whole, part = network(), network()
    reestimate(whole, split(), **settings(samples=16))
    reestimate(part, split(), **settings(samples=23))
    assert torch.equal(whole[0].running_mean, part[0].running_mean)


def test_nothing_but_statistics_changes() -> None:
    module = network(dropout=0.5)
    module[1].train()
    weights = {name: w.clone() for name, w in module.named_parameters()}
    modes = [part.training for part in module.modules()]
    state = torch.get_rng_state()
    reestimate(module, split(), **settings())
    assert all(torch.equal(w, weights[name]) for name, w in module.named_parameters())
    assert [part.training for part in module.modules()] == modes
    assert module[0].momentum == 0.1
    assert torch.equal(torch.get_rng_state(), state)
    assert all(w.grad is None for w in module.parameters())


def test_modes_and_momenta_come_back_after_a_failure() -> None:
    module = nn.Sequential(nn.BatchNorm1d(5)).eval()
    with pytest.raises(RuntimeError, match="running_mean"):
        reestimate(module, Split("train", torch.zeros(4, 4, 5), torch.zeros(4)), **settings())
    assert not module[0].training
    assert module[0].momentum == 0.1


def test_a_network_without_statistics_is_left_alone() -> None:
    def never(*_: Any) -> None:
        raise AssertionError("it ran")

    module = nn.Sequential(nn.LayerNorm(5), nn.BatchNorm1d(4, track_running_stats=False))
    module.register_forward_pre_hook(never)
    assert not has_statistics(module)
    assert not reestimate(module, split(), **settings())
    assert has_statistics(network())


def elastic_norm(width: int) -> ElasticBatchNorm:
    norm = ElasticBatchNorm.from_plain(nn.BatchNorm1d(4)).eval()
    norm.set_active(width)
    return norm


def test_an_elastic_norm_gathers_those_of_its_active_channels() -> None:
    data = split()
    narrow = Split("train", data.inputs[:, :3].contiguous(), data.targets)
    norm, plain = elastic_norm(3), nn.BatchNorm1d(3).eval()
    assert reestimate(nn.Sequential(norm), narrow, **settings())
    reestimate(nn.Sequential(plain), narrow, **settings())
    assert torch.equal(norm.extract().running_mean, plain.running_mean)
    assert torch.equal(norm.extract().running_var, plain.running_var)


@pytest.mark.parametrize("change", [{"samples": 1}, {"batch_size": 1}])
def test_batches_of_one_sample_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(UserError, match="batches of at least 2 samples, got 1 of split 'train'"):
        reestimate(network(), split(), **settings(**change))


def test_fewer_samples_than_a_batch_are_one_batch() -> None:
    module, data = network(), split(6)
    reestimate(module, data, **settings())
    torch.testing.assert_close(module[0].running_mean, moments(data.inputs)[0])
