"""The ensemble itself as the student: its answers, its form, its costs, its limits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from stillhouse.core import load as load_model
from stillhouse.core.config.runfile import load
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Artefact, Choice, ModuleTeacher, Silent
from stillhouse.core.evaluate.evaluator import predict
from stillhouse.core.evaluate.skeletons import description, skeleton
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.engine import execute
from stillhouse.core.run.summary import RunSummary
from stillhouse.core.search.ensembles import mixed
from stillhouse.plugins.ensemble.cached import predictions
from stillhouse.plugins.ensemble.deployed import DeployedEnsemble
from stillhouse.plugins.ensemble.info import DeployedParams
from stillhouse.plugins.ensemble.mixture import EnsembleTeacher, Mixing
from stillhouse.plugins.ensemble.several import SeveralNetworks

from .conftest import Stage

METHOD = DeployedEnsemble()
CATALOGUE = Catalogue.discover()
Section = Callable[..., dict[str, Any]]


def prepared(stage: Stage, params: DeployedParams) -> Artefact:
    return stage.store.memo(
        "deployed", "one", lambda: METHOD.prepare(stage.state, params, stage.context)
    )


def parameters(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


@pytest.mark.parametrize("kind", ["probabilities", "logits"])
@pytest.mark.parametrize("sigmoid", [False, True])
def test_several_networks_answer_as_the_ensemble_that_teaches(
    stage: Stage, kind: str, sigmoid: bool
) -> None:
    networks = [stage.network(seed) for seed in range(3)]
    one = SeveralNetworks(networks, [(), (), ()], kind, sigmoid).eval()
    one.weights.copy_(torch.tensor([0.5, 0.2, 0.3]))
    one.temperature.fill_(0.7)
    mixing = Mixing(kind, 0.7, sigmoid)
    many = EnsembleTeacher([ModuleTeacher(n, (), {}) for n in networks], [0.5, 0.2, 0.3], mixing)
    inputs = stage.state.data.tuning.inputs
    shown, expected = one(inputs), many.observe(inputs).logits
    if sigmoid or kind == "logits":
        torch.testing.assert_close(shown, expected, atol=1e-5, rtol=1e-5)
    else:
        torch.testing.assert_close(shown.softmax(1), expected.softmax(1), atol=1e-6, rtol=1e-5)


def test_the_student_says_what_the_weights_were_solved_for(stage: Stage, section: Section) -> None:
    params = DeployedParams(
        assistants=(section(name="a"), section(name="b", width=12)),
        weights="given",
        given=(0.3, 0.7),
    )
    artefact = prepared(stage, params)
    choice = Choice(params)
    student = METHOD.apply(stage.state, choice, artefact, stage.context).student
    assert student is not None
    tuning = predictions(artefact, "tuning")
    shown = predict(student, stage.state.data.tuning).softmax(1).numpy()
    found = student.module.get_buffer("weights").double().numpy()
    assert found.sum() == pytest.approx(1, abs=1e-6)
    expected = mixed(tuning.probabilities[1:], found)
    np.testing.assert_allclose(shown, expected, atol=1e-6)


def test_models_without_weight_are_not_deployed(stage: Stage, section: Section) -> None:
    params = DeployedParams(assistants=(section(name="a"), section(name="b", width=12)))
    artefact = prepared(stage, params)
    alone = DeployedParams(
        assistants=params.assistants, weights="given", given=(0.0, 1.0), drop=False
    )
    student = METHOD.apply(stage.state, Choice(alone), artefact, stage.context).student
    assert student is not None
    both = METHOD.skeleton(None, Choice(params), stage.context)
    assert len(student.module.get_submodule("networks")._modules) == 1
    assert parameters(student.module) < parameters(both.module)


def test_its_shape_is_known_before_anything_is_trained(stage: Stage, section: Section) -> None:
    sections = (section(name="a"), section(name="b", width=16, draw=2))
    params = DeployedParams(assistants=sections, drop=False, weights="uniform")
    untrained = METHOD.skeleton(None, Choice(params), stage.context)
    artefact = prepared(stage, params)
    student = METHOD.apply(stage.state, Choice(params), artefact, stage.context).student
    assert student is not None
    assert description(student) == description(untrained)
    only = DeployedParams(assistants=sections, only=(0, 2))
    fewer = METHOD.skeleton(None, Choice(only), stage.context)
    assert len(fewer.module.get_submodule("networks")._modules) == 2


def test_it_was_trained_as_long_as_the_longest_of_its_networks(
    stage: Stage, section: Section
) -> None:
    sections = (section(name="a", epochs=3), section(name="b", epochs=2), section(name="c"))
    params = DeployedParams(assistants=sections, weights="given", given=(0.0, 0.5, 0.5))
    artefact = prepared(stage, params)
    student = METHOD.apply(stage.state, Choice(params), artefact, stage.context).student
    assert student is not None
    assert student.updates == 2 * 3  # epochs of 24 samples in batches of 8


def test_it_is_rebuilt_from_its_description_alone(stage: Stage, section: Section) -> None:
    params = DeployedParams(assistants=(section(name="a"), section(name="b", channels=(1, 0))))
    artefact = prepared(stage, params)
    student = METHOD.apply(stage.state, Choice(params), artefact, stage.context).student
    assert student is not None
    again = skeleton(description(student), torch.Generator().manual_seed(9), CATALOGUE)
    again.load_state_dict(student.module.state_dict(), strict=True)
    inputs = stage.state.data.test.inputs
    assert torch.equal(again.eval()(inputs), student.module(inputs))


def test_a_narrow_student_is_refused(staged: Callable[..., Stage], section: Section) -> None:
    narrow = staged(channels=(0, 1))
    params = DeployedParams(assistants=(section(name="a"),))
    with pytest.raises(UserError, match=r"take student\.channels out"):
        METHOD.check(narrow.state, Choice(params), narrow.context)


def test_the_uniform_mixture_is_its_control() -> None:
    assert METHOD.controls(DeployedParams()) == {"uniform": {"weights": "uniform"}}
    assert METHOD.controls(DeployedParams(weights="uniform")) == {}


RUN = """
task: {npz: {path: waves.npz}}
teacher: {model: keyword-transformer, width: 24, depth: 2, heads: 2, epochs: 1, batch_size: 16}
student: {model: keyword-transformer, width: 8, depth: 1, heads: 1}
recipe:
  - deploy-ensemble:
      assistants:
        - {model: keyword-transformer, name: a, width: 8, depth: 1, heads: 1, epochs: 1}
        - {model: keyword-transformer, name: b, width: 12, depth: 1, heads: 1, epochs: 1}
        - {model: keyword-transformer, name: c, width: 20, depth: 2, heads: 2, epochs: 1}
      only: {taps: 2, of: 3}
