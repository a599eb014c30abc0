"""The page about adding a method is true: its package is listed, searched with and loaded."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from stillhouse.core.cli.main import main
from stillhouse.core.config.runfile import load as load_run
from stillhouse.core.cost import terms
from stillhouse.core.errors import PluginError
from stillhouse.core.evaluate import Batch, Choice, Observation, State, Student
from stillhouse.core.evaluate.context import Silent
from stillhouse.core.evaluate.evaluator import recipe_sheet, skeleton_of
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.loading import load
from stillhouse.core.run.opened import Opened, open_run
from stillhouse.core.run.summary import RunSummary

METHODS = ("relations", "factored-feed-forward")
LOAD = """
import sys
import numpy as np
import torch
from stillhouse.core import load

model = load(sys.argv[1])
with torch.no_grad():
    np.save(sys.argv[3], model(torch.from_numpy(np.load(sys.argv[2]))).numpy())
trained = ("stillhouse.core.distill.training", "stillhouse.core.run.engine",
           "stillhouse.plugins.supernet", "stillhouse_thin.relations")
print(sum(p.numel() for p in model.parameters()), [m for m in sys.modules if m in trained])
"""
Page = Any
"""The `Page` of conftest.py, which importlib mode does not let a test import."""


def weights_of(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.fixture(scope="module")
def opened(page: Page, catalogue: Catalogue) -> Opened:
    """The page's recipe over every kind of rank: thin, thin for wide subnets only, never thin."""
    sets = [word for word in page.overrides if word != "--set"]
    sets.append("recipe.factored-feed-forward.rank={choices: [2, 8, 32]}")
    run = load_run(page.folder / "run.yaml", catalogue, sets=sets)
    directory = RunDirectory.create(page.folder / "opened", run.to_yaml())
    return open_run(make_plan(run, catalogue), catalogue, directory, Silent())


def test_both_methods_are_listed_as_active_with_their_supplier(catalogue: Catalogue) -> None:
    listed = {s.name: s for s in catalogue.statuses() if s.name in METHODS}
    assert set(listed) == set(METHODS)
    for status in listed.values():
        assert (status.distribution, status.version) == ("stillhouse-thin", "0.1.0")
        assert (status.kind, status.status) == ("method", "active")


