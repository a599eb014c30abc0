from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stillhouse.core.errors import DataError
from stillhouse.core.evaluate import Choice
from stillhouse.core.evaluate.predictions import Predictions
from stillhouse.plugins.ensemble import cached
from stillhouse.plugins.ensemble.cached import has, predictions
from stillhouse.plugins.ensemble.ensemble import TeachingEnsemble
from stillhouse.plugins.ensemble.scores import answers, hits, interval, log_losses, share
from stillhouse.plugins.ensemble.weighing import weighed

METHOD = TeachingEnsemble()
Section = Callable[..., dict[str, Any]]


@pytest.fixture
def two(section: Section) -> dict[str, Any]:
    return {"assistants": (section(name="a", width=16, epochs=1), section(name="b", epochs=1))}


def shown(stage: Any, two: dict[str, Any], **given: Any) -> dict[str, Any]:
    choice = Choice(stage.params(**two, **given))
    found = METHOD.exhibit(stage.state, choice, stage.prepared(**two, **given), stage.context)
    assert found is not None
    return dict(found)


def test_the_exhibit_is_plain_and_whole(stage: Any, two: dict[str, Any]) -> None:
    found = shown(stage, two, temperature=3.0, drop=False)
    assert json.loads(json.dumps(found)) == found
    known = {name: found[name] for name in (
        "kind", "method", "weights", "objective", "mixing", "temperature", "distil_temperature",
        "topology", "referee", "samples", "several", "metric", "unused",
    )}  # fmt: skip
    assert known == {
        "kind": "ensemble", "method": "ensemble", "weights": "differential-evolution",
        "objective": "log_loss", "mixing": "probabilities", "temperature": 1.0,
        "distil_temperature": 3.0, "topology": "flat", "referee": "em",
        "samples": {"tuning": 30, "test": 12}, "several": False, "metric": "log_loss",
        "unused": False,
    }  # fmt: skip
    assert abs(found["gap"]) < 1e-4
    assert [one["name"] for one in found["members"]] == ["a", "b"]
    assert sum(one["weight"] for one in found["members"]) == pytest.approx(1, abs=1e-9)
    assert set(found["members"][0]) == {
        "name", "weight", "parameters", "macs", "source", "channels", "dropped", "learnt_from",
    }  # fmt: skip
    assert [row["role"] for row in found["rows"]] == [
        "chosen", "em", "uniform", "best-single", "teacher", "member", "member",
    ]  # fmt: skip
    assert [row["label"] for row in found["rows"]][-3:] == ["teacher", "a", "b"]
    assert found["rows"][3]["label"] in ("a", "b")
    assert found["rows"][0]["behind"] is None


def test_rows_are_what_the_predictions_say(stage: Any, two: dict[str, Any]) -> None:
    found = shown(stage, two)
    artefact = stage.prepared(**two)
    weights = weighed(artefact, Choice(stage.params(**two)), stage.context).weights
    for split in ("tuning", "test"):
        cached = predictions(artefact, split)
        mixture = np.tensordot(weights, cached.probabilities.astype(np.float64), 1)
        losses = -np.log(mixture[np.arange(cached.samples), cached.targets])
        chosen, alone = found["rows"][0][split], found["rows"][-1][split]
        assert chosen["log_loss"]["mean"] == pytest.approx(losses.mean(), abs=1e-12)
        right = (mixture.argmax(1) == cached.targets).mean()
        assert chosen["accuracy"]["mean"] == pytest.approx(right)
        for scores in (chosen, alone):
            for one in scores.values():
                assert one["low"] <= one["mean"] <= one["high"]
    last = cached.probabilities[2][np.arange(12), cached.targets].astype(np.float64)
    gap = -np.log(last) - losses
    behind = found["rows"][-1]["behind"]
    assert behind["mean"] == pytest.approx(gap.mean(), abs=1e-9)
    half = 1.959963984540054 * gap.std(ddof=1) / np.sqrt(12)
    assert behind["high"] - behind["mean"] == pytest.approx(half, abs=1e-9)


