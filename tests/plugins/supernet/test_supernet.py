from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stillhouse.core.cost.terms import parameters
from stillhouse.core.distill.masking import Masking
from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.evaluate import Artefact, Choice, LossTerm
from stillhouse.core.plugin import NEW_STUDENT
from stillhouse.core.space import Choice as SpaceChoice
from stillhouse.core.space import Space
from stillhouse.plugins.distil.hidden_states import hidden_states_term
from stillhouse.plugins.distil.soft_labels import soft_labels_term
from stillhouse.plugins.supernet.info import SupernetParams, stillhouse_methods
from stillhouse.plugins.supernet.supernet import Supernet

SMALL = {"width": 8, "depth": 1, "heads": [1], "ffn_ratio": [1.0]}
LARGE = {"width": 16, "depth": 2, "heads": [2, 2], "ffn_ratio": [2.0, 2.0]}


def chosen(**changes: Any) -> SupernetParams:
    return SupernetParams(
        **{"space": "tiny", "full_epochs": 1, "epochs": 2, "batch_size": 8, **changes}
    )


def terms() -> tuple[LossTerm, ...]:
    hints = hidden_states_term(("blocks.0", "blocks.1"), 16, "l1", 1.0, True)
    return soft_labels_term(4.0, 1.0), hints


def prepared(bench: Any, **changes: Any) -> Artefact:
    state = replace(bench.state, terms=terms())
    return Supernet().prepare(state, chosen(**changes), bench.context)


def applied(bench: Any, artefact: Artefact, genes: Mapping[str, Any]) -> Any:
    return Supernet().apply(bench.state, Choice(chosen(), genes), artefact, bench.context).student


