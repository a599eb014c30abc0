from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.training import fit
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Choice
from stillhouse.plugins.ensemble import term
from stillhouse.plugins.ensemble.cached import has, predictions
from stillhouse.plugins.ensemble.ensemble import TeachingEnsemble
from stillhouse.plugins.ensemble.member import members
from stillhouse.plugins.ensemble.weighing import weighed

METHOD = TeachingEnsemble()
Section = Callable[..., dict[str, Any]]


@pytest.fixture
def two(section: Section) -> dict[str, Any]:
    return {
        "assistants": (section(name="a", width=16, epochs=1), section(name="b", epochs=1)),
        "assistant_share": 0.5,
    }


def effect(stage: Any, two: dict[str, Any], **given: Any) -> Any:
    params, artefact = stage.params(**two, **given), stage.prepared(**two, **given)
    return METHOD.effect(stage.state, Choice(params), artefact, stage.context)


def test_the_artefact_holds_networks_and_what_they_say_of_tuning_and_train(
    stage: Any, staged: Callable[..., Any], two: dict[str, Any]
) -> None:
    artefact = stage.prepared(**two)
    assert {name.partition("/")[0] for name in artefact.tensors} == {"1", "2"}
    for split in ("tuning", "train"):
        found = predictions(artefact, split)
        assert found.models == ("teacher", "a", "b")
        assert isinstance(found.probabilities, np.memmap)
        found.verify()
        seeds = tuple(one.seed for one in members(artefact))
        assert found.origin.seeds == seeds
        assert seeds[0] is None
        assert seeds[1] != seeds[2]
    assert not has(artefact, "test")
    assert not has(artefact, "validation")
    assert not has(staged(noise=0.1).prepared(**two), "train")


def test_a_student_learns_from_the_mixture(staged: Callable[..., Any], two: dict[str, Any]) -> None:
    stage = staged(noise=0.1)
    state = stage.applied(**two)
    assert (len(stage.state.terms), len(state.terms)) == (0, 1)
    assert set(stage.state.teachers) == {"teacher"}
    plain, taught = (stage.network(3) for _ in range(2))
    for module, own in ((plain, stage.state), (taught, state)):
        fit(
            module, structure=stage.context.full, state=own, context=stage.context,
            settings=TrainSettings(epochs=1, batch_size=8), label="student",
        )  # fmt: skip
    pairs = zip(plain.parameters(), taught.parameters(), strict=True)
    assert any(not torch.equal(one, other) for one, other in pairs)


def test_choices_that_come_to_the_same_have_equal_effect(stage: Any, two: dict[str, Any]) -> None:
    best = effect(stage, two, weights="best-single")
    place = (
        best
        and weighed(
            stage.prepared(**two), Choice(stage.params(**two, weights="best-single")), stage.context
        ).used[0]
    )
    alone = tuple(float(k == place) for k in (1, 2))
    assert effect(stage, two, weights="given", given=alone, mixing="logits") == best
    assert effect(stage, two, weights="uniform", drop=False, objective="brier") == effect(
        stage, two, weights="uniform"
    )
    assert effect(stage, two, weights="none") is effect(stage, two, weight=0.0) is None
    assert effect(stage, two, weights="none", temperature=2.0) is None
    others = [best, effect(stage, two, weights="uniform"), effect(stage, two, weight=2.0),
              effect(stage, two, weights="teacher-alone"),
              effect(stage, two, weights="uniform", temperature=2.0),
              effect(stage, two, weights="uniform", squared=False)]  # fmt: skip
    assert len({str(one) for one in others}) == len(others)


