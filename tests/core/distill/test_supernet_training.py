from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.distill.losses import distilled
from stillhouse.core.distill.paths import PathSampler, Sandwich, SizeBins, Turns, Uniform
from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.training import fit
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import LAST, LossTerm, MultiLabel
from stillhouse.core.space import Choice, Space

Weights = Callable[[nn.Module], dict[str, Tensor]]
WIDTH = Space([Choice("width", (4, 8, 12, 16))])
SETTINGS = TrainSettings(epochs=2, batch_size=8, learning_rate=0.01, weight_decay=0.1)


@final
class Fixed(PathSampler):
    def __init__(self, *widths: int) -> None:
        self.name, self._widths = f"fixed{widths}", widths
        self.leads_with_largest = widths[0] == 16

    def draw(self, step: int, rng: np.random.Generator) -> list[dict[str, int]]:
        return [{"width": width} for width in self._widths]


def train(
    bench: Any, paths: PathSampler, settings: TrainSettings = SETTINGS, **changes: Any
) -> Any:
    elastic = bench.context.family.elastic(bench.student())
    given = {"state": bench.state, "context": bench.context, "label": "s", **changes}
    structure = bench.context.full
    result = fit(elastic, structure=structure, settings=settings, paths=paths, **given)
    return elastic, result


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(a[k], b[k]) for k in a)


def test_the_full_subnet_alone_trains_like_the_plain_network(bench: Any, weights: Weights) -> None:
    plain = bench.student()
    given = {"structure": bench.context.full, "state": bench.state, "settings": SETTINGS}
    fit(plain, **given, context=bench.context, label="s")
    elastic, _ = train(bench, Fixed(16))
    assert same(weights(plain), weights(elastic))


def test_an_update_takes_the_mean_gradient_of_its_subnets(bench: Any) -> None:
    elastic = bench.context.family.elastic(bench.student())
    seen: list[Tensor] = []
    elastic.second.weight.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.clone()))
    task = bench.context.task
    given = {"structure": bench.context.full, "state": bench.state, "settings": SETTINGS}
    batch: list[Tensor] = []
    handle = elastic.register_forward_pre_hook(lambda _m, args: batch.append(args[0]))
    fit(elastic, **given, context=bench.context, label="s", paths=Fixed(16, 4), stop_after=1)
    handle.remove()

    fresh = bench.context.family.elastic(bench.student())
    first = next(bench.state.data.train.batches(8, bench.context.seed("s", "order", 0)))
    for width in (16, 4):
        fresh.set_active({"width": width})
        (task.loss(fresh(batch[0]), first.targets) / 2).backward()
    torch.testing.assert_close(seen[-1], fresh.second.weight.grad)


