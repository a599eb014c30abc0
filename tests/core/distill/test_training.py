from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from stillhouse.core.distill.losses import soft_labels
from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.training import fit
from stillhouse.core.errors import RunDirectoryError, StillhouseError, UserError
from stillhouse.core.evaluate import LAST, Batch, LossTerm, Observation

Weights = Callable[[nn.Module], dict[str, Tensor]]
SETTINGS = TrainSettings(epochs=4, batch_size=16, learning_rate=0.01)


class KilledError(Exception):
    pass


class Killer:
    """A progress that dies after so many updates."""

    def __init__(self, after: int) -> None:
        self.left = after

    def start(self, label: str, total: int) -> None: ...
    def finish(self) -> None: ...

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.left -= steps
        if self.left < 0:
            raise KilledError


def kd(weight: float = 1.0) -> LossTerm:
    def value(student: Observation, teachers: Any, batch: Batch, adapter: Any) -> Tensor:
        return soft_labels(student.logits, teachers["teacher"].logits, 2.0)

    return LossTerm("kd(2)", weight, value, teachers=("teacher",))


def hint(seen: list[nn.Module] | None = None) -> LossTerm:
    def adapter(widths: Any) -> nn.Module:
        made = nn.Linear(widths[LAST], 16)
        if seen is not None:
            seen.append(made)
        return made

    def value(student: Observation, teachers: Any, batch: Batch, adapter: Any) -> Tensor:
        target = teachers["teacher"].features["second"]
        return (adapter(student.features[LAST]) - target).abs().mean()

    return LossTerm("hint", 1.0, value, (LAST,), {"teacher": ("second",)}, adapter)


def train(bench: Any, module: nn.Module, **changes: Any) -> Any:
    given = {"settings": SETTINGS, "context": bench.context, "state": bench.state, "label": "t"}
    structure = {**bench.context.full, "width": module.first.weight.shape[0]}
    return fit(module, **{**given, "structure": structure, **changes})


def forwards(module: nn.Module) -> list[int]:
    """A list that grows with every forward of a module."""
    seen: list[int] = []
    module.register_forward_pre_hook(lambda *_: seen.append(1))
    return seen


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_training_fits_a_separable_task(bench: Any) -> None:
    module = bench.student()
    result = train(bench, module, settings=replace(SETTINGS, epochs=20))
    split = bench.state.data.train
    assert torch.equal(module(split.inputs).argmax(1), split.targets)
    assert result.updates == 20 * 3
    assert [line.updates for line in result.history] == list(range(3, 63, 3))


def test_the_same_seed_gives_the_same_weights_and_another_seed_does_not(
    bench: Any, weights: Weights
) -> None:
    def once(root_seed: int) -> dict[str, Tensor]:
        module = bench.student(dropout=0.5)
        train(bench, module, context=replace(bench.context, root_seed=root_seed))
        return weights(module)

    assert same(once(0), once(0))
    assert not same(once(0), once(1))


@pytest.mark.parametrize(("killed_after", "left"), [(0, 12), (3, 9), (6, 6), (9, 3)])
def test_a_killed_run_resumes_bit_for_bit(
    bench: Any, weights: Weights, tmp_path: Path, killed_after: int, left: int
) -> None:
    state = replace(bench.state, terms=(kd(), hint()))
    whole = bench.student(dropout=0.3)
    expected = train(bench, whole, state=state)

    kept = replace(bench.context, checkpoints=tmp_path)
    killer = replace(kept, progress=Killer(killed_after))
    with pytest.raises(KilledError):
        train(bench, bench.student(dropout=0.3), state=state, context=killer)
    resumed = bench.student(dropout=0.3)
    done = forwards(resumed)
    result = train(bench, resumed, state=state, context=kept)
    assert len(done) == left
    assert same(weights(whole), weights(resumed))
    assert result == expected


def test_a_run_killed_inside_an_epoch_resumes_bit_for_bit(
    bench: Any, weights: Weights, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, epochs=2, batch_size=2)
    whole = bench.student()
    expected = train(bench, whole, settings=settings)

    ticks = iter(range(0, 10**6, 7))
    kept = replace(bench.context, checkpoints=tmp_path)
    killer = replace(kept, progress=Killer(26))
    with pytest.raises(KilledError):
        train(bench, bench.student(), settings=settings, context=killer, clock=lambda: next(ticks))
    resumed = bench.student()
    done = forwards(resumed)
    result = train(bench, resumed, settings=settings, context=kept)
    assert 0 < len(done) < 20 == expected.updates // 2
    assert same(weights(whole), weights(resumed))
    assert result == expected