def test_telling_the_effect_mixes_nothing(
    stage: Any, two: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.prepared(**two)
    monkeypatch.setattr(term, "student_targets", lambda *_: pytest.fail("mixed"))
    assert effect(stage, two)


@pytest.mark.parametrize("given", [{"weights": "none"}, {"weight": 0.0}])
def test_no_mixture_leaves_the_state_as_it_is(
    stage: Any, two: dict[str, Any], given: dict[str, Any]
) -> None:
    assert stage.applied(**two, **given) is stage.state


def test_a_mixture_is_set_beside_ones_that_need_no_search(stage: Any, two: dict[str, Any]) -> None:
    arms = METHOD.controls(stage.params(**two))
    assert list(arms) == ["uniform", "best-single", "teacher-alone", "labels-alone"]
    assert arms["best-single"]["include_teacher"] is False
    assert arms["labels-alone"] == {"weights": "none"}
    assert "uniform" not in METHOD.controls(stage.params(**two, weights="uniform"))
    alone = stage.params(**two, weights="best-single", include_teacher=True)
    assert METHOD.controls(alone)["best-single"]["include_teacher"] is False
    assert "best-single" not in METHOD.controls(stage.params(**two, weights="best-single"))
    assert METHOD.controls(stage.params(weights="none")) == {}


def test_the_teacher_alone_is_plain_distillation(stage: Any, two: dict[str, Any]) -> None:
    state = stage.applied(**two, weights="teacher-alone", targets="online", drop=True)
    inputs = stage.state.data.tuning.inputs
    shown, teacher = (
        teachers[name].observe(inputs).logits
        for teachers, name in ((state.teachers, "ensemble"), (stage.state.teachers, "teacher"))
    )
    assert torch.equal(shown, teacher)


def test_the_proxy_is_the_mixtures_value(stage: Any, two: dict[str, Any]) -> None:
    artefact = stage.prepared(**two)

    def proxy(**given: Any) -> float | None:
        choice = Choice(stage.params(**two, **given))
        return METHOD.proxy(stage.state, choice, artefact, stage.context)

    found = weighed(artefact, Choice(stage.params(**two)), stage.context)
    assert proxy() == -found.value
    assert proxy(weights="none") is None
    assert proxy(drop=False) >= proxy(weights="uniform")


def test_latency_is_asked_of_every_network_and_the_teacher_with_its_channels(
    stage: Any, section: Section
) -> None:
    asked: list[Any] = []

    def latency(student: Any, channels: tuple[int, ...]) -> float:
        asked.append((student.family, channels))
        return float(len(asked))

    timed = replace(stage.context, latency=latency)
    sections = (section(name="a", epochs=1, channels=(0, 2)), section(name="b", epochs=1))
    artefact = stage.prepared(timed, assistants=sections, limit_on="latency_ms")
    assert asked == [
        ("keyword-transformer", (0, 2)), ("keyword-transformer", ()), ("teacher", ()),
    ]  # fmt: skip
    assert [one.latency_ms for one in members(artefact)] == [3.0, 1.0, 2.0]
    params = stage.params(assistants=sections, limit_on="latency_ms", limit=2.0)
    found = weighed(artefact, Choice(params), stage.context)
    assert len(found.used) == 1


def test_latency_without_a_target_is_refused_before_anything_is_trained(
    stage: Any, two: dict[str, Any]
) -> None:
    with pytest.raises(UserError, match="needs a run with a target and one process"):
        stage.prepared(**two, limit_on="latency_ms")
    assert not stage.context.checkpoints.exists()


def test_files_are_mixed_with_networks(stage: Any, two: dict[str, Any], tmp_path: Path) -> None:
    rng, data = np.random.default_rng(0), stage.state.data
    said = {
        split: rng.dirichlet(np.ones(3), len(data.split(split))) for split in ("tuning", "train")
    }
    (tmp_path / "said").mkdir()
    for split, rows in said.items():
        np.save(tmp_path / "said" / f"mine.{split}.npy", rows)
    own = {**two, "predictions": str(tmp_path / "said")}
    artefact = stage.prepared(**own)
    assert [one.source for one in members(artefact)] == ["teacher", "trained", "trained", "file"]
    found = predictions(artefact, "train")
    assert found.models == ("teacher", "a", "b", "mine")
    np.testing.assert_allclose(found.probabilities[3], said["train"], atol=1e-7)
    given = {**own, "weights": "given", "given": (0.25, 0.25, 0.5)}
    assert stage.applied(**given).terms[0].teachers == ()
    with pytest.raises(UserError, match="mine: expected networks to mix while"):
        stage.applied(**given, targets="online")
    without = {**given, "given": (0.5, 0.5, 0.0)}
    assert stage.applied(**without, targets="online").terms[0].teachers == ("ensemble",)
