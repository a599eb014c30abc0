"""Losses that compare patterns over positions."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from stillhouse.core.distill.hint_loss import HintLoss, Hints, HintShapes
from stillhouse.core.errors import UserError
from stillhouse.plugins.losses.at import AT
from stillhouse.plugins.losses.fsp import FSP
from stillhouse.plugins.losses.nst import NST

Make, Agrees, Mapped = Callable[..., Hints], Callable[..., None], Callable[..., Tensor]


def test_at_is_the_distance_of_maps_of_energy(
    make: Make, agrees: Agrees, shapes: HintShapes
) -> None:
    agrees(AT(shapes), make(), _at)


@pytest.mark.parametrize("positions", [(2, 3), (8, 9)], ids=["few", "more than channels"])
def test_nst_is_the_discrepancy_of_channels_under_a_squared_kernel(
    make: Make, agrees: Agrees, shapes: HintShapes, positions: tuple[int, int]
) -> None:
    agrees(NST(shapes), make(positions=tuple((n,) for n in positions)), _nst)


def test_nst_is_the_discrepancy_for_a_narrower_student(
    make: Make, agrees: Agrees, shapes: HintShapes
) -> None:
    agrees(NST(shapes), make(widths=((3, 7), (2, 4))), _nst)


def test_fsp_is_the_distance_of_grams_between_layers(
    make: Make, agrees: Agrees, mapped: Mapped, shapes: HintShapes
) -> None:
    def reference(loss: HintLoss, hints: Hints) -> Tensor:
        student = [mapped(loss.get_submodule("connectors.0"), hints.student[0]), hints.student[1]]
        pooled = [x.unflatten(1, (3, 2)).mean(2) for x in (student[0], hints.teacher[0].detach())]
        return _flow_distance((pooled[0], student[1]), (pooled[1], hints.teacher[1].detach()))

    agrees(FSP(shapes).double(), make(), reference)


def test_fsp_reads_three_layers_as_two_flows(make: Make, agrees: Agrees) -> None:
    def reference(loss: HintLoss, hints: Hints) -> Tensor:
        student, teacher = hints.student, [t.detach() for t in hints.teacher]
        return sum(
            (_flow_distance(student[i : i + 2], teacher[i : i + 2]) for i in range(2)),
            torch.zeros((), dtype=torch.float64),
        )

    widths = ((3, 3), (4, 4), (5, 5))
    loss = FSP(HintShapes(widths, 9, 4))
    assert not list(loss.parameters())
    agrees(loss, make(widths, ((4,), (4,), (4,))), reference)


def test_fsp_averages_maps_to_the_smaller(make: Make) -> None:
    loss = FSP(HintShapes(((3, 3), (4, 4)), 9, 4))
    hints = make(((3, 3), (4, 4)), ((4, 6), (2, 3)))
    pooled = [
        x[0].unflatten(1, (2, 2)).unflatten(3, (3, 2)).mean((2, 4))
        for x in (hints.student, hints.teacher)
    ]
    wanted = _flow_distance((pooled[0], hints.student[1]), (pooled[1], hints.teacher[1]))
    assert loss(hints).item() == pytest.approx(wanted.item(), rel=1e-9)


def test_fsp_compares_a_narrower_student_with_the_same_channels_of_the_teacher(make: Make) -> None:
    loss = FSP(HintShapes(((3, 3), (4, 4)), 9, 4))
    hints = make(((2, 3), (4, 4)), ((4,), (4,)))
    wanted = _flow_distance(hints.student, (hints.teacher[0][..., :2], hints.teacher[1]))
    assert loss(hints).item() == pytest.approx(wanted.item(), rel=1e-9)


def test_fsp_refuses_a_single_pair() -> None:
    with pytest.raises(UserError, match="needs two hints or more, got 1"):
        FSP(HintShapes(((3, 3),), 9, 4))


def test_fsp_refuses_frames_after_maps(make: Make) -> None:
    loss = FSP(HintShapes(((3, 3), (4, 4)), 9, 4))
    with pytest.raises(UserError, match=r"positions \(2, 2\) and \(3,\)"):
        loss(make(((3, 3), (4, 4)), ((2, 2), (3,))))


@pytest.mark.parametrize("loss", [AT, NST])
@pytest.mark.parametrize("positions", [(), (1,)])
def test_patterns_over_a_single_position_are_refused(
    make: Make, shapes: HintShapes, loss: type[HintLoss], positions: tuple[int, ...]
) -> None:
    with pytest.raises(UserError, match="needs two or more, got features of shape"):
        loss(shapes)(make(positions=((6,), positions)))


def _at(_loss: HintLoss, hints: Hints) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for s, t in zip(hints.student, hints.teacher, strict=True):
        for x, y in zip(s, t.detach(), strict=True):
            maps = [(z**2).sum(-1) / z.shape[-1] for z in (x, y)]
            own, other = (z / (z**2).sum().sqrt() for z in maps)
            total = total + ((own - other) ** 2).sum() / own.numel() / len(s)
    return total


def _nst(_loss: HintLoss, hints: Hints) -> Tensor:
    def kernel(one: Tensor, other: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for x in one.T:
            for y in other.T:
                cosine = (x * y).sum() / (x**2).sum().sqrt() / (y**2).sum().sqrt()
                total = total + cosine**2 / one.shape[1] / other.shape[1]
        return total

    total = torch.zeros((), dtype=torch.float64)
    for s, t in zip(hints.student, hints.teacher, strict=True):
        for x, y in zip(s, t.detach(), strict=True):
            total = total + (kernel(y, y) + kernel(x, x) - 2 * kernel(x, y)) / len(s)
    return total


def _flow_distance(student: tuple[Tensor, ...], teacher: tuple[Tensor, ...]) -> Tensor:
    grams = []
    for before, after in (student, teacher):
        one, other = before.flatten(1, -2), after.flatten(1, -2)
        products = [
            (one[:, n, :, None] * other[:, n, None, :]) / one.shape[1] for n in range(one.shape[1])
        ]
        grams.append(sum(products, torch.zeros_like(products[0])))
    gap = grams[0] - grams[1]
    return (gap**2).sum() / gap.numel()
