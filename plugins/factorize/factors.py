"""One matrix as the product of two thinner ones."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from stillhouse.core.elastic import SelfAttention
from stillhouse.plugins.factorize.pairs import FactorisedAttention, Pair, thin
from stillhouse.plugins.layers.matrices import Layer, module_name, sorted_out


@final
@dataclass(frozen=True, eq=False)
class Spectrum:
    """A layer's matrix W = basis @ reduced, and how strong its answers are in each direction.

    basis (outputs, k) has orthonormal columns, reduced is (k, inputs times kernel), k the full
    rank. `moment` (k, k) is the second moment of reduced @ x over the inputs x that count: with all
    directions of x alike, reduced @ reduced^T. All are float64.
    """

    basis: Tensor
    reduced: Tensor
    moment: Tensor

    @staticmethod
    def of(layer: Layer) -> Spectrum:
        """That of the weights: all directions of the input count alike."""
        basis, reduced = reduction(layer)
        return Spectrum(basis, reduced, reduced @ reduced.T)

    def factors(self, rank: int) -> Pair:
        """The product of this rank whose answers are nearest in the least squares: U U^T W.

        U are the first principal components of the answers (the linear case of Zhang et al. 2016,
        arXiv:1505.06798, without their mean). Where all directions of the input count alike, it is
        the truncated singular value decomposition (Eckart and Young 1936). Both factors are as
        large as each other.
        """
        _, vectors = torch.linalg.eigh(self.moment)
        top = vectors[:, -rank:].flip(1)
        first, second = top.T @ self.reduced, self.basis @ top
        size = first.norm(dim=1).clamp(min=torch.finfo(first.dtype).tiny).sqrt()
        return first / size[:, None], second * size

    def lost(self, rank: int) -> float:
        """Share of the answers' energy that a rank leaves out, 0 to 1."""
        values = torch.linalg.eigvalsh(self.moment).clamp(min=0)
        return float(values[:-rank].sum() / values.sum().clamp(min=1e-300))


def reduction(layer: Layer) -> Pair:
    """Orthonormal basis (outputs, k) of the matrix's columns, and the matrix (k, ...) in it."""
    basis, reduced = torch.linalg.qr(layer.matrix.double())
    return basis, reduced


def factorised(
    network: nn.Module, ranks: Mapping[str, int], make: Callable[[str, Layer, int], Pair]
) -> nn.Module:
    """A copy in which `make` gives the weights of the named layers; in eval mode."""
    copied = copy.deepcopy(network)
    layers, _ = sorted_out(copied)
    for name, rank in ranks.items():
        layer = layers[name]
        pair = thin(layer, *make(name, layer, rank))
        part = layer.part
        new = FactorisedAttention(pair, part) if isinstance(part, SelfAttention) else pair
        copied.set_submodule(module_name(name, part), new)
    return copied.eval()


def cut(name: str, layer: Layer, rank: int) -> Pair:
    """Weights of the right shapes, at no cost."""
    return layer.matrix[:rank], layer.matrix[:, :rank]


def spectral(name: str, layer: Layer, rank: int) -> Pair:
    """The truncated singular value decomposition; of fresh weights the start for training that
    Khodak et al. 2021 (arXiv:2105.01029) found best."""
    return Spectrum.of(layer).factors(rank)