def test_a_finished_run_is_read_back_without_training(
    bench: Any, weights: Weights, tmp_path: Path
) -> None:
    context = replace(bench.context, checkpoints=tmp_path)
    first, second = bench.student(), bench.student()
    expected = train(bench, first, context=context)
    done = forwards(second)
    assert train(bench, second, context=context) == expected
    assert not done
    assert same(weights(first), weights(second))


def test_a_checkpoint_of_other_settings_is_not_taken_up(
    bench: Any, weights: Weights, tmp_path: Path
) -> None:
    context = replace(bench.context, checkpoints=tmp_path)
    other = replace(SETTINGS, learning_rate=0.002)
    train(bench, bench.student(), context=context)
    fresh, expected = bench.student(), bench.student()
    train(bench, fresh, context=context, settings=other)
    train(bench, expected, settings=other)
    assert same(weights(fresh), weights(expected))


@pytest.mark.parametrize("part", ["weights/network.first.weight", "journal", "stopping", "scaler"])
def test_a_checkpoint_that_does_not_fit_is_one_clear_error(
    bench: Any, tmp_path: Path, part: str
) -> None:
    context = replace(bench.context, checkpoints=tmp_path)
    train(bench, bench.student(), context=context)
    (path,) = tmp_path.iterdir()
    with safe_open(path, framework="pt") as file:
        (header,) = (json.loads(text) for text in file.metadata().values())
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    others = {name: tensor for name, tensor in tensors.items() if not name.startswith(part)}
    if len(others) == len(tensors):
        header[part] = "x"
    save_file(others, path, {"stillhouse": json.dumps(header)})
    with pytest.raises(RunDirectoryError, match=rf"{path.name}: expected a training checkpoint"):
        train(bench, bench.student(), context=context)


def test_teachers_stay_as_they_are_and_adapters_do_not_stay_at_all(
    bench: Any, weights: Weights
) -> None:
    adapters: list[nn.Module] = []
    teacher, module = bench.state.teachers["teacher"].module, bench.student()
    before, names = weights(teacher), set(module.state_dict())
    train(bench, module, state=replace(bench.state, terms=(kd(), hint(adapters))))
    assert same(before, weights(teacher))
    assert not teacher.training
    assert not any(p.requires_grad for p in teacher.parameters())
    assert set(module.state_dict()) == names
    assert not module.training
    assert not any(m._forward_hooks for m in module.modules())
    assert adapters[0] not in list(module.modules())


def test_adapters_are_trained_beside_the_student(bench: Any, weights: Weights) -> None:
    adapters: list[nn.Module] = []
    state = replace(bench.state, terms=(hint(adapters),))
    train(bench, bench.student(), state=state, settings=replace(SETTINGS, epochs=0))
    train(bench, bench.student(), state=state)
    assert not same(weights(adapters[0]), weights(adapters[1]))


def test_a_teacher_is_asked_once_an_update_for_the_taps_that_terms_read(bench: Any) -> None:
    asked: list[tuple[str, ...]] = []
    teacher = bench.state.teachers["teacher"]
    observe = teacher.observe
    teacher.observe = lambda inputs, taps=(): asked.append(taps) or observe(inputs, taps)
    result = train(bench, bench.student(), state=replace(bench.state, terms=(kd(), hint())))
    assert asked == [("second",)] * result.updates


def test_teacher_and_student_see_the_same_augmented_view(bench: Any) -> None:
    views: list[Tensor] = []
    teacher, module = bench.state.teachers["teacher"], bench.student()
    observe = teacher.observe
    teacher.observe = lambda inputs, taps=(): views.append(inputs) or observe(inputs, taps)
    module.register_forward_pre_hook(lambda _m, args: views.append(args[0]))
    train(bench, module, state=replace(bench.state, terms=(kd(),)))
    assert all(torch.equal(a, b) for a, b in zip(views[::2], views[1::2], strict=True))
    assert not any(torch.equal(views[0][0], x) for x in bench.state.data.train.inputs)