def test_a_killed_supernet_resumes_bit_for_bit(
    bench: Any, weights: Weights, tmp_path: Path
) -> None:
    class Stop:
        def start(self, label: str, total: int) -> None: ...
        def finish(self) -> None: ...
        def advance(self, steps: int = 1, note: str = "") -> None:
            self.seen = getattr(self, "seen", 0) + steps
            if self.seen > 5:
                raise KeyboardInterrupt

    whole, expected = train(bench, Sandwich(WIDTH, 1))
    kept = replace(bench.context, checkpoints=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(bench, Sandwich(WIDTH, 1), context=replace(kept, progress=Stop()))
    resumed, result = train(bench, Sandwich(WIDTH, 1), context=kept)
    assert same(weights(whole), weights(resumed))
    assert result == expected
    assert resumed.active() == resumed.full


@pytest.mark.parametrize("share", [True, False])
def test_frozen_slices_move_only_when_they_are_sampled(
    bench: Any, weights: Weights, share: bool
) -> None:
    before = weights(bench.context.family.elastic(bench.student()))["second.weight"]

    @final
    class WideThenNarrow(PathSampler):
        name = "wide then narrow"

        def draw(self, step: int, rng: np.random.Generator) -> list[dict[str, int]]:
            return [{"width": 16 if step == 0 else 4}]

    settings = replace(SETTINGS, freeze_unsampled=share)
    # The rate depends on the run's length, so the first update is compared at a constant one.
    settings = replace(settings, schedule="constant", warmup=0.0)
    one, _ = train(bench, WideThenNarrow(), settings, stop_after=1)
    five, _ = train(bench, WideThenNarrow(), settings, stop_after=5)
    wide, narrow = weights(one)["second.weight"], weights(five)["second.weight"]
    assert not torch.equal(wide[4:], before[4:])
    assert torch.equal(wide[4:], narrow[4:]) is share
    assert not torch.equal(wide[:4, :4], narrow[:4, :4])


def test_last_follows_the_active_width(bench: Any) -> None:
    widths: list[int] = []

    def value(student: Any, teachers: Any, batch: Any, adapter: Any) -> Tensor:
        widths.append(student.features[LAST].shape[-1])
        return student.features[LAST].mean()

    terms = (LossTerm("w", 1.0, value, student_taps=(LAST,)),)
    train(bench, Fixed(16, 4, 8), state=replace(bench.state, terms=terms), stop_after=2)
    assert widths == [16, 4, 8, 16, 4, 8]


def test_in_place_distillation_adds_to_the_other_losses_or_replaces_them(bench: Any) -> None:
    lines = {}
    for inplace in ("none", "add", "replace"):
        settings = replace(SETTINGS, inplace=inplace)
        lines[inplace] = train(bench, Fixed(16, 4), settings, stop_after=1)[1].history[0].losses
    assert "in-place" not in lines["none"]
    assert lines["add"]["task"] == lines["none"]["task"]
    assert lines["add"]["in-place"] == lines["replace"]["in-place"] > 0
    assert lines["replace"]["task"] < lines["none"]["task"]
    total = lines["replace"]["task"] + lines["replace"]["in-place"]
    assert lines["replace"]["loss"] == pytest.approx(total, rel=1e-6)


def test_several_labels_are_distilled_in_place_by_their_sigmoids(bench: Any) -> None:
    splits = {
        name: replace(split, targets=functional.one_hot(split.targets, 3).float())
        for name in ("train", "tuning", "validation", "test")
        if (split := bench.state.data.split(name))
    }
    data = replace(bench.state.data, **splits)
    task = MultiLabel("tiny", data, ("a", "b", "c"))
    settings = replace(SETTINGS, inplace="add", batch_size=40)
    given = {"state": replace(bench.state, data=data), "context": replace(bench.context, task=task)}
    elastic = bench.context.family.elastic(bench.student())
    answers = []
    with torch.no_grad():
        for width in (16, 4):
            elastic.set_active({"width": width})
            answers.append(elastic(data.train.inputs))
    expected = distilled(answers[1], answers[0].sigmoid(), 1.0, several=True) / 2
    line = train(bench, Fixed(16, 4), settings, stop_after=1, **given)[1].history[0].losses
    assert line["in-place"] == pytest.approx(expected.item(), rel=1e-5)


def test_in_place_distillation_does_not_train_the_largest_subnet(
    bench: Any, weights: Weights
) -> None:
    def value(student: Any, teachers: Any, batch: Any, adapter: Any) -> Tensor:
        return student.logits.sum() * 0

    settings = replace(SETTINGS, inplace="replace", task_weight=0.0, weight_decay=0.0)
    state = replace(bench.state, terms=(LossTerm("nothing", 1.0, value),))
    elastic, _ = train(bench, Fixed(16, 4), settings, state=state, stop_after=3)
    before = weights(bench.student())["second.weight"]
    after = weights(elastic)["second.weight"]
    assert torch.equal(before[4:], after[4:])
    assert not torch.equal(before[:4, :4], after[:4, :4])


def test_in_place_distillation_needs_the_largest_subnet_in_every_draw(bench: Any) -> None:
    with pytest.raises(UserError, match=r"needs a sampler that draws the largest.*got uniform"):
        train(bench, Uniform(WIDTH), replace(SETTINGS, inplace="add"))


def test_sandwich_draws_the_largest_the_smallest_and_some_between() -> None:
    sampler = Sandwich(WIDTH, 3)
    for step in range(20):
        drawn = sampler.draw(step, np.random.default_rng(step))
        assert drawn[:2] == [{"width": 16}, {"width": 4}]
        assert len(drawn) == 5
    assert len(Sandwich(WIDTH, 0).draw(0, np.random.default_rng(0))) == 2


def test_turns_draw_the_largest_the_smallest_and_then_some_between_one_an_update() -> None:
    sampler, generator = Turns(WIDTH, 1), rng()
    drawn = [sampler.draw(step, generator) for step in range(6)]
    assert [len(one) for one in drawn] == [1] * 6
    assert [one[0]["width"] for one in (*drawn[0:2], *drawn[3:5])] == [16, 4, 16, 4]
    widths = {sampler.draw(step, rng(step))[0]["width"] for step in range(2, 302, 3)}
    assert widths == {one["width"] for one in map(WIDTH.decode, WIDTH.sample(500, rng()))}


def test_the_same_generator_state_draws_the_same_subnets() -> None:
    samplers = (
        Uniform(LAYERED),
        Sandwich(LAYERED),
        Turns(LAYERED),
        SizeBins(LAYERED, sizes, rng()),
    )
    for sampler in samplers:
        assert sampler.draw(3, rng(5)) == sampler.draw(3, rng(5))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


LAYERED = Space(
    [
        Choice("depth", (1, 2, 3)),
        Choice("heads", (1, 2, 4), per="depth"),
    ]
)


def sizes(codes: np.ndarray) -> np.ndarray:
    return np.nansum(LAYERED.columns(codes)["heads"], axis=1)


def test_uniform_draws_every_depth_equally_often() -> None:
    sampler, generator = Uniform(LAYERED), rng()
    drawn = [sampler.draw(step, generator)[0] for step in range(3000)]
    depths = np.bincount([c["depth"] for c in drawn], minlength=4)[1:]
    assert depths == pytest.approx([1000] * 3, abs=100)
    assert all(len(c["heads"]) == c["depth"] for c in drawn)


def test_size_bins_are_drawn_equally_often() -> None:
    sampler, generator = SizeBins(LAYERED, sizes, rng(), bins=4, pool=512), rng(1)
    drawn = [sum(sampler.draw(step, generator)[0]["heads"]) for step in range(4000)]
    bins = np.bincount(np.digitize(drawn, [3.75, 6.5, 9.25]), minlength=4)
    assert bins == pytest.approx([1000] * 4, abs=120)
