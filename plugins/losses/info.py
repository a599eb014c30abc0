"""The built-in losses, described without importing torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stillhouse.core.plugin import LossInfo, hookimpl

_FEATURES: Final = {
    "ab": "Activation boundaries: the sides of zero (Heo et al., arXiv:1811.03233)",
    "at": "Attention transfer: where energy lies (Zagoruyko and Komodakis, arXiv:1612.03928)",
    "cc": "Correlation congruence of samples (Peng et al., arXiv:1904.01802)",
    "crd": "Contrastive representation distillation (Tian et al., arXiv:1910.10699)",
    "fitnets": "Features, regressed (Romero et al., arXiv:1412.6550)",
    "fsp": "Flow between consecutive layers (Yim et al., CVPR 2017)",
    "ft": "Factor transfer: a paraphrase, translated (Kim et al., arXiv:1802.04977)",
    "nst": "Neuron selectivity: patterns over positions (Huang and Wang, arXiv:1707.01219)",
    "ofd": "Overhaul of feature distillation: partial L2 (Heo et al., arXiv:1904.01866)",
    "pkt": "Probabilistic knowledge transfer (Passalis and Tefas, arXiv:1803.10837)",
    "rkd": "Relations: distances and angles of samples (Park et al., arXiv:1904.05068)",
    "sp": "Similarity-preserving: which samples look alike (Tung and Mori, arXiv:1907.09682)",
    "vid": "Variational information distillation (Ahn et al., arXiv:1904.05835)",
}
_ANSWERS: Final = {
    "kd": "Softened answers (Hinton et al., arXiv:1503.02531)",
    "wsl": "Weighted soft labels (Zhou et al., arXiv:2102.00650)",
}


@hookimpl
def stillhouse_losses() -> Iterator[LossInfo]:
    for name, summary in _FEATURES.items():
        yield LossInfo(name=name, summary=summary, build=_build(name))
    for name, summary in _ANSWERS.items():
        yield LossInfo(name=name, summary=summary, build=_build(name), compares="answers")


def _build(name: str) -> str:
    attribute = "FitNets" if name == "fitnets" else name.upper()
    return f"stillhouse.plugins.losses.{name}:{attribute}"