search: {minimize: log_loss, limits: {parameters: "<= 40%"}, evaluations: 3, fidelity: 0, finalists: 1}
target:
  {runtime: onnxruntime-cpu, profile: 5, repeats: 3, processes: 1, patience_s: 0,
   device: device.json}
train: {threads: 1}
baselines: false
"""  # noqa: E501


def finished(folder: Path, text: str) -> RunSummary:
    """A run on noise of three classes, in `folder/run`."""
    rng = np.random.default_rng(0)
    targets = np.arange(120) % 3
    inputs = rng.standard_normal((120, 12, 4)) + targets[:, None, None]
    np.savez(folder / "waves.npz", x=inputs.astype(np.float32), y=targets)
    (folder / "run.yaml").write_text(text)
    config = load(folder / "run.yaml", CATALOGUE)
    with RunDirectory.create(folder / "run", config.to_yaml()) as directory:
        return execute(make_plan(config, CATALOGUE), CATALOGUE, directory, Silent())


@pytest.mark.slow
def test_what_is_told_of_it_is_of_the_models_that_are_deployed(tmp_path: Path) -> None:
    few = RUN.replace("only: {taps: 2, of: 3}", "drop_below: 1\n      drop_rise: 10")
    summary = finished(tmp_path, few.replace('limits: {parameters: "<= 40%"}, ', ""))
    (exhibit,) = (one for one in summary.exhibits if one["kind"] == "ensemble")
    (left,) = (one for one in exhibit["members"] if one["weight"] > 0)
    row = next(row for row in summary.rows if row.role == "found")
    assert (row.parameters, row.macs) == (left["parameters"], left["macs"])
    assert summary.certificate.measured["parameters"] == left["parameters"]
    module = load_model(tmp_path / "run")
    assert parameters(module) == left["parameters"]


@pytest.mark.slow
def test_a_run_deploys_the_mixture_that_meets_its_limits(tmp_path: Path) -> None:
    summary = finished(tmp_path, RUN)
    assert summary.found["only"] == [0, 1]
    module = load_model(tmp_path / "run")
    assert isinstance(module, SeveralNetworks)
    (exhibit,) = (one for one in summary.exhibits if one["kind"] == "ensemble")
    assert (exhibit["method"], exhibit["deployed"]) == ("deploy-ensemble", True)
    assert [one["name"] for one in exhibit["members"]] == ["a", "b"]
