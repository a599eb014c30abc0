from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Artefact, Choice, ModuleTeacher
from stillhouse.core.space import Choice as SpaceChoice
from stillhouse.core.space import Space
from stillhouse.plugins.models.cnn.family import CnnFamily
from stillhouse.plugins.models.info import CnnParams, KeywordTransformerParams
from stillhouse.plugins.models.keyword_transformer import KeywordTransformerFamily
from stillhouse.plugins.supernet.info import SupernetParams
from stillhouse.plugins.supernet.supernet import Supernet

START = SupernetParams(
    space="tiny", initial="teacher", full_epochs=0, epochs=0, batch_size=8, sampler="uniform"
)
X = torch.ones(2, 8, 5)


def started(bench: Any, **context: Any) -> tuple[Artefact, Any]:
    changed = replace(bench.context, **context)
    return Supernet().prepare(bench.state, START, changed), changed


def student(bench: Any, genes: dict[str, Any], **context: Any) -> torch.nn.Module:
    artefact, changed = started(bench, **context)
    state = Supernet().apply(bench.state, Choice(START, genes), artefact, changed)
    module: torch.nn.Module = state.student.module
    return module


def test_the_teachers_weights_can_be_the_start(bench: Any) -> None:
    genes = {"width": 16, "depth": 2, "heads": [2, 2], "ffn_ratio": [2.0, 2.0]}
    teacher = bench.state.teachers["teacher"].module
    assert torch.equal(student(bench, genes)(X), teacher(X))


def test_of_a_larger_teacher_the_full_student_is_a_slice(bench: Any) -> None:
    narrow = Space([SpaceChoice("width", (8, 12)), SpaceChoice("depth", (1,))])
    found = student(bench, {"width": 12, "depth": 1}, spaces={"supernet": narrow})
    teacher = bench.state.teachers["teacher"].module
    elastic = bench.context.family.elastic(teacher)
    elastic.set_active({"width": 12, "depth": 1})
    assert torch.equal(found(X), elastic.extract()(X))
    assert torch.equal(teacher.frames.weight[:12], found.frames.weight)


def test_a_smaller_teacher_cannot_be_the_start(bench: Any) -> None:
    family = KeywordTransformerFamily()
    full = family.structure(
        KeywordTransformerParams(width=24, depth=2, heads=2, head_dim=8), (8, 5), 3
    )
    wide = Space([SpaceChoice("width", (8, 24))])
    with pytest.raises(UserError, match=r"full student is a slice of.*use initial: fresh"):
        started(bench, full=full, spaces={"supernet": wide})


def test_a_teacher_of_another_family_cannot_be_the_start(bench: Any) -> None:
    other = ModuleTeacher(torch.nn.Flatten(), (), {})
    lone = replace(bench, state=replace(bench.state, teachers={"teacher": other}))
    with pytest.raises(
        UserError, match=r"a slice of \(expected a KeywordTransformer, came Flatten"
    ):
        started(lone)


def test_a_run_without_one_network_as_teacher_says_so(bench: Any) -> None:
    lone = replace(bench, state=replace(bench.state, teachers={}))
    with pytest.raises(UserError, match="needs a 'teacher' that is one network; use initial"):
        started(lone)


def test_a_larger_teacher_is_sorted_by_importance_first(bench: Any) -> None:
    family, generator = CnnFamily(), torch.Generator().manual_seed(3)
    full = family.structure(CnnParams(stages=1, depth=1, width=8), (8, 5), 3)
    teacher = family.build(full, generator)
    taps = family.taps(full)
    state = replace(bench.state, teachers={"teacher": ModuleTeacher(teacher, tuple(taps), taps)})
    narrow = {"supernet": Space([SpaceChoice("width", (4, 6))])}
    context = replace(bench.context, family=family, full=full, spaces=narrow)
    artefact = Supernet().prepare(state, START, context)

    elastic = family.elastic(teacher)
    elastic.sort_by_importance()
    elastic.set_active({"width": 6})
    expected = elastic.extract().state_dict()
    plain = {name: artefact.tensors[name] for name in expected}
    assert all(torch.equal(plain[name], expected[name]) for name in expected)
    assert not torch.equal(plain["head.weight"], teacher.state_dict()["head.weight"][:, :6])


@pytest.mark.parametrize("channels", [(1, 0, 2, 3, 4), (0, 1)])
def test_a_teacher_that_sees_other_channels_cannot_be_the_start(
    bench: Any, channels: tuple[int, ...]
) -> None:
    task = bench.context.task.viewed(channels)
    said = r"teacher sees all channels and the student channels .*use initial: fresh"
    with pytest.raises(UserError, match=said):
        started(bench, task=task)
    with pytest.raises(UserError, match=said):
        Supernet().check(bench.state, Choice(START, {}), replace(bench.context, task=task))


def test_a_teacher_of_the_same_channels_can_be_the_start(bench: Any) -> None:
    genes = {"width": 16, "depth": 2, "heads": [2, 2], "ffn_ratio": [2.0, 2.0]}
    teacher, channels = bench.state.teachers["teacher"].module, (1, 0, 2, 3, 4)
    same = ModuleTeacher(teacher, (), {}, channels=channels)
    seeing = replace(bench, state=replace(bench.state, teachers={"teacher": same}))
    found = student(seeing, genes, task=bench.context.task.viewed(channels))
    assert torch.equal(found(X), teacher(X))
