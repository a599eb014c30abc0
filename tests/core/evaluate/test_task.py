from __future__ import annotations

import pytest
import torch

from stillhouse.core.evaluate import Classification, Split, TaskData
from stillhouse.core.evaluate.data import SplitName

SAMPLES, FRAMES, FEATURES = 400, 12, 3
SPLITS: tuple[SplitName, ...] = ("train", "tuning", "validation", "test")


def classification(**augmentation: float) -> Classification:
    inputs, targets = torch.ones(4, FRAMES, FEATURES), torch.tensor([0, 1, 0, 1])
    splits = {name: Split(name, inputs, targets) for name in SPLITS}
    return Classification("toy", TaskData(**splits, sha256=""), ("no", "yes"), **augmentation)  # type: ignore[arg-type]


def augmented(seed: int = 0, **augmentation: float) -> torch.Tensor:
    inputs = torch.ones(SAMPLES, FRAMES, FEATURES)
    return classification(**augmentation).augment(inputs, torch.Generator().manual_seed(seed))


def test_masks_are_runs_of_whole_frames_no_longer_than_asked() -> None:
    view = augmented(mask=5)
    hidden = view[..., 0] == 0
    assert torch.equal(view, (~hidden).float()[..., None].expand_as(view))
    assert set(hidden.sum(1).tolist()) == set(range(6))
    edges = hidden.int().diff(
        dim=1, prepend=torch.zeros(SAMPLES, 1), append=torch.zeros(SAMPLES, 1)
    )
    assert (edges == 1).sum(1).max() == 1


def test_every_frame_can_be_masked() -> None:
    assert (augmented(mask=5)[..., 0] == 0).any(0).all()


def test_a_mask_wider_than_the_input_hides_at_most_all_of_it() -> None:
    widths = (augmented(mask=50)[..., 0] == 0).sum(1)
    assert (widths.min(), widths.max()) == (0, FRAMES)


@pytest.mark.parametrize("augmentation", [{"mask": 5}, {"noise": 0.5}])
def test_the_generator_alone_decides_a_view(augmentation: dict[str, float]) -> None:
    view = augmented(0, **augmentation)
    assert torch.equal(view, augmented(0, **augmentation))
    assert not torch.equal(view, augmented(1, **augmentation))


def test_without_augmentation_inputs_stay_as_they_are() -> None:
    assert torch.equal(augmented(), torch.ones(SAMPLES, FRAMES, FEATURES))


def test_shifts_move_frames_and_repeat_the_edge() -> None:
    ramp = torch.arange(FRAMES).float()[None, :, None].expand(SAMPLES, FRAMES, FEATURES)
    view = classification(shift=2).augment(ramp, torch.Generator().manual_seed(0))
    moved = [(torch.arange(FRAMES) - by).clamp(0, FRAMES - 1).float() for by in range(-2, 3)]
    found = {tuple(frames.tolist()) for frames in view[..., 0]}
    assert found == {tuple(frames.tolist()) for frames in moved}


def test_waveforms_move_within_silence() -> None:
    ramp = torch.arange(1, FRAMES + 1).float().expand(SAMPLES, FRAMES)
    view = classification(shift=2).augment(ramp, torch.Generator().manual_seed(0))
    expected = {
        tuple(float(i + by) if 1 <= i + by <= FRAMES else 0.0 for i in range(1, FRAMES + 1))
        for by in range(-2, 3)
    }
    assert {tuple(wave.tolist()) for wave in view} == expected


def test_images_are_masked_row_by_row() -> None:
    view = classification(mask=3).augment(
        torch.ones(SAMPLES, FRAMES, 4, 2), torch.Generator().manual_seed(0)
    )
    hidden = view[..., 0, 0] == 0
    assert torch.equal(view, (~hidden).float()[..., None, None].expand_as(view))


def test_whole_numbers_have_no_views_but_themselves() -> None:
    ids = torch.arange(SAMPLES * FRAMES).reshape(SAMPLES, FRAMES)
    task = classification(shift=2, noise=0.5, mask=3)
    assert torch.equal(task.augment(ids, torch.Generator().manual_seed(0)), ids)


@pytest.mark.parametrize("augmentation", [{"shift": 1}, {"noise": 0.5}, {"mask": 3}])
def test_a_task_says_whether_its_views_differ_from_its_inputs(
    augmentation: dict[str, float],
) -> None:
    assert classification(**augmentation).augments
    assert not classification().augments


def test_a_task_of_whole_numbers_never_augments() -> None:
    splits = {
        name: Split(name, torch.ones(4, FRAMES, dtype=torch.int64), torch.tensor([0, 1, 0, 1]))
        for name in SPLITS
    }
    task = Classification("ids", TaskData(**splits, sha256=""), ("no", "yes"), shift=2, noise=0.5)
    assert not task.augments