def test_the_test_split_is_predicted_once_and_only_for_the_exhibit(
    stage: Any, two: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    splits: list[str] = []
    predict = cached.predict

    def counted(models: Any, split: Any, *given: Any, **more: Any) -> Predictions:
        splits.append(split)
        return predict(models, split, *given, **more)

    monkeypatch.setattr(cached, "predict", counted)
    stage.applied(**two)
    assert splits == ["tuning", "train"]
    first = shown(stage, two)
    assert splits == ["tuning", "train", "test"]
    artefact = stage.prepared(**two)
    artefact.memo.clear()
    assert shown(stage, two) == first
    assert splits == ["tuning", "train", "test"]
    assert has(artefact, "test")


@pytest.mark.parametrize(
    ("given", "roles"),
    [
        ({"weights": "em"}, ["chosen", "differential-evolution", "uniform", "best-single"]),
        ({"weights": "uniform"}, ["chosen", "differential-evolution", "em", "best-single"]),
        ({"mixing": "logits"}, ["chosen", "slsqp", "uniform", "best-single"]),
        ({"objective": "brier"}, ["chosen", "uniform", "best-single"]),
        ({"weights": "stacking"},
         ["chosen", "differential-evolution", "em", "uniform", "best-single"]),
        ({"weights": "given", "given": (0.5, 0.5)},
         ["chosen", "differential-evolution", "em", "uniform", "best-single"]),
    ],
)  # fmt: skip
def test_other_ways_to_weigh_stand_beside(
    stage: Any, two: dict[str, Any], given: dict[str, Any], roles: list[str]
) -> None:
    found = shown(stage, two, **given)
    assert [row["role"] for row in found["rows"]][:-3] == roles
    assert found["weights"] == given.get("weights", "differential-evolution")
    assert (found["gap"] is None) == (found["referee"] is None)
    assert [one["name"] for one in found["members"]] == ["a", "b"]


@pytest.mark.parametrize("instead", ["none", "teacher-alone"])
def test_weights_that_the_student_did_not_learn_from_are_said_to_be_unused(
    stage: Any, two: dict[str, Any], instead: str
) -> None:
    found = shown(stage, two, weights=instead)
    assert (found["weights"], found["unused"]) == ("differential-evolution", True)
    assert shown(stage, two, weight=0.0)["unused"]
    artefact = stage.prepared(weights="none")
    choice = Choice(stage.params(weights="none"))
    assert METHOD.exhibit(stage.state, choice, artefact, stage.context) is None


def test_a_dropped_model_says_by_how_much_the_loss_rose(stage: Any, two: dict[str, Any]) -> None:
    found = shown(stage, two, drop_below=1.0, drop_rise=10.0)
    (gone,) = (one for one in found["members"] if one["dropped"])
    assert gone["weight"] == 0
    assert gone["dropped"]["rise"] < 10


def test_the_teacher_is_a_member_where_it_is_mixed(stage: Any, two: dict[str, Any]) -> None:
    found = shown(stage, two, include_teacher=True)
    assert [one["source"] for one in found["members"]] == ["teacher", "trained", "trained"]


def test_several_labels_have_means_over_labels(
    staged: Callable[..., Any], two: dict[str, Any]
) -> None:
    stage = staged(several=True)
    found = shown(stage, two, weights="uniform")
    assert found["several"]
    test = predictions(stage.prepared(**two), "test")
    mixture = test.probabilities[1:].astype(np.float64).mean(0)
    right = np.where(test.targets == 1, mixture, 1 - mixture)
    scores = found["rows"][0]["test"]
    assert scores["log_loss"]["mean"] == pytest.approx(-np.log(right).mean(), abs=1e-6)
    assert scores["accuracy"]["mean"] == pytest.approx((right > 0.5).mean())


def test_files_without_a_test_split_have_no_test_numbers(
    stage: Any, two: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "said").mkdir()
    sizes = {"tuning": 30, "train": 24, "test": 12}
    rng = np.random.default_rng(0)
    rows = {split: rng.dirichlet(np.ones(3), size) for split, size in sizes.items()}
    for split in ("tuning", "train"):
        np.save(tmp_path / "said" / f"mine.{split}.npy", rows[split])
    own = {**two, "predictions": str(tmp_path / "said")}
    found = shown(stage, own)
    assert found["samples"] == {"tuning": 30, "test": None}
    assert {str(row["test"]) for row in found["rows"]} == {"None"}
    assert found["rows"][1]["behind"] is not None
    np.save(tmp_path / "said" / "mine.test.npy", rows["test"] * 2)
    with pytest.raises(DataError, match="sum to one"):
        shown(stage, own)
    np.save(tmp_path / "said" / "mine.test.npy", rows["test"])
    assert shown(stage, own)["samples"] == {"tuning": 30, "test": 12}


def test_a_share_has_wilsons_interval() -> None:
    assert share(np.ones(10)) == {"mean": 1.0, "low": pytest.approx(0.7224672), "high": 1.0}
    half = share(np.array([0.0, 1.0] * 5))
    assert (half["low"], half["high"]) == (pytest.approx(0.2365931), pytest.approx(0.7634069))
    assert share(np.array([0.5, 1.0])) == interval(np.array([0.5, 1.0]))
    assert interval(np.array([2.0])) == {"mean": 2.0, "low": 2.0, "high": 2.0}


def test_scores_of_certain_mistakes_are_finite(stage: Any, two: dict[str, Any]) -> None:
    split = predictions(stage.prepared(**two), "tuning")
    sure = np.zeros((split.samples, 3))
    sure[np.arange(split.samples), (split.targets + 1) % 3] = 1
    assert np.allclose(log_losses(sure, split), -np.log(1e-12))
    assert hits(sure, split).sum() == 0
    own = replace(split, probabilities=np.stack([sure] * 3).astype(np.float32))
    assert np.array_equal(answers(own, np.array([0.0, 1.0, 0.0])), sure)
