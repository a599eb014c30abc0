"""What cannot work is said before anything is trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import save_file

from stillhouse.core.errors import DataError, LimitError, RunDirectoryError, UserError
from stillhouse.core.evaluate import Choice
from stillhouse.plugins.ensemble.cached import predictions
from stillhouse.plugins.ensemble.ensemble import TeachingEnsemble

Section = Callable[..., dict[str, Any]]
METHOD = TeachingEnsemble()
SAMPLES = {"tuning": 30, "train": 24, "test": 12}


def check(stage: Any, **given: Any) -> None:
    METHOD.check(stage.state, Choice(stage.params(**given)), stage.context)


def write_predictions(folder: Path, name: str, split: str, **changes: Any) -> Path:
    """One file of probabilities that are as they should be, but for the changes."""
    rng = np.random.default_rng(len(name) + len(split))
    rows = rng.dirichlet(np.ones(3), SAMPLES[split]).astype(np.float32)
    found = changes.pop("edit", lambda rows: rows)(rows)
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.{split}.npz"
    np.savez(path, probabilities=found, **{"classes": ["a", "b", "c"], **changes})
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Predictions of two models on every split."""
    for split in SAMPLES:
        for name in ("one", "two"):
            write_predictions(tmp_path / "said", name, split)
    return tmp_path / "said"


def test_what_can_work_is_not_refused(
    stage: Any, section: Section, folder: Path, saved_run: Callable[..., Path]
) -> None:
    run = saved_run(stage.network(1), {})
    check(stage, assistants=(section(),), runs=(str(run),), predictions=str(folder))
    check(stage, weights="none")
    check(stage, assistants=(section(draw=2, width=32, depth=3),))


def test_nothing_to_mix(stage: Any) -> None:
    with pytest.raises(UserError, match="expected models to mix, got none; list assistants"):
        check(stage)


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        ({"name": "a"}, {"name": "a"}, "a"),
        ({"name": "teacher"}, {}, "teacher"),
        ({"name": "a", "draw": 2, "width": 32}, {"name": "a-2"}, "a-2"),
    ],
)
def test_one_name_for_two_assistants(
    stage: Any, section: Section, first: Any, second: Any, name: str
) -> None:
    with pytest.raises(UserError, match=f"a name of its own for every .*, got '{name}'"):
        check(stage, assistants=(section(**first), section(**second)))


def test_assistants_without_names_are_called_by_model_and_place(
    stage: Any, section: Section
) -> None:
    artefact = stage.prepared(assistants=(section(epochs=1), section(epochs=1)))
    names = [one["name"] for one in artefact.record["members"]]
    assert names == ["teacher", "keyword-transformer-1", "keyword-transformer-2"]


def test_one_name_for_an_assistant_and_a_file_or_a_run(
    stage: Any, section: Section, folder: Path, saved_run: Callable[..., Path]
) -> None:
    with pytest.raises(UserError, match="for every model, got 'two' twice; rename an assistant"):
        check(stage, assistants=(section(name="two"),), predictions=str(folder))
    run = saved_run(stage.network(1), {}, name="mine")
    with pytest.raises(UserError, match="for every model, got 'mine' twice"):
        check(stage, assistants=(section(name="mine"),), runs=(str(run),))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"edit": lambda rows: rows[1:]}, r"expected \d\d samples, as in .*one"),
        ({"classes": ["a", "b", "z"]}, "expected the classes a, b, c, got z instead of c"),
        ({"edit": lambda rows: rows * 0.9}, "probabilities that sum to one, got 0.9"),
        ({"edit": lambda rows: rows * [[1, np.nan, 1]]}, "expected finite numbers, got nan"),
        ({"edit": lambda rows: rows[:, :2]}, "expected a name for each of 2 classes, got 3"),
        ({"edit": lambda rows: rows - 0.5}, "expected at least 0"),
    ],
)
@pytest.mark.parametrize("split", ["tuning", "train", "test"])
def test_predictions_that_do_not_fit(
    stage: Any, folder: Path, split: str, changes: dict[str, Any], message: str
) -> None:
    path = write_predictions(folder, "two", split, **changes)
    with pytest.raises(DataError, match=message) as found:
        check(stage, predictions=str(folder))
    assert str(path) in str(found.value)
    assert not list(stage.store.folder.glob("*"))


def test_predictions_of_other_samples_than_the_task_has(stage: Any, tmp_path: Path) -> None:
    for split in ("tuning", "train"):
        write_predictions(tmp_path / "said", "one", split, edit=lambda rows: rows[1:])
    with pytest.raises(DataError, match="expected 29 targets, one a sample, got 30"):
        check(stage, predictions=str(tmp_path / "said"))


