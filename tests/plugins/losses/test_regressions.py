"""Losses whose adapter predicts the teacher's features, or something of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.distill.hint_loss import HintLoss, Hints, HintShapes
from stillhouse.plugins.losses.ab import AB
from stillhouse.plugins.losses.fitnets import FitNets
from stillhouse.plugins.losses.ft import FT
from stillhouse.plugins.losses.ofd import OFD
from stillhouse.plugins.losses.vid import VID

Make, Agrees, Mapped = Callable[..., Hints], Callable[..., None], Callable[..., Tensor]


def test_fitnets_is_the_mean_squared_error_of_the_regressor(
    make: Make, agrees: Agrees, mapped: Mapped, shapes: HintShapes
) -> None:
    def reference(loss: HintLoss, hints: Hints) -> Tensor:
        gaps = [
            mapped(loss.get_submodule(f"connectors.{i}"), s) - t.detach()
            for i, (s, t) in enumerate(zip(hints.student, hints.teacher, strict=True))
        ]
        return _sum((gap**2).sum() / gap.numel() for gap in gaps)

    agrees(FitNets(shapes).double(), make(), reference)


def test_vid_is_the_likelihood_of_a_gaussian_with_a_variance_for_each_channel(
    make: Make, agrees: Agrees, mapped: Mapped, shapes: HintShapes
) -> None:
    def reference(loss: HintLoss, hints: Hints) -> Tensor:
        parts = []
        for i, (s, t) in enumerate(zip(hints.student, hints.teacher, strict=True)):
            for layer in (0, 2, 4):
                s = mapped(loss.get_submodule(f"gaussians.{i}.mean.{layer}"), s)
                s = s * (s > 0) if layer < 4 else s
            for channel, rho in enumerate(loss.get_parameter(f"gaussians.{i}.rho")):
                variance = (1 + rho.exp()).log() + 1e-5
                gap = s[..., channel] - t.detach()[..., channel]
                parts.append((gap**2 / variance + variance.log()).sum() / 2 / t.numel())
        return _sum(parts)

    agrees(VID(shapes).double(), make(), reference)


def test_vid_starts_with_a_variance_of_five(shapes: HintShapes) -> None:
    rho = VID(shapes).get_parameter("gaussians.0.rho").double()
    assert torch.allclose(functional.softplus(rho) + 1e-5, torch.tensor(5.0).double(), rtol=1e-6)


def test_ab_is_a_squared_hinge_on_the_teachers_side_of_zero(
    make: Make, agrees: Agrees, mapped: Mapped, shapes: HintShapes
) -> None:
    def reference(loss: HintLoss, hints: Hints) -> Tensor:
        parts = []
        for i, (s, t) in enumerate(zip(hints.student, hints.teacher, strict=True)):
            own = mapped(loss.get_submodule(f"connectors.{i}"), s)
            for x, y in zip(own.flatten(), t.detach().flatten(), strict=True):
                side = 1 if y > 0 else -1
                parts.append(max(1 - side * x, 0 * x) ** 2 / len(t))
        return _sum(parts)

    agrees(AB(shapes).double(), make(), reference)


def test_ofd_counts_errors_where_either_network_is_active(
    make: Make, agrees: Agrees, mapped: Mapped, shapes: HintShapes
) -> None:
    hints = make()
    with torch.no_grad():
        hints.teacher[0][..., 2].abs_()
    margins = [_negative_means(t.detach()) for t in hints.teacher]

    def reference(loss: HintLoss, hints: Hints) -> Tensor:
        parts = []
        for i, (s, t) in enumerate(zip(hints.student, hints.teacher, strict=True)):
            own = mapped(loss.get_submodule(f"distances.{i}.connector"), s)
            channels = range(t.shape[-1])
            for channel in channels:
                margin = margins[i][channel]
                for x, y in zip(
                    own[..., channel].flatten(), t[..., channel].flatten(), strict=True
                ):
                    target = max(y.item(), margin)
                    if not x.item() <= target <= 0:
                        parts.append((x - target) ** 2 / len(t) / (2 if i == 0 else 1))
        return _sum(parts)

    loss = OFD(shapes).double()
    loss.begin(hints)
    assert loss.get_buffer("distances.0.margins")[2] == 0
    agrees(loss, hints, reference)


def test_ft_is_the_distance_of_factors_while_its_paraphraser_learns_to_reconstruct(
    make: Make, agrees: Agrees, mapped: Mapped, shapes: HintShapes
) -> None:
    hints = make()
    loss = FT(shapes).double()
    loss.begin(hints)

    def through(layers: nn.Module, x: Tensor) -> Tensor:
        for layer in layers.children():
            sloped = isinstance(layer, nn.Sequential)
            x = mapped(layer.get_submodule("0") if sloped else layer, x)
            x = torch.maximum(x, 0.1 * x) if sloped else x
        return x

    def inputs(t: Tensor) -> Tensor:
        rows = t.detach().flatten(0, -2)
        mean = rows.sum(0) / len(rows)
        return (t.detach() - mean) / ((rows - mean).square().sum(0) / len(rows)).sqrt()

    def distance(loss: HintLoss, hints: Hints) -> Tensor:
        parts = []
        for i, (s, t) in enumerate(zip(hints.student, hints.teacher, strict=True)):
            own = through(loss.get_submodule(f"translators.{i}"), s)
            other = through(loss.get_submodule(f"paraphrasers.{i}.encoder"), inputs(t)).detach()
            assert other.shape[-1] == t.shape[-1] // 2
            for x, y in zip(own, other, strict=True):
                gap = x / (x**2).sum().sqrt() - y / (y**2).sum().sqrt()
                parts.append(torch.maximum(gap, -gap).sum() / len(t))
        return _sum(parts)

    def slope(loss: HintLoss, hints: Hints) -> Tensor:
        errors = []
        for i, t in enumerate(hints.teacher):
            code = through(loss.get_submodule(f"paraphrasers.{i}.encoder"), inputs(t))
            back = through(loss.get_submodule(f"paraphrasers.{i}.decoder"), code)
            errors.append(((back - inputs(t)) ** 2).sum() / t.numel())
        return distance(loss, hints) + _sum(errors)

    agrees(loss, hints, distance, slope)


def test_fts_paraphraser_learns_nothing_from_the_student(make: Make, shapes: HintShapes) -> None:
    loss, hints = FT(shapes).double(), make()
    paraphraser = list(loss.get_submodule("paraphrasers").parameters())
    far = make()
    first = torch.autograd.grad(loss(hints), paraphraser)
    other = Hints(far.student, *(getattr(hints, n) for n in _REST))
    second = torch.autograd.grad(loss(other), paraphraser)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert any(slope.abs().max() > 0 for slope in first)


_REST = ("teacher", "student_logits", "teacher_logits", "targets", "indices")


def _negative_means(features: Tensor) -> list[float]:
    means = []
    for channel in features.reshape(-1, features.shape[-1]).T:
        negative = [float(x) for x in channel if x < 0]
        means.append(sum(negative) / len(negative) if negative else 0.0)
    return means


def _sum(parts: object) -> Tensor:
    return torch.stack(list(parts)).sum()  # type: ignore[call-overload,no-any-return]