def test_listing_and_planning_import_the_light_module_only(page: Page) -> None:
    code = (
        "import sys; from stillhouse.core.cli.main import main; "
        "main(['plugins']); main(['plan', 'run.yaml']); "
        "print([m for m in sys.modules if m == 'torch' or m.startswith('stillhouse_thin.')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=page.environment, cwd=page.folder,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "['stillhouse_thin.info']"


def test_the_commands_that_only_look_run_as_printed(
    page: Page, capsys: pytest.CaptureFixture[str]
) -> None:
    looking = [c for c in page.commands if c.startswith(("stillhouse plugins", "stillhouse plan"))]
    assert [main(shlex.split(command)[1:]) for command in looking] == [0, 0]
    said = capsys.readouterr().out
    assert "features in between" in said
    assert "supernet prepares once" in said


def test_the_package_can_be_switched_off(page: Page) -> None:
    catalogue = Catalogue.discover({"STILLHOUSE_DISABLE_PLUGINS": "stillhouse-thin"})
    assert {s.status for s in catalogue.statuses() if s.name in METHODS} == {"disabled"}


def test_every_candidates_sheet_counts_exactly_what_is_built(opened: Opened) -> None:
    space = opened.plan.space
    codes = space.unique(space.sample(400, np.random.default_rng(0)))
    assert len(codes) == space.size() == 36
    counted = terms.parameters(recipe_sheet(opened.steps, space, codes, opened.context))
    built = [skeleton_of(opened.steps, space.decode(row), opened.context) for row in codes]
    assert counted.tolist() == [weights_of(student.module) for student in built]
    plain = [weights_of(opened.family.build(s.structure, torch.Generator())) for s in built]
    assert {n < whole for n, whole in zip(counted, plain, strict=True)} == {True, False}


def test_a_rebuilt_skeleton_takes_the_weights_that_apply_left(opened: Opened) -> None:
    method = next(b.method for b in opened.steps if b.step.name == "factored-feed-forward")
    student = plain_student(opened)
    before = {name: t.clone() for name, t in student.module.state_dict().items()}
    changed = applied(opened, student, rank=2)
    for name, tensor in student.module.state_dict().items():
        assert torch.equal(tensor, before[name])
    (change,) = changed.rebuilds
    fresh = method.rebuild(plain_student(opened, seed=1).module, json_copy(change.record))
    fresh.load_state_dict(changed.module.state_dict(), strict=True)
    inputs = opened.task.example(4)
    assert torch.equal(fresh(inputs), changed.module(inputs))


def test_the_thin_layers_are_the_best_approximation_of_their_rank(opened: Opened) -> None:
    student = plain_student(opened)
    whole = student.module.blocks[0].feed_forward.up.weight
    inner, outer = applied(opened, student, rank=5).module.blocks[0].feed_forward.up
    error = torch.linalg.matrix_norm(whole - outer.weight @ inner.weight)
    dropped = torch.linalg.svdvals(whole)[5:]
    torch.testing.assert_close(error, dropped.square().sum().sqrt())


def test_the_relations_are_zero_for_any_scale_of_agreement_and_grow_without_it(
    opened: Opened,
) -> None:
    method = next(b.method for b in opened.steps if b.step.name == "relations")
    info = next(b.step.info for b in opened.steps if b.step.name == "relations")
    state = method.apply(blank(opened), Choice(info.params(temperature=1.0)), None, opened.context)
    (term,) = state.terms
    logits = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    batch = Batch(torch.zeros(8, 1), torch.zeros(8), torch.arange(8))

    def value(student: torch.Tensor) -> float:
        seen = {"teacher": Observation(logits)}
        return float(term.value(Observation(student), seen, batch, None))

    assert value(logits + 5) == pytest.approx(0, abs=1e-6)
    assert value(-logits) > value(logits.roll(1, 0)) > 0.1


def test_the_search_finds_a_thin_model_within_the_limit(summary: RunSummary) -> None:
    (limit,) = summary.limits
    assert len(summary.evaluations) == 6
    device, latency, sampler = summary.notes
    assert device.endswith("was written with measurements of this machine")
    assert latency.startswith("latency model: fitted")
    assert sampler.startswith("sampler: auto chose 'surrogate'")
    assert summary.certificate.measured["parameters"] <= limit.bound
    assert summary.found["rank"] in (2, 4)


def test_every_evaluations_cost_is_the_built_models_count(
    summary: RunSummary, opened: Opened
) -> None:
    for evaluation in summary.evaluations:
        student = skeleton_of(opened.steps, evaluation.configuration, opened.context)
        assert evaluation.costs["parameters"] == weights_of(student.module)


def test_the_loaded_model_answers_as_the_exported_one(
    page: Page, found: Path, catalogue: Catalogue
) -> None:
    inputs = np.load(page.folder / "waves.npz")["x"][:1]
    with torch.no_grad():
        ours = load(found, catalogue)(torch.from_numpy(inputs)).numpy()
    np.testing.assert_allclose(ours, answered(found, inputs), atol=1e-5)


@pytest.mark.slow
def test_a_fresh_process_loads_what_was_exported(
    page: Page, found: Path, summary: RunSummary, tmp_path: Path
) -> None:
    inputs = np.load(page.folder / "waves.npz")["x"][:1]
    np.save(tmp_path / "inputs.npy", inputs)
    arguments = [str(found), str(tmp_path / "inputs.npy"), str(tmp_path / "outputs.npy")]
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *arguments],
        env=page.environment,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    count = int(summary.certificate.measured["parameters"])
    assert done.stdout == f"{count} []\n"
    outputs = np.load(tmp_path / "outputs.npy")
    np.testing.assert_allclose(outputs, answered(found, inputs), atol=1e-5)


def test_the_export_holds_the_students_weights_and_nothing_else(
    found: Path, summary: RunSummary
) -> None:
    graph = onnx.load(found / "best" / "model.onnx").graph
    sizes = [
        int(np.prod(t.dims)) for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT
    ]
    assert sum(size for size in sizes if size > 1) == summary.certificate.measured["parameters"]
    record = json.loads((found / "best" / "model.json").read_text())
    assert [change["method"] for change in record["rebuilds"]] == ["factored-feed-forward"]


def test_a_change_of_form_that_cannot_be_repeated_names_its_supplier(
    found: Path, catalogue: Catalogue, tmp_path: Path
) -> None:
    best = Path(shutil.copytree(found / "best", tmp_path / "best"))
    record = json.loads((best / "model.json").read_text())
    record["rebuilds"][0]["record"] = {"rank": "thin"}
    (best / "model.json").write_text(json.dumps(record))
    with pytest.raises(PluginError, match=r"\(stillhouse-thin 0\.1\.0\) failed in rebuild: Type"):
        load(best, catalogue)


def answered(found: Path, inputs: np.ndarray) -> np.ndarray:
    """What ONNX Runtime makes of inputs with the exported model."""
    session = onnxruntime.InferenceSession(
        found / "best" / "model.onnx", providers=["CPUExecutionProvider"]
    )
    (exported,) = session.run(None, {session.get_inputs()[0].name: inputs})
    return exported


def plain_student(opened: Opened, seed: int = 0) -> Student:
    module = opened.family.build(opened.full, torch.Generator().manual_seed(seed))
    return Student(opened.family.name, opened.full, module.eval())


def applied(opened: Opened, student: Student, rank: int) -> Student:
    bound = next(b for b in opened.steps if b.step.name == "factored-feed-forward")
    choice = Choice(bound.step.info.params(rank=rank))
    state = bound.method.apply(blank(opened).with_student(student), choice, None, opened.context)
    assert state.student is not None
    return state.student


def blank(opened: Opened) -> State:
    return State({}, opened.task.data)


def json_copy(record: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(record))
