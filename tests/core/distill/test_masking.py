from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stillhouse.core.distill.masking import MASKED, Masking, SpanMask, hidden_in, spans
from stillhouse.core.distill.paths import Sandwich
from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.training import fit
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import LossTerm, ModelFamily
from stillhouse.core.space import Choice, Space

WIDTH = Space([Choice("width", (4, 8, 12, 16))])
SETTINGS = TrainSettings(epochs=1, batch_size=8, learning_rate=0.01)
MASKING = Masking(share=0.5, length=2)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_about_half_of_the_positions_are_hidden_at_the_usual_settings() -> None:
    hidden = spans(Masking(), 400, 500, generator())
    assert hidden.dtype == torch.bool
    assert hidden.float().mean().item() == pytest.approx(0.48, abs=0.02)


def test_hidden_positions_are_whole_spans() -> None:
    for row in spans(Masking(share=0.3, length=5), 50, 60, generator()).tolist():
        text = "".join("x" if hidden else "." for hidden in row)
        assert all(len(run) >= 5 for run in text.split(".") if run)


def test_every_sample_has_at_least_two_spans_even_in_short_inputs() -> None:
    hidden = spans(Masking(share=0.01, length=3), 200, 20, generator())
    assert hidden.sum(1).min() > 3
    assert hidden.sum(1).max() == 6
    assert spans(Masking(length=3), 10, 4, generator()).all()