def test_columns_that_say_their_classes_are_put_in_order(stage: Any, folder: Path) -> None:
    for split in SAMPLES:
        own = np.load(folder / f"one.{split}.npz")["probabilities"]
        np.savez(
            folder / f"two.{split}.npz", probabilities=own[:, [2, 0, 1]], classes=["c", "a", "b"]
        )
    found = predictions(stage.prepared(predictions=str(folder)), "tuning")
    assert found.models == ("teacher", "one", "two")
    assert np.array_equal(found.probabilities[1], found.probabilities[2])


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_that_a_model_lacks(stage: Any, folder: Path, split: str) -> None:
    (folder / f"two.{split}.npz").unlink()
    with pytest.raises(DataError, match=f"files of one, two for the {split} split, .* got one;"):
        check(stage, predictions=str(folder))


def test_the_train_split_must_be_there_and_test_need_not(stage: Any, folder: Path) -> None:
    for name in ("one", "two"):
        (folder / f"{name}.test.npz").unlink()
    check(stage, predictions=str(folder))
    for name in ("one", "two"):
        (folder / f"{name}.train.npz").unlink()
    with pytest.raises(DataError, match=r"for the train split, .* got none; predict every split"):
        check(stage, predictions=str(folder))


def test_two_files_of_one_model(stage: Any, folder: Path) -> None:
    np.save(folder / "two.tuning.npy", np.full((30, 3), 1 / 3, np.float32))
    with pytest.raises(DataError, match=r"one file of 'two' for the tuning split, got also two\."):
        check(stage, predictions=str(folder))


def test_a_folder_without_predictions(stage: Any, tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataError, match=r"files such as NAME.tuning.npy, found none; write"):
            check(stage, predictions=str(place))


@pytest.mark.parametrize(
    "given", [{"targets": "online"}, {"form": "sigmoid"}], ids=["online", "form"]
)
def test_files_cannot_be_mixed_while_the_student_trains(
    stage: Any, staged: Callable[..., Any], folder: Path, given: dict[str, Any]
) -> None:
    for one, more in ((stage, given), (staged(noise=0.1), {})):
        with pytest.raises(UserError, match="one, two: expected networks to mix while the student"):
            check(one, predictions=str(folder), **more)


def test_cached_targets_of_augmented_inputs(staged: Callable[..., Any], section: Section) -> None:
    with pytest.raises(UserError, match="cached targets belong to inputs as they are"):
        check(staged(noise=0.1), assistants=(section(),), targets="cached")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ["a", "b", "z"]}, "a model of the classes a, b, c, got a, b, z"),
        ({"labels": ["a", "b"]}, "a model of the classes a, b, c, got a, b"),
        ({"input_shape": [8, 4]}, r"a model of inputs \(8, 5\), got \(8, 4\)"),
        ({"channels": [0, 1]}, r"a model of inputs \(8, 2\), got \(8, 5\)"),
        ({"channels": [0, 7], "input_shape": [8, 2]}, "another: .* expected numbers from 0 to 4"),
        ({"inputs": {"preparation": "log-mel of 1 s"}}, "made so: mfcc; got .*: log-mel of 1 s;"),
        ({"outputs": {"several": True}}, r"one class a sample \(softmax\), as .* any number of"),
    ],
)
def test_a_run_on_other_classes_or_inputs(
    stage: Any, saved_run: Callable[..., Path], changes: dict[str, Any], message: str
) -> None:
    stage.context.task.preparation = "mfcc"
    check(stage, runs=(str(saved_run(stage.network(1), {}, inputs={"preparation": "mfcc"})),))
    run = saved_run(stage.network(1), {}, name="another", **changes)
    with pytest.raises(UserError, match=message):
        check(stage, runs=(str(run),))


def test_a_run_that_is_not_finished(stage: Any, tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="expected a finished run"):
        check(stage, runs=(str(tmp_path),))


def test_weights_of_another_network(stage: Any, section: Section, tmp_path: Path) -> None:
    save_file(stage.network(1, width=16).state_dict(), tmp_path / "other.safetensors")
    (tmp_path / "text.safetensors").write_text("no tensors")
    for name, said in (
        ("other", "this network's weights, got another .*size mismatch"),
        ("text", "this network's weights, got another"),
        ("none", "expected weights here, found no file"),
    ):
        own = section(name="own", checkpoint=str(tmp_path / f"{name}.safetensors"))
        with pytest.raises(UserError, match=rf"assistant own: .*{name}.safetensors: .*{said}"):
            check(stage, assistants=(section(), own))


