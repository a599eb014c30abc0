"""Features of two networks in float64, and how a loss is held against its equation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
import torch
from torch import Tensor

from stillhouse.core.distill.hint_loss import HintLoss, Hints, HintShapes

CLASSES, SAMPLES = 4, 9


@pytest.fixture(autouse=True)
def own_generator() -> Iterator[None]:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        yield


@pytest.fixture
def shapes() -> HintShapes:
    return HintShapes(((5, 7), (4, 4)), SAMPLES, CLASSES)


@pytest.fixture
def make() -> Callable[..., Hints]:
    """Hints of widths (student, teacher) and positions for each pair; all ask for gradients."""

    def hints(
        widths: Sequence[tuple[int, int]] = ((5, 7), (4, 4)),
        positions: Sequence[tuple[int, ...]] = ((6,), (3,)),
        batch: int = 5,
        samples: int = SAMPLES,
    ) -> Hints:
        def drawn(*shape: int) -> Tensor:
            return torch.randn(*shape, dtype=torch.float64).requires_grad_()

        both = list(zip(widths, positions, strict=True))
        return Hints(
            tuple(drawn(batch, *at, width) for (width, _), at in both),
            tuple(drawn(batch, *at, width) for (_, width), at in both),
            drawn(batch, CLASSES),
            drawn(batch, CLASSES),
            torch.arange(batch) % CLASSES,
            torch.randperm(samples)[:batch],
        )

    return hints


@pytest.fixture
def agrees() -> Callable[..., None]:
    """A loss and a reference have the same value, and the same gradient by student and adapter.

    `slope`, where given, is what the gradient is of in place of the reference.
    """

    def check(
        loss: HintLoss,
        hints: Hints,
        reference: Callable[[HintLoss, Hints], Tensor],
        slope: Callable[[HintLoss, Hints], Tensor] | None = None,
    ) -> None:
        with torch.no_grad():
            for parameter in loss.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
        wanted, sloping = reference(loss, hints), (slope or reference)(loss, hints)
        value = loss(hints)
        assert value.shape == ()
        assert value.dtype == torch.float64
        assert value.item() == pytest.approx(wanted.item(), rel=1e-6, abs=1e-12)
        learned = [*hints.student, hints.student_logits, *loss.parameters()]
        for got, right in zip(_slopes(value, learned), _slopes(sloping, learned), strict=True):
            assert float((got - right).norm()) <= 1e-6 * float(right.norm()) + 1e-12

    return check


def _slopes(value: Tensor, learned: list[Tensor]) -> list[Tensor]:
    found = torch.autograd.grad(value, learned, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(learned, found, strict=True)]


@pytest.fixture
def mapped() -> Callable[..., Tensor]:
    """A connector by its equation: weights, then batch statistics or the bias."""

    def apply(connector: torch.nn.Module, features: Tensor) -> Tensor:
        weight = dict(connector.named_parameters())["weight"]
        rows = features.reshape(-1, features.shape[-1])
        out = sum(rows[:, i, None] * weight[None, :, i] for i in range(rows.shape[1]))
        assert isinstance(out, Tensor)
        if connector.norm is None:
            out = out + dict(connector.named_parameters())["bias"]
        else:
            scale, shift = (
                dict(connector.named_parameters())[f"norm.{n}"] for n in ("weight", "bias")
            )
            centred = out - out.mean(0)
            out = centred / (centred.square().mean(0) + 1e-5).sqrt() * scale + shift
        return out.reshape(*features.shape[:-1], -1)

    return apply
