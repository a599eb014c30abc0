"""A student sees channels of what its teachers are given."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Classification, ModuleTeacher, Split, Task, TaskData
from stillhouse.core.evaluate.data import SplitName
from stillhouse.core.evaluate.predicting import predict

SPLITS: tuple[SplitName, ...] = ("train", "tuning", "validation", "test")


def task(shape: Sequence[int] = (5, 4), **augmentation: float) -> Classification:
    generator = torch.Generator().manual_seed(0)
    splits = [
        Split(name, torch.randn(6, *shape, generator=generator), torch.arange(6) % 2)
        for name in SPLITS
    ]
    data = TaskData(*splits, sha256="of all channels")
    return Classification("toy", data, ("no", "yes"), **augmentation)  # type: ignore[arg-type]


class Summing(nn.Module):
    """Logits (batch, 2) from inputs (batch, frames, channels), and what inputs it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([1.0, -1.0]))
        self.given: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.given.append(x)
        return x[..., 0].sum(1, keepdim=True) * self.scale


def test_a_view_has_the_channels_that_were_chosen_in_their_order() -> None:
    whole, view = task(), task().viewed((3, 1))
    assert view.channels == (3, 1)
    assert view.input_shape == (5, 2)
    for name in SPLITS:
        before, split = whole.data.split(name), view.data.split(name)
        assert torch.equal(split.inputs, before.inputs[..., [3, 1]])
        assert split.whole is not None
        assert torch.equal(split.whole, before.inputs)
        assert split.seen is split.whole
        assert torch.equal(split.targets, before.targets)
    assert torch.equal(view.example(8), whole.example(8)[..., [3, 1]])


def test_two_channels_can_be_swapped() -> None:
    straight, swapped = task().viewed((0, 1)), task().viewed((1, 0))
    assert torch.equal(straight.data.test.inputs.flip(-1), swapped.data.test.inputs)
    assert not torch.equal(straight.data.test.inputs, swapped.data.test.inputs)


def test_what_views_leave_alone_stays_the_tasks() -> None:
    whole = task(shift=1)
    view = whole.viewed((0,))
    assert (view.name, view.labels, view.outputs) == (whole.name, whole.labels, whole.outputs)
    assert (view.metrics, view.augments, view.several) == (whole.metrics, True, False)
    assert whole.channels == ()
    assert whole.input_shape == (5, 4)
    assert whole.data.train.whole is None
    assert whole.data.train.seen is whole.data.train.inputs


def test_a_view_of_a_view_starts_from_the_whole_again() -> None:
    whole = task()
    narrow = whole.viewed((2,))
    again = narrow.viewed((0, 3))
    assert torch.equal(again.data.train.inputs, whole.data.train.inputs[..., [0, 3]])
    assert narrow.viewed(()) is whole


@pytest.mark.parametrize("channels", [(), (0, 1, 2, 3)])
def test_to_see_all_in_order_is_no_view(channels: tuple[int, ...]) -> None:
    whole = task()
    assert whole.viewed(channels) is whole


def test_the_hash_of_the_data_tells_views_apart() -> None:
    whole = task()
    views: list[tuple[int, ...]] = [(), (0,), (1,), (0, 1), (1, 0), (3, 2, 1, 0)]
    hashes = [whole.viewed(channels).data.sha256 for channels in views]
    assert hashes[0] == "of all channels"
    assert len(set(hashes)) == len(views)
    assert whole.viewed((0, 1)).data.sha256 == hashes[3]


@pytest.mark.parametrize(
    ("channels", "said"),
    [
        ((0, 4), r"expected numbers from 0 to 3, .* 4 channels, got 4; count from 0"),
        ((-1,), r"expected numbers from 0 to 3, .* got -1"),
        ((1, 0, 1), r"expected each channel once, got 1, 0, 1"),
    ],
)
def test_channels_that_cannot_be_chosen_are_refused(channels: tuple[int, ...], said: str) -> None:
    with pytest.raises(UserError, match=said):
        task().viewed(channels)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_waveforms_and_tokens_have_no_channels(dtype: torch.dtype) -> None:
    splits = [Split(name, torch.ones(4, 50, dtype=dtype), torch.arange(4) % 2) for name in SPLITS]
    one = Classification("toy", TaskData(*splits, sha256=""), ("no", "yes"))
    with pytest.raises(UserError, match=r"an axis of channels to choose 0 from.*\(50,\)"):
        one.viewed((0,))
    assert one.viewed(()) is one


