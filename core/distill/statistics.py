"""Batch-norm statistics of a network as it is now, from training data and without gradient.

Running statistics gathered while a supernet trained are those of all its subnets. Each subnet needs
its own before it is used (Yu et al. 2019, sec. 3.3; Cai et al. 2020 take 2,000 images).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from stillhouse.core.elastic import ElasticBatchNorm
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate.data import Split

Norm = _BatchNorm | ElasticBatchNorm


def has_statistics(module: nn.Module) -> bool:
    """Whether some part of a network keeps running statistics of its batches."""
    return bool(_norms(module))


def reestimate(
    module: nn.Module, split: Split, *, samples: int, batch_size: int, seed: int
) -> bool:
    """Replace every running statistic by the mean over batches of `split`; False if there is none.

    The batches are full ones, of together at most `samples` samples (at least one batch, which may
    then be all of the split), in the order that the seed gives. Each batch is normalised by its
    own statistics on the way, and all weigh the same. Weights, modes and momenta stay as they are;
    of an `ElasticModule` the statistics are those of the active subnet.

    Raises `UserError` for batches of less than two samples, which have no variance.
    """
    norms = _norms(module)
    if not norms:
        return False
    home = norms[0].weight.device
    with torch.no_grad(), _gathering(module, norms):
        for inputs in _inputs(split, samples, batch_size, seed):
            module(inputs.to(home))
    return True


def _norms(module: nn.Module) -> list[Norm]:
    norms = [part for part in module.modules() if isinstance(part, Norm)]
    return [part for part in norms if part.running_mean is not None]


def _inputs(split: Split, samples: int, batch_size: int, seed: int) -> Iterator[Tensor]:
    size = min(batch_size, samples, len(split))
    if size < 2:
        raise UserError(
            f"batch-norm statistics need batches of at least 2 samples, got {size} of split "
            f"'{split.name}' ({len(split)} samples); raise batch_size or the number of samples"
        )
    count = min(samples, len(split)) // size
    return (batch.inputs for batch in islice(split.batches(size, seed), count))


@contextmanager
def _gathering(module: nn.Module, norms: list[Norm]) -> Iterator[None]:
    """Only the norms train, from nothing, each batch with the same weight."""
    modes = {part: part.training for part in module.modules()}
    momenta = [norm.momentum for norm in norms]
    module.eval()
    for norm in norms:
        _forget(norm)
        norm.momentum = None
        norm.train()
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for part, mode in modes.items():
            part.training = mode


def _forget(norm: Norm) -> None:
    for buffer, value in (
        (norm.running_mean, 0),
        (norm.running_var, 1),
        (norm.num_batches_tracked, 0),
    ):
        if buffer is not None:
            buffer.fill_(value)
