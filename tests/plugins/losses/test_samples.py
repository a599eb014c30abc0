"""Losses that compare the samples of a batch with one another."""

from __future__ import annotations

from collections.abc import Callable
from math import exp

import pytest
import torch
from torch import Tensor

from stillhouse.core.distill.hint_loss import HintLoss, Hints, HintShapes
from stillhouse.plugins.losses.cc import CC
from stillhouse.plugins.losses.crd import CRD
from stillhouse.plugins.losses.pkt import PKT
from stillhouse.plugins.losses.rkd import RKD
from stillhouse.plugins.losses.sp import SP

Make, Agrees, Mapped = Callable[..., Hints], Callable[..., None], Callable[..., Tensor]


def test_sp_is_the_distance_of_similarity_matrices(
    make: Make, agrees: Agrees, shapes: HintShapes
) -> None:
    agrees(SP(shapes), make(), _sp)


def test_cc_is_the_distance_of_kernels_between_samples(
    make: Make, agrees: Agrees, mapped: Mapped, shapes: HintShapes
) -> None:
    def reference(loss: HintLoss, hints: Hints) -> Tensor:
        total = _zero()
        for n, (s, t) in enumerate(zip(hints.student, hints.teacher, strict=True)):
            own = _directions(mapped(loss.get_submodule(f"embeddings.{n}"), s.mean(1)))
            other = _directions(t.detach().mean(1))
            for i in range(len(s)):
                for j in range(len(s)):
                    a, b = ((x[i] * x[j]).sum() for x in (own, other))
                    gap = [1 + 0.8 * c + 0.8**2 / 2 * c**2 for c in (a, b)]
                    total = total + (exp(-0.8) * (gap[0] - gap[1])) ** 2 / len(s) ** 2
        return total

    agrees(CC(shapes).double(), make(), reference)


def test_rkd_compares_relative_distances_and_angles(
    make: Make, agrees: Agrees, shapes: HintShapes
) -> None:
    agrees(RKD(shapes), make(batch=4), _rkd)


def test_rkd_ignores_scale_place_and_orientation(make: Make, shapes: HintShapes) -> None:
    hints = make(((5, 5),), ((6,),))
    turn = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64)).Q
    moved = (3 * hints.teacher[0].detach() @ turn + 2,)
    same = Hints(moved, hints.teacher, *_rest(hints))
    assert RKD(shapes)(same).item() == pytest.approx(0, abs=1e-12)
    assert RKD(shapes)(hints).item() > 1


def test_rkd_of_two_samples_that_are_one_has_slopes_of_order_one(
    make: Make, shapes: HintShapes
) -> None:
    hints = make(((5, 5),), ((2,),))
    with torch.no_grad():
        hints.student[0][1] = hints.student[0][0]
    (slope,) = torch.autograd.grad(RKD(shapes)(hints), hints.student[0])
    assert float(slope.abs().max()) < 1e3


def test_pkt_is_the_divergence_of_neighbourhoods(
    make: Make, agrees: Agrees, shapes: HintShapes
) -> None:
    agrees(PKT(shapes), make(), _pkt)


def test_crd_tells_a_sample_from_all_others(
    make: Make, agrees: Agrees, mapped: Mapped, shapes: HintShapes
) -> None:
    loss = CRD(shapes).double()
    agrees(loss, make(), lambda loss, hints: _crd(loss, hints, mapped))


def test_crd_keeps_its_normalising_constant_and_moves_the_rows_it_saw(
    make: Make, agrees: Agrees, mapped: Mapped, shapes: HintShapes
) -> None:
    loss, hints = CRD(shapes).double(), make()
    before = {name: buffer.clone() for name, buffer in loss.named_buffers()}
    loss(hints)
    after = dict(loss.named_buffers())
    own = _directions(
        mapped(loss.get_submodule("contrasts.0.student_embedding"), hints.student[0].mean(1))
    )
    name, rows = "contrasts.0.student_bank.rows", hints.indices
    assert torch.allclose(after[name][rows], _directions(before[name][rows] / 2 + own / 2))
    unseen = torch.ones(9, dtype=torch.bool).index_fill(0, rows, False)
    assert torch.equal(after[name][unseen], before[name][unseen])
    totals = {name: buffer for name, buffer in after.items() if name.endswith("total")}
    assert len(totals) == 4
    assert all(float(total) > 0 for total in totals.values())
    agrees(loss, make(), lambda loss, hints: _crd(loss, hints, mapped))
    later = dict(loss.named_buffers())
    assert all(torch.equal(later[name], total) for name, total in totals.items())


@pytest.mark.parametrize("how", ["eval", "no_grad"])
def test_crd_remembers_only_what_it_trains_on(make: Make, shapes: HintShapes, how: str) -> None:
    loss, hints = CRD(shapes).double(), make()
    before = {name: buffer.clone() for name, buffer in loss.named_buffers()}
    with torch.set_grad_enabled(how != "no_grad"):
        loss.train(how != "eval")(hints)
    assert all(torch.equal(before[name], buffer) for name, buffer in loss.named_buffers())


