from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stillhouse.core.cost.terms import parameters
from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Artefact, Choice, LossTerm
from stillhouse.core.space import Choice as SpaceChoice
from stillhouse.core.space import Space
from stillhouse.plugins.distil.hidden_states import hidden_states_term
from stillhouse.plugins.distil.soft_labels import soft_labels_term
from stillhouse.plugins.supernet.info import SupernetParams, stillhouse_methods
from stillhouse.plugins.supernet.stages import path_sampler
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


def test_the_teachers_weights_can_be_the_start(bench: Any) -> None:
    artefact = prepared(bench, initial="teacher", full_epochs=0, epochs=0)
    teacher = bench.state.teachers["teacher"].module
    x = torch.ones(2, 8, 5)
    assert torch.equal(applied(bench, artefact, LARGE).module(x), teacher(x))


def test_a_teacher_of_another_shape_cannot_be_the_start(bench: Any) -> None:
    narrow = Space([SpaceChoice("width", (8, 12))])
    context = replace(bench.context, spaces={"supernet": narrow})
    with pytest.raises(UserError, match="teacher of the student's full structure"):
        prepared(replace(bench, context=context), initial="teacher")


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


@pytest.mark.parametrize("name", ["uniform", "sandwich", "size_bins"])
def test_samplers_are_chosen_by_name(bench: Any, name: str) -> None:
    space = bench.context.spaces["supernet"]
    sampler = path_sampler(space, chosen(sampler=name), bench.context)
    assert sampler.name.split("(")[0] == name
    for configuration in sampler.draw(0, np.random.default_rng(0)):
        assert space.decode(space.encode(configuration)) == configuration


def test_the_method_spends_terms_and_leaves_a_student() -> None:
    (info,) = stillhouse_methods()
    assert info.spends == {"loss terms"}
    assert info.leaves == {"student", "float weights"}
    assert info.prepares