def same(a: Mapping[str, torch.Tensor], b: Mapping[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize(
    ("sampler", "inplace"), [("uniform", "none"), ("sandwich", "add"), ("size_bins", "none")]
)
def test_both_stages_are_counted_and_repeat_exactly(bench: Any, sampler: str, inplace: str) -> None:
    first = prepared(bench, sampler=sampler, inplace=inplace)
    second = prepared(bench, sampler=sampler, inplace=inplace)
    assert first.record["updates"] == 3 * (1 + 2)
    assert [len(first.record["history"][s]) for s in ("full", "sampled")] == [1, 2]
    assert first.record == second.record
    assert same(first.tensors, second.tensors)


def test_a_subnet_has_the_parameters_that_its_sheet_says(bench: Any) -> None:
    artefact, space = prepared(bench), bench.context.spaces["supernet"]
    codes = np.concatenate([space.corners(), space.sample(5, np.random.default_rng(0))])
    sheet = Supernet().sheet(None, space.columns(codes), bench.context)
    for row, expected in zip(codes, parameters(sheet), strict=True):
        student = applied(bench, artefact, space.decode(row))
        assert sum(p.numel() for p in student.module.parameters()) == expected
        assert student.structure == bench.context.family.subnet(
            bench.context.full, space.decode(row)
        )
        assert student.updates == 9
        assert not student.module.training


def test_candidates_do_not_disturb_each_other(bench: Any) -> None:
    artefact, x = prepared(bench), torch.ones(2, 8, 5)
    large = applied(bench, artefact, LARGE)
    before = large.module(x)
    small = applied(bench, artefact, SMALL)
    with torch.no_grad():
        for p in small.module.parameters():
            p.zero_()
    assert torch.equal(before, large.module(x))
    assert torch.equal(before, applied(bench, artefact, LARGE).module(x))
    assert len(artefact.memo) == 1


def test_a_stored_artefact_gives_the_same_subnets(bench: Any) -> None:
    artefact, x = prepared(bench), torch.ones(2, 8, 5)
    stored = Artefact(artefact.tensors, artefact.record)
    for genes in (SMALL, LARGE):
        one, two = (applied(bench, a, genes).module(x) for a in (artefact, stored))
        assert torch.equal(one, two)


def test_the_student_carries_nothing_that_only_training_needs(bench: Any) -> None:
    full = bench.context.full
    plain = bench.context.family.build(full, torch.Generator().manual_seed(0))
    student = applied(bench, prepared(bench), LARGE)
    assert set(student.module.state_dict()) == set(plain.state_dict())


def test_the_record_holds_the_settings_for_a_control_from_scratch(bench: Any) -> None:
    settings = TrainSettings(**prepared(bench, learning_rate=0.002).record["settings"])
    assert (settings.epochs, settings.batch_size, settings.learning_rate) == (2, 8, 0.002)


def test_a_killed_preparation_resumes_in_the_second_stage(bench: Any, tmp_path: Path) -> None:
    class Stop:
        stages = 0

        def start(self, label: str, total: int) -> None:
            self.stages += 1

        def finish(self) -> None: ...
        def advance(self, steps: int = 1, note: str = "") -> None:
            if self.stages == 2:
                raise KeyboardInterrupt

    expected = prepared(bench)
    kept = replace(bench.context, checkpoints=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        prepared(replace(bench, context=replace(kept, progress=Stop())))
    assert [p.name for p in tmp_path.iterdir()] == ["supernet-full.safetensors"]
    resumed = prepared(replace(bench, context=kept))
    assert same(expected.tensors, resumed.tensors)
    assert resumed.record == expected.record


def test_the_full_student_is_the_largest_of_the_space(bench: Any) -> None:
    narrow = Space([SpaceChoice("width", (8, 12))])
    context = replace(bench.context, spaces={"supernet": narrow})
    artefact = prepared(replace(bench, context=context))
    assert artefact.record["structure"]["width"] == 12
    assert artefact.tensors["frames.weight"].shape == (12, 5)


def test_the_method_spends_terms_and_leaves_a_student() -> None:
    (info,) = stillhouse_methods()
    assert info.spends == {"loss terms", "masked spans"}
    assert info.leaves == NEW_STUDENT
    assert info.prepares


def test_half_precision_trains_a_supernet_of_float32_weights(bench: Any) -> None:
    half = replace(bench, context=replace(bench.context, precision="bfloat16"))
    state = replace(half.state, masking=Masking(0.5, 2))
    artefact = prepared(replace(half, state=state), epochs=4, sampler="sandwich")
    assert {tensor.dtype for tensor in artefact.tensors.values()} == {torch.float32}
    lines = artefact.record["history"]["sampled"]
    assert lines[-1]["losses"]["loss"] < lines[0]["losses"]["loss"]
    assert not same(artefact.tensors, prepared(bench, epochs=4, sampler="sandwich").tensors)


def test_the_second_stage_goes_on_with_the_adapters_of_the_first(bench: Any) -> None:
    starts: list[torch.Tensor] = []

    def adapter(widths: Mapping[str, int]) -> torch.nn.Module:
        return torch.nn.Linear(1, 1)

    def value(student: Any, teachers: Any, batch: Any, adapter: Any) -> torch.Tensor:
        starts.append(adapter.weight.detach().clone())
        return (adapter.weight - 5).square().sum()

    state = replace(bench.state, terms=(LossTerm("five", 1.0, value, adapter=adapter),))
    settings = chosen(full_epochs=20, epochs=1, learning_rate=0.1, sampler="uniform")
    Supernet().prepare(state, settings, bench.context)
    assert starts[60].item() > starts[0].item() + 1


def test_one_stage_gets_the_epochs_of_both(bench: Any) -> None:
    artefact = prepared(bench, full_epochs=2, epochs=3, stage_two_from="fresh")
    assert artefact.record["history"]["full"] == []
    assert len(artefact.record["history"]["sampled"]) == 5
    assert artefact.record["updates"] == 3 * 5


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_parameters_of_the_optimiser_reach_both_stages(bench: Any, schedule: str) -> None:
    changes = {"schedule": schedule, "warmup": 0.0, "gradient_accumulation": 3, "save_every": 1}
    record = prepared(bench, epochs=3, learning_rate=0.004, **changes).record
    settings = TrainSettings(**record["settings"])
    assert (settings.gradient_accumulation, settings.save_every) == (3, 1)
    assert record["updates"] == 1 + 3
    rates = [line["learning_rate"] for line in record["history"]["sampled"]]
    expected = {"cosine": (0.004, 0.003, 0.001), "linear": (0.004, 0.004 * 2 / 3, 0.004 / 3)}
    assert rates == pytest.approx(expected.get(schedule, (0.004,) * 3))
