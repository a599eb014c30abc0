"""What holds for each of the fifteen."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest
import torch
from torch import Tensor

from stillhouse.core.distill.hint_loss import HintLoss, Hints, HintShapes
from stillhouse.core.plugin import Catalogue
from stillhouse.plugins.losses.info import stillhouse_losses

Make = Callable[..., Hints]
NAMES = tuple(info.name for info in stillhouse_losses())
OF_FEATURES = tuple(info.name for info in stillhouse_losses() if info.compares == "features")
OF_POSITIONS = ("at", "nst")
PUBLISHED = {
    *("ab", "at", "cc", "crd", "fitnets", "fsp", "ft", "kd"),
    *("nst", "ofd", "pkt", "rkd", "sp", "vid", "wsl"),
}


@pytest.fixture(scope="module")
def build() -> Callable[[str, HintShapes], HintLoss]:
    catalogue = Catalogue.discover()

    def built(name: str, shapes: HintShapes) -> HintLoss:
        return cast("type[HintLoss]", catalogue.resolve(catalogue.loss(name)))(shapes)

    return built


Build = Callable[[str, HintShapes], HintLoss]


def test_the_catalogue_offers_all_fifteen_with_their_papers() -> None:
    catalogue = Catalogue.discover()
    assert set(catalogue.names("loss")) >= PUBLISHED == set(NAMES)
    for name in NAMES:
        info = catalogue.loss(name)
        assert re.search(
            r"\(.+(et al\.| and \w+), (arXiv:\d{4}\.\d{4,5}|CVPR 2017)\)$", info.summary
        )
        loss = catalogue.resolve(info)
        assert isinstance(loss, type)
        assert issubclass(loss, HintLoss)
        assert loss.__final__  # type: ignore[attr-defined]
        assert loss.__doc__ is not None


def test_two_losses_compare_answers() -> None:
    assert set(NAMES) - set(OF_FEATURES) == {"kd", "wsl"}


def test_describing_the_losses_imports_no_torch() -> None:
    code = (
        "import sys, stillhouse.plugins.losses.info as i; list(i.stillhouse_losses());"
        "print([m for m in ('torch', 'numpy', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", NAMES)
def test_the_student_and_the_whole_adapter_learn_and_the_teacher_does_not(
    name: str, build: Build, make: Make, shapes: HintShapes
) -> None:
    loss, hints = build(name, shapes).double(), make()
    loss.begin(hints)
    loss(hints).backward()
    learns = hints.student if name in OF_FEATURES else (hints.student_logits,)
    for learned in (*learns, *loss.parameters()):
        assert learned.grad is not None
        assert torch.isfinite(learned.grad).all()
    assert all(student.grad is not None and student.grad.abs().max() > 0 for student in learns)
    assert all(teacher.grad is None for teacher in (*hints.teacher, hints.teacher_logits))


@pytest.mark.parametrize("name", OF_FEATURES)
def test_the_loss_is_a_sum_over_pairs(name: str, build: Build, make: Make) -> None:
    widths, positions = ((5, 7), (4, 4), (3, 6)), ((6,), (3,), (3,))
    loss, hints = build(name, HintShapes(widths, 9, 4)).double(), make(widths, positions)
    loss.begin(hints)
    state, span = loss.state_dict(), 2 if name == "fsp" else 1
    total = 0.0
    for first in range(len(widths) - span + 1):
        taken = slice(first, first + span)
        part = build(name, HintShapes(widths[taken], 9, 4)).double()
        part.load_state_dict(_part(state, first, span))
        share = 2.0 ** (first - 2) if name == "ofd" else 1.0
        few = replace(hints, student=hints.student[taken], teacher=hints.teacher[taken])
        total += share * part(few).item()
    assert loss(hints).item() == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize("name", sorted({*OF_FEATURES} - {"nst"}))
def test_channels_that_a_narrower_student_lacks_count_as_zeros(
    name: str, build: Build, make: Make
) -> None:
    shapes = HintShapes(((5, 7), (4, 6)), 9, 4)
    loss, narrow = build(name, shapes).double(), make(((3, 7), (2, 6)))
    loss.begin(narrow)
    padded = tuple(torch.cat([s, s.new_zeros(*s.shape[:-1], 2)], -1) for s in narrow.student)
    with torch.no_grad():
        values = [loss(hints).item() for hints in (narrow, replace(narrow, student=padded))]
    assert values[0] == pytest.approx(values[1], rel=1e-12)


@pytest.mark.parametrize("name", OF_FEATURES)
def test_maps_count_as_their_positions_in_a_row(
    name: str, build: Build, make: Make, shapes: HintShapes
) -> None:
    loss, maps = build(name, shapes).double(), make(positions=((2, 3), (2, 3)))
    loss.begin(maps)
    flat = {side: tuple(x.flatten(1, 2) for x in getattr(maps, side)) for side in _SIDES}
    with torch.no_grad():
        assert torch.allclose(loss(maps), loss(replace(maps, **flat)), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", sorted({*OF_FEATURES} - {*OF_POSITIONS}))
def test_vectors_count_as_a_single_position(
    name: str, build: Build, make: Make, shapes: HintShapes
) -> None:
    loss, vectors = build(name, shapes).double(), make(positions=((), ()))
    loss.begin(vectors)
    one = {side: tuple(x[:, None] for x in getattr(vectors, side)) for side in _SIDES}
    with torch.no_grad():
        assert torch.allclose(loss(vectors), loss(replace(vectors, **one)), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", ["zero student", "zeros", "constant", "one sample", "same"])
def test_degenerate_features_have_finite_values_and_slopes(
    name: str, case: str, build: Build, make: Make
) -> None:
    widths, positions = ((4, 4), (3, 3)), ((4, 5), (2, 2))
    drawn = make(widths, positions, batch=1 if case == "one sample" else 4)
    hints = _single(drawn)
    with torch.no_grad():
        for student, teacher in zip(hints.student, hints.teacher, strict=True):
            if case in ("zero student", "zeros"):
                student.zero_()
            if case == "zeros":
                teacher.zero_()
            if case == "constant":
                student.fill_(2)
                teacher.fill_(-3)
            if case == "same":
                student.copy_(teacher)
    loss = build(name, HintShapes(widths, 9, 4))
    loss.begin(hints)
    value = loss(hints)
    value.backward()
    assert value.dtype == torch.float32
    assert torch.isfinite(value)
    for learned in (*hints.student, hints.student_logits, *loss.parameters()):
        assert learned.grad is None or bool(torch.isfinite(learned.grad).all())
    if case == "one sample" and name in ("cc", "pkt", "rkd", "sp"):
        assert value.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", sorted({*OF_FEATURES} - {*OF_POSITIONS}))
def test_one_sample_of_one_position_is_finite(name: str, build: Build, make: Make) -> None:
    loss = build(name, HintShapes(((4, 4), (3, 5)), 9, 4))
    hints = _single(make(((4, 4), (3, 5)), ((), ()), batch=1))
    loss.begin(hints)
    value = loss(hints)
    value.backward()
    assert torch.isfinite(value)
    assert all(torch.isfinite(p.grad).all() for p in loss.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_builds_and_draws_the_same(
    name: str, build: Build, make: Make, shapes: HintShapes
) -> None:
    hints, runs = make(), []
    for _ in range(2):
        torch.manual_seed(7)
        loss = build(name, shapes).double()
        loss.begin(hints)
        runs.append([loss(hints).detach(), loss(hints).detach(), *loss.state_dict().values()])
    assert all(torch.equal(one, other) for one, other in zip(*runs, strict=True))


_SIDES = ("student", "teacher")


def _part(state: dict[str, Tensor], first: int, span: int) -> dict[str, Tensor]:
    """The state of the adapters `first` to `first + span`, numbered from 0."""
    found = {}
    for name, tensor in state.items():
        group, position, rest = name.split(".", 2)
        if first <= int(position) < first + span:
            found[f"{group}.{int(position) - first}.{rest}"] = tensor
    return found


def _single(hints: Hints) -> Hints:
    def narrowed(x: Tensor) -> Tensor:
        return x.detach().float().requires_grad_()

    return Hints(
        tuple(narrowed(x) for x in hints.student),
        tuple(narrowed(x) for x in hints.teacher),
        narrowed(hints.student_logits),
        narrowed(hints.teacher_logits),
        hints.targets,
        hints.indices,
    )