def test_masks_are_a_function_of_the_generator() -> None:
    first, again, other = (spans(MASKING, 8, 30, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_spans_as_long_as_the_input_are_refused_with_both_numbers() -> None:
    with pytest.raises(UserError, match="below the network's 10 positions, got 10; lower it"):
        spans(Masking(), 1, 10, generator())


def masked(width: int = 6) -> SpanMask:
    with torch.random.fork_rng([]):
        return SpanMask(width, MASKING)


def test_a_learned_vector_stands_in_masked_positions_and_narrow_subnets_take_its_prefix() -> None:
    mask, x = masked(), torch.randn(3, 9, 4, generator=generator())
    mask.begin(3, seed=5)
    seen = mask(x)
    hidden = mask.shown()
    assert torch.equal(seen[hidden], mask.vector[:4].expand_as(seen[hidden]))
    assert torch.equal(seen[~hidden], x[~hidden])
    assert hidden.any()
    assert not hidden.all()


def test_parts_of_an_update_see_their_own_rows_of_one_mask() -> None:
    mask, x = masked(), torch.zeros(5, 9, 6)
    mask.begin(5, seed=5)
    mask(x)
    whole = mask.shown()
    mask.begin(5, seed=5)
    for rows in (slice(0, 2), slice(2, 4), slice(4, 5)):
        mask.rows = rows
        mask(x[rows])
        assert torch.equal(mask.shown(), whole[rows])


def test_nothing_is_hidden_outside_training() -> None:
    mask, layer, x = masked(), nn.Identity(), torch.randn(3, 9, 6, generator=generator())
    layer.register_forward_hook(hidden_in(mask))
    mask.begin(3, seed=1)
    assert torch.equal(layer.eval()(x), x)
    assert not torch.equal(layer.train()(x), x)


def train(bench: Any, settings: TrainSettings = SETTINGS, **changes: Any) -> Any:
    elastic = bench.context.family.elastic(bench.student())
    state = replace(bench.state, masking=MASKING)
    given = {"state": state, "context": bench.context, "label": "s", **changes}
    paths = Sandwich(WIDTH, 1)
    result = fit(elastic, structure=bench.context.full, settings=settings, paths=paths, **given)
    return elastic, result


def same(a: nn.Module, b: nn.Module) -> bool:
    one, two = a.state_dict(), b.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_the_student_alone_is_masked_and_its_terms_are_shown_where(bench: Any) -> None:
    seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def value(student: Any, teachers: Any, batch: Any, adapter: Any) -> Tensor:
        features = (student.features["first"], teachers["teacher"].features["first"])
        seen.append((*(f.detach() for f in features), student.features[MASKED]))
        return student.logits.sum() * 0

    term = LossTerm("look", 1.0, value, ("first",), {"teacher": ("first",)})
    state = replace(bench.state, masking=MASKING, terms=(term,))
    teacher = bench.state.teachers["teacher"].module
    plain = bench.context.family.build(bench.context.full, generator())
    plain.load_state_dict(teacher.state_dict())
    given = {"structure": bench.context.full, "settings": SETTINGS, "context": bench.context}
    fit(plain, **given, state=state, label="s", stop_after=1)
    ((own, theirs, hidden),) = seen
    assert hidden.shape == (8, 4)
    assert torch.equal(own[~hidden], theirs[~hidden])
    vector = own[hidden][0]
    assert torch.equal(own[hidden], vector.expand_as(own[hidden]))
    assert not torch.equal(theirs[hidden], vector.expand_as(theirs[hidden]))


def test_all_subnets_of_an_update_see_the_same_mask(bench: Any) -> None:
    masks: list[Tensor] = []

    def value(student: Any, teachers: Any, batch: Any, adapter: Any) -> Tensor:
        masks.append(student.features[MASKED])
        return student.logits.sum() * 0

    state = replace(bench.state, masking=MASKING, terms=(LossTerm("look", 1.0, value),))
    train(bench, state=state, stop_after=2)
    assert len(masks) == 6
    assert torch.equal(masks[0], masks[1])
    assert torch.equal(masks[1], masks[2])
    assert not torch.equal(masks[2], masks[3])


def test_the_vector_is_trained_and_leaves_nothing_in_the_network(bench: Any) -> None:
    before = set(bench.context.family.elastic(bench.student()).state_dict())
    elastic, one = train(bench, stop_after=1)
    _, five = train(bench, stop_after=5)
    assert set(elastic.state_dict()) == before
    assert one.adapters["mask.vector"].shape == (16,)
    assert not torch.equal(one.adapters["mask.vector"], five.adapters["mask.vector"])
    x = torch.randn(2, 4, 6, generator=generator())
    assert torch.equal(elastic.train()(x), elastic.eval()(x))


def test_masked_training_with_gathered_gradients_resumes_bit_for_bit(
    bench: Any, tmp_path: Path
) -> None:
    class Stop:
        seen = 0

        def start(self, label: str, total: int) -> None: ...
        def finish(self) -> None: ...
        def advance(self, steps: int = 1, note: str = "") -> None:
            self.seen += steps
            if self.seen > 3:
                raise KeyboardInterrupt

    settings = replace(SETTINGS, epochs=3, batch_size=3, gradient_accumulation=3, save_every=2)
    whole, expected = train(bench, settings)
    kept = replace(bench.context, checkpoints=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(bench, settings, context=replace(kept, progress=Stop()))
    resumed, result = train(bench, settings, context=kept)
    assert same(whole, resumed)
    assert result == expected
    assert torch.equal(result.adapters["mask.vector"], expected.adapters["mask.vector"])


def test_gathered_gradients_see_the_masks_of_one_large_batch(bench: Any) -> None:
    large = train(bench, replace(SETTINGS, batch_size=12), stop_after=2)[0]
    gathered = replace(SETTINGS, batch_size=4, gradient_accumulation=3)
    small = train(bench, gathered, stop_after=2)[0]
    for name, weight in large.state_dict().items():
        torch.testing.assert_close(small.state_dict()[name], weight)


def test_other_masks_make_another_run(bench: Any, tmp_path: Path) -> None:
    kept = replace(bench.context, checkpoints=tmp_path)
    train(bench, context=kept, stop_after=2)
    state = replace(bench.state, masking=Masking(share=0.5, length=1))
    resumed = train(bench, context=kept, state=state, stop_after=2)[0]
    assert same(resumed, train(bench, state=state, stop_after=2)[0])
    assert not same(resumed, train(bench, stop_after=2)[0])


def test_a_family_that_names_no_place_for_masks_is_refused(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(bench.context.family), "masking_point", ModelFamily.masking_point)
    with pytest.raises(UserError, match="'stack' names no place for it; leave mask-spans out"):
        train(bench)


def test_spans_too_long_for_the_network_are_refused_before_training(bench: Any) -> None:
    state = replace(bench.state, masking=Masking(length=4))
    with pytest.raises(UserError, match="below the network's 4 positions, got 4"):
        train(bench, state=state)