def test_gathered_gradients_equal_those_of_one_large_batch(bench: Any) -> None:
    one, many = bench.student().double(), bench.student().double()
    data = bench.state.data
    train_split = replace(data.train, inputs=data.train.inputs.double())
    state = replace(bench.state, data=replace(data, train=train_split))
    settings = replace(SETTINGS, batch_size=12)
    train(bench, one, state=state, settings=settings)
    settings = replace(settings, batch_size=4, gradient_accumulation=3)
    train(bench, many, state=state, settings=settings)
    for a, b in zip(one.parameters(), many.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)


def test_stop_after_counts_optimiser_steps_exactly(bench: Any) -> None:
    for updates in (1, 3, 7):
        result = train(bench, bench.student(), stop_after=updates)
        assert result.updates == updates
        assert result.history[-1].updates == updates


def test_no_updates_leave_the_network_as_it_was(bench: Any, weights: Weights) -> None:
    module = bench.student()
    result = train(bench, module, settings=replace(SETTINGS, epochs=0))
    assert result.updates == 0
    assert same(weights(module), weights(bench.student()))


def test_the_reported_loss_is_the_weighted_sum_of_its_addends(bench: Any) -> None:
    settings = replace(SETTINGS, task_weight=0.25)
    state = replace(bench.state, terms=(kd(weight=3.0),))
    for line in train(bench, bench.student(), state=state, settings=settings).history:
        expected = 0.25 * line.losses["task"] + 3 * line.losses["kd(2)"]
        assert line.losses["loss"] == pytest.approx(expected, rel=1e-5)


def test_without_task_weight_the_labels_do_not_matter(bench: Any, weights: Weights) -> None:
    data = bench.state.data
    wrong = replace(data, train=replace(data.train, targets=data.train.targets * 0))
    made = []
    for one in (data, wrong):
        module = bench.student()
        state = replace(bench.state, data=one, terms=(kd(),))
        train(bench, module, state=state, settings=replace(SETTINGS, task_weight=0))
        made.append(weights(module))
    assert same(*made)


def test_patience_stops_early_and_keeps_the_best_weights(bench: Any) -> None:
    module = bench.student()
    settings = replace(SETTINGS, epochs=60, learning_rate=0.03, patience=2)
    result = train(bench, module, settings=settings)
    scores = [line.score["accuracy"] for line in result.history]
    best = scores.index(max(scores))
    assert len(scores) == best + 3 < 60
    split = bench.state.data.validation
    outputs = module(split.inputs).detach()
    assert bench.context.task.score(outputs, split.targets) == pytest.approx(
        result.history[best].score
    )


def test_a_loss_that_is_not_finite_is_refused_and_located(bench: Any) -> None:
    def value(student: Observation, teachers: Any, batch: Batch, adapter: Any) -> Tensor:
        return student.logits.sum() * (float("nan") if 7 in batch.indices else 0.0)

    state = replace(bench.state, terms=(LossTerm("odd", 1.0, value),))
    with pytest.raises(StillhouseError, match=r"'t'.*odd nan at update [123] of 12 \(epoch 1"):
        train(bench, bench.student(), state=state)


def test_a_term_whose_teacher_is_missing_is_refused_by_name(bench: Any) -> None:
    state = replace(bench.state, teachers={"teachers": bench.state.teachers["teacher"]})
    with pytest.raises(UserError, match=r"learns from teacher 'teacher'.*did you mean 'teachers'"):
        train(bench, bench.student(), state=replace(state, terms=(kd(),)))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_trains_float32_weights(bench: Any, precision: str) -> None:
    module = bench.student()
    context = replace(bench.context, precision=precision)
    state = replace(bench.state, terms=(kd(), hint()))
    settings = replace(SETTINGS, epochs=10)
    history = train(bench, module, state=state, context=context, settings=settings).history
    assert history[-1].losses["loss"] < history[0].losses["loss"]
    assert {p.dtype for p in module.parameters()} == {torch.float32}


def test_the_rate_rises_linearly_and_falls_along_a_cosine() -> None:
    settings = TrainSettings(epochs=1, learning_rate=1.0, warmup=0.2)
    rates = [settings.rate(update, 20) for update in range(20)]
    assert rates[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert rates[12] == pytest.approx(0.5)
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert replace(settings, schedule="constant").rate(19, 20) == 1.0
