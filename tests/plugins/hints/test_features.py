from __future__ import annotations

import pytest
import torch
from torch import Tensor

from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Batch, Observation
from stillhouse.plugins.hints.features import hints_of

BATCH = Batch(torch.zeros(2, 1), torch.zeros(2, dtype=torch.long), torch.arange(2))
LOGITS = torch.zeros(2, 3)


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def both(student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    found = hints_of(
        Observation(LOGITS, {"own": student}, mask),
        Observation(LOGITS, {"other": teacher}, mask),
        BATCH,
        [("other", "own")],
    )
    return found.student[0], found.teacher[0]


def test_features_of_equal_positions_pass_as_they_are() -> None:
    student, teacher = drawn(2, 5, 3), drawn(2, 5, 7)
    own, other = both(student, teacher)
    assert own is student
    assert torch.equal(other, teacher)


def test_the_longer_feature_is_averaged_to_the_shorter() -> None:
    _, other = both(drawn(2, 3, 4), drawn(2, 6, 5))
    torch.testing.assert_close(other, drawn(2, 6, 5).view(2, 3, 2, 5).mean(2))


def test_rows_and_columns_are_averaged_each() -> None:
    own, _ = both(drawn(2, 4, 6, 5), drawn(2, 2, 2, 3))
    torch.testing.assert_close(own, drawn(2, 4, 6, 5).view(2, 2, 2, 2, 3, 5).mean((2, 4)))


def test_frames_and_pixels_meet_in_their_means() -> None:
    own, other = both(drawn(2, 4, 5), drawn(2, 3, 3, 7))
    torch.testing.assert_close(own, drawn(2, 4, 5).mean(1))
    torch.testing.assert_close(other, drawn(2, 3, 3, 7).mean((1, 2)))


def test_padding_is_never_seen() -> None:
    mask = torch.tensor([[True, True, False], [True, True, True]])
    student, changed = drawn(2, 3, 4), drawn(2, 3, 4)
    changed[0, 2] = 1e6
    own, other = both(student, changed, mask)
    torch.testing.assert_close(own, other)
    torch.testing.assert_close(own[0], student[0, :2].mean(0))


def test_padding_may_hold_anything_even_what_is_no_number() -> None:
    mask = torch.tensor([[True, True, False], [True, True, True]])
    student, teacher = drawn(2, 3, 4), drawn(2, 3, 4)
    student[0, 2], teacher[0, 2] = torch.nan, torch.inf
    own, other = both(student, teacher, mask)
    assert own.isfinite().all()
    assert torch.equal(own, other)


def test_features_with_samples_and_positions_in_one_axis_are_told_apart() -> None:
    _, other = both(drawn(2, 5, 3), drawn(10, 7))
    assert torch.equal(other, drawn(10, 7).view(2, 5, 7))


def test_nothing_of_the_teacher_has_a_gradient() -> None:
    teacher = drawn(2, 6, 5).requires_grad_()
    own, other = both(drawn(2, 3, 4).requires_grad_(), teacher)
    assert own.requires_grad
    assert not other.requires_grad


@pytest.mark.parametrize(("own", "other"), [(50, 99), (49, 100), (12, 24), (13, 50), (40, 40)])
def test_strides_of_a_whole_factor_belong_together(own: int, other: int) -> None:
    assert both(drawn(2, own, 1), drawn(2, other, 1))[1].shape[1] == own


@pytest.mark.parametrize(("own", "other"), [(40, 62), (30, 47)])
def test_clips_of_different_length_are_one_clear_error(own: int, other: int) -> None:
    said = f"'other' has {other} positions and student tap 'own' {own}: .* clips of one length"
    with pytest.raises(UserError, match=said):
        both(drawn(2, own, 1), drawn(2, other, 1))