def test_one_batch_has_what_the_student_and_what_its_teachers_see() -> None:
    (batch,) = task().viewed((2, 0)).data.train.batches(6, seed=3)
    assert (batch.inputs.shape, batch.seen.shape) == ((6, 5, 2), (6, 5, 4))
    assert torch.equal(batch.inputs, batch.seen[..., [2, 0]])
    part = batch.rows(slice(1, 3)).to("cpu")
    assert torch.equal(part.seen, batch.seen[1:3])
    assert torch.equal(part.inputs, batch.inputs[1:3])
    assert part.indices.tolist() == batch.indices[1:3].tolist()


@pytest.mark.parametrize("augmentation", [{"shift": 2}, {"noise": 0.5}, {"mask": 3}, {}])
def test_a_training_view_is_drawn_once_for_student_and_teachers(
    augmentation: dict[str, float],
) -> None:
    whole = task(**augmentation)
    view = whole.viewed((3, 1))
    (batch,) = view.data.train.batches(6)
    seen = view.training_view(batch, torch.Generator().manual_seed(5))
    alone = whole.augment(whole.data.train.inputs, torch.Generator().manual_seed(5))
    assert torch.equal(seen.seen, alone)
    assert torch.equal(seen.inputs, alone[..., [3, 1]])


def test_without_a_view_teachers_are_given_what_the_student_sees() -> None:
    (batch,) = task(noise=0.5).data.train.batches(6)
    seen = task(noise=0.5).training_view(batch, torch.Generator().manual_seed(5))
    assert seen.whole is None
    assert seen.seen is seen.inputs


def test_a_teacher_takes_its_own_channels_of_the_whole() -> None:
    view = task().viewed((0,))
    teacher = ModuleTeacher(Summing(), (), {}, channels=(2, 3))
    (batch,) = view.data.train.batches(6)
    teacher.observe(batch.seen)
    teacher.forgetful().observe(batch.seen)
    for given in teacher.module.given:
        assert torch.equal(given, batch.seen[..., [2, 3]])


def test_a_teacher_that_remembers_answers_for_whole_inputs() -> None:
    view = task().viewed((0,))
    asked, remembering = Summing(), Summing()
    plain = ModuleTeacher(asked, (), {}, channels=(2, 3))
    known = ModuleTeacher(remembering, (), {}, view.data.train, channels=(2, 3))
    for batch in view.data.train.batches(4, seed=1):
        assert torch.equal(plain.observe(batch.seen).logits, known.observe(batch.seen).logits)
    assert sum(map(len, remembering.given)) == len(view.data.train), "each sample ran once"
    assert {given.shape[1:] for given in remembering.given} == {(5, 2)}


def test_predictions_are_made_from_what_each_model_sees() -> None:
    view, network, first, second = task().viewed((0, 2)), Summing(), Summing(), Summing()
    models = {
        "student": network,
        "teacher": ModuleTeacher(first, (), {}),
        "other": ModuleTeacher(second, (), {}, channels=(3,)),
    }
    found = predict(models, "test", view)
    whole = view.data.test.seen
    for module, inputs in (
        (network, whole[..., [0, 2]]),
        (first, whole),
        (second, whole[..., [3]]),
    ):
        assert torch.equal(torch.cat(module.given), inputs)
    assert found.origin.sources[0] == found.origin.sources[1]
    assert found.origin.sources[2] not in (found.origin.sources[0], "")


def test_a_view_keeps_the_kind_of_its_task() -> None:
    view: Task = task().viewed((1,))
    assert isinstance(view, Classification)
    logits = torch.tensor([[2.0, 0.0]] * 6)
    assert view.score(logits, view.data.test.targets) == task().score(
        logits, view.data.test.targets
    )