def test_crd_never_draws_the_sample_itself(make: Make, mapped: Mapped) -> None:
    samples, negatives = 20_000, 16_384
    loss = CRD(HintShapes(((5, 7),), samples, 4)).double().eval()
    hints = make(((5, 7),), ((6,),), batch=1, samples=samples)
    for name, buffer in loss.named_buffers():
        buffer.fill_(samples if name.endswith("total") else 0)
    loss.get_buffer("contrasts.0.teacher_bank.rows")[hints.indices] = 0.02
    own = _directions(
        mapped(loss.get_submodule("contrasts.0.student_embedding"), hints.student[0].mean(1))
    )
    noise = negatives / samples + 1e-7
    wanted = _zero()
    for scores in ((0.02 * own.sum(1) / 0.07).exp(), torch.ones(1, dtype=torch.float64)):
        shares = scores / samples
        wanted = wanted - (shares / (shares + noise)).log().mean()
        other = negatives / samples / (1 / samples + noise)
        wanted = wanted - negatives * torch.tensor(other, dtype=torch.float64).log()
    # A draw of its own row, which scores otherwise, would show in 56 of 100 draws.
    for _ in range(12):
        assert loss(hints).item() == pytest.approx(wanted.item(), rel=1e-12)


def test_crd_draws_from_a_large_bank_with_torchs_generator(make: Make) -> None:
    loss = CRD(HintShapes(((5, 7),), 20_000, 4)).double().eval()
    hints = make(((5, 7),), ((6,),), samples=20_000)
    values = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        values.append(loss(hints).item())
    assert values[0] == values[1] != values[2]


def _zero() -> Tensor:
    return torch.zeros((), dtype=torch.float64)


def _rest(hints: Hints) -> tuple[Tensor, ...]:
    return hints.student_logits, hints.teacher_logits, hints.targets, hints.indices


def _directions(vectors: Tensor) -> Tensor:
    return torch.stack([x / (x**2).sum().sqrt() for x in vectors])


def _sp(_loss: HintLoss, hints: Hints) -> Tensor:
    total = _zero()
    for s, t in zip(hints.student, hints.teacher, strict=True):
        grams = []
        for x in (s, t.detach()):
            rows = [torch.stack([(one * other).sum() for other in x]) for one in x]
            grams.append(_directions(torch.stack(rows)))
        total = total + ((grams[0] - grams[1]) ** 2).sum() / len(s) ** 2
    return total


def _rkd(_loss: HintLoss, hints: Hints) -> Tensor:
    def huber(gap: Tensor) -> Tensor:
        return gap**2 / 2 if abs(gap.item()) < 1 else abs(gap) - 0.5

    def length(x: Tensor) -> Tensor:
        return (x**2).sum().sqrt()

    def cosine(x: Tensor, i: int, j: int, k: int) -> Tensor:
        if j in (i, k):
            return _zero()
        one, other = x[i] - x[j], x[k] - x[j]
        return (one * other).sum() / length(one) / length(other)

    total = _zero()
    for s, t in zip(hints.student, hints.teacher, strict=True):
        own, other, n = s.mean(1), t.detach().mean(1), len(s)
        couples = [(i, j) for i in range(n) for j in range(n) if i != j]
        scales = [sum(length(x[i] - x[j]) for i, j in couples) / len(couples) for x in (own, other)]
        for i, j in couples:
            gap = length(own[i] - own[j]) / scales[0] - length(other[i] - other[j]) / scales[1]
            total = total + 25 * huber(gap) / n**2
        for i, j in couples:
            for k in range(n):
                gap = cosine(own, i, j, k) - cosine(other, i, j, k)
                total = total + 50 * huber(gap) / n**3
    return total


def _pkt(_loss: HintLoss, hints: Hints) -> Tensor:
    total = _zero()
    for s, t in zip(hints.student, hints.teacher, strict=True):
        tables = []
        for x in (_directions(s.mean(1)), _directions(t.detach().mean(1))):
            rows = [torch.stack([((one * other).sum() + 1) / 2 for other in x]) for one in x]
            tables.append([row / row.sum() for row in rows])
        for q, p in zip(*tables, strict=True):
            total = total + (p * ((p + 1e-7).log() - (q + 1e-7).log())).sum() / len(s)
    return total


def _crd(loss: HintLoss, hints: Hints, mapped: Mapped) -> Tensor:
    total = _zero()
    for n, (s, t) in enumerate(zip(hints.student, hints.teacher, strict=True)):
        at = f"contrasts.{n}"
        own = _directions(mapped(loss.get_submodule(f"{at}.student_embedding"), s.mean(1)))
        other = _directions(
            mapped(loss.get_submodule(f"{at}.teacher_embedding"), t.detach().mean(1))
        )
        for anchors, bank in ((own, "teacher_bank"), (other, "student_bank")):
            rows = loss.get_buffer(f"{at}.{bank}.rows").clone()
            z = loss.get_buffer(f"{at}.{bank}.total").clone()
            total = total + _contrast(anchors, rows, float(z), hints.indices)
    return total


def _contrast(anchors: Tensor, rows: Tensor, z: float, indices: Tensor) -> Tensor:
    n, noise, total = len(rows), (len(rows) - 1) / len(rows), _zero()
    scores = [[((u * v).sum() / 0.07).exp() for v in rows] for u in anchors]
    z = z or n * sum(x.item() for row in scores for x in row) / n / len(anchors)
    for row, index in zip(scores, indices, strict=True):
        for other, score in enumerate(row):
            right = score / z if other == int(index) else noise
            total = total - (right / (score / z + noise + 1e-7)).log() / len(anchors)
    return total