@pytest.mark.parametrize(
    "ways", [("checkpoint", "draw"), ("checkpoint", "freeze"), ("draw", "freeze")]
)
def test_two_ways_to_come_by_weights(stage: Any, section: Section, ways: tuple[str, ...]) -> None:
    both = {name: {"checkpoint": "x", "draw": 2, "freeze": True}[name] for name in ways}
    with pytest.raises(UserError, match=f"expected one of {' and '.join(ways)}, got both"):
        check(stage, assistants=(section(**both),))


def test_a_channel_that_is_not_there(stage: Any, section: Section) -> None:
    with pytest.raises(UserError, match="expected numbers from 0 to 4"):
        check(stage, assistants=(section(channels=(1, 5)),))


@pytest.mark.parametrize("cost", ["parameters", "macs"])
def test_a_limit_below_the_cheapest_assistant(stage: Any, section: Section, cost: str) -> None:
    sections = (section(name="large", width=16), section(name="small"))
    artefact = stage.prepared(assistants=tuple({**one, "epochs": 1} for one in sections))
    least = artefact.record["members"][2][cost]
    check(stage, assistants=sections, limit_on=cost, limit=float(least))
    with pytest.raises(LimitError, match=f"{cost}; nearest reachable: {least:g}, small alone"):
        check(stage, assistants=sections, limit_on=cost, limit=least - 1.0)
    check(stage, assistants=sections, limit_on=cost, limit=1.0, weights="none")


def test_a_limit_on_a_cost_that_files_of_predictions_have_not(
    stage: Any, section: Section, folder: Path
) -> None:
    own = {"assistants": (section(name="a"),), "predictions": str(folder), "limit": 1e9}
    for cost in ("parameters", "macs", "latency_ms"):
        with pytest.raises(UserError, match=f"whose {cost} are known, but of one, two there are"):
            check(stage, limit_on=cost, **own)
    with pytest.raises(UserError, match="but of two there are only predictions"):
        check(stage, only=(0, 2), **own)
    check(stage, limit_on="training_macs", **own)
    check(stage, only=(0,), **own)
    check(stage, weights="given", given=(1.0, 0.0, 0.0), **own)


def test_weights_for_another_number_of_models(stage: Any, section: Section) -> None:
    sections = (section(name="a"), section(name="b"))
    check(stage, assistants=sections, weights="given", given=(0.5, 0.5))
    check(stage, assistants=sections, weights="given", given=(0.2, 0.3, 0.5), include_teacher=True)
    check(stage, assistants=sections, weights="given", given=(1.0,), only=(1,))
    with pytest.raises(UserError, match=r"a weight for each of 2 models, .* got 3"):
        check(stage, assistants=sections, weights="given", given=(0.2, 0.3, 0.5))
    with pytest.raises(UserError, match="expected weights: given with it, got weights: em"):
        check(stage, assistants=sections, weights="em", given=(0.5, 0.5))


def test_places_of_models_that_are_not_there(stage: Any, section: Section) -> None:
    with pytest.raises(UserError, match=r"ensemble.only: expected places from 0 to 0 \(a\), got 1"):
        check(stage, assistants=(section(name="a"),), only=(1,))


def test_solvers_that_do_not_serve_the_objective(
    stage: Any, staged: Callable[..., Any], section: Section
) -> None:
    own = {"assistants": (section(),)}
    check(stage, weights="stacking", **own)
    for given in ({"weights": "em", "mixing": "logits"}, {"weights": "em", "objective": "brier"}):
        with pytest.raises(UserError, match="em is for the log-loss of mixed probabilities"):
            check(stage, **given, **own)
    check(stage, weights="slsqp", objective="brier", **own)
    with pytest.raises(UserError, match="slsqp needs an objective with a gradient, got accuracy"):
        check(stage, weights="slsqp", objective="accuracy", **own)
    for one, given in ((stage, {"calibrate": True}), (staged(several=True), {})):
        with pytest.raises(UserError, match="stacking needs one label a sample and no calib"):
            check(one, weights="stacking", **given, **own)


def test_a_run_that_may_have_learnt_from_other_data_is_refused(
    stage: Any, saved_run: Callable[..., Path]
) -> None:
    for name, data, came in (("one", "others", "of other data"), ("two", "", "does not say")):
        run = str(saved_run(stage.network(1), {}, name=name, data=data))
        with pytest.raises(UserError, match=f"{came}.*write other_data: true"):
            check(stage, runs=(run,))
        check(stage, runs=(run,), other_data=True)


def test_a_limit_is_held_against_the_models_that_may_be_mixed(stage: Any, section: Section) -> None:
    two = (section(name="small"), section(name="large", width=32))
    check(stage, assistants=two, limit_on="parameters", limit=800)
    with pytest.raises(LimitError, match="large alone"):
        check(stage, assistants=two, limit_on="parameters", limit=800, only=(1,))
