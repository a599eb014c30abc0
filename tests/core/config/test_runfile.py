from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stillhouse.core.config import (
    Limit,
    SearchRange,
    TargetSettings,
    TeacherTraining,
    TrainSection,
    load,
    parse,
)
from stillhouse.core.config.written import dump
from stillhouse.core.errors import ConfigError
from stillhouse.core.plugin import Catalogue
from stillhouse.core.plugin.metrics import CLASSIFICATION, Metric
from stillhouse.core.plugin.records import TaskInfo


@pytest.fixture
def run(catalogue, run_text):
    return parse(run_text, "/runs/digits.yaml", catalogue)


def minimal(**changes: str) -> str:
    lines = {
        "task": "spoken-digits",
        "teacher": "{model: keyword-transformer}",
        "recipe": "[soft-labels]",
        "search": "{maximize: accuracy}",
        "target": "{runtime: onnxruntime-cpu}",
        **changes,
    }
    return "".join(f"{key}: {value}\n" for key, value in lines.items())


def test_fixed_parameters_are_complete_and_searched_ones_are_apart(run):
    soft, supernet = run.recipe
    assert soft.fixed == {"weight": 0.5}
    assert soft.searched == {"temperature": SearchRange(1.0, 8.0, True)}
    assert supernet.fixed == {
        "space": "keyword-transformer",
        "epochs": 20,
        "sampler": "sandwich",
        "inplace": False,
        "taps": (),
        "initial": None,
        "workers": 0,
    }
    assert supernet.searched == {}
    assert (soft.line, supernet.line) == (5, 6)


def test_model_and_training_parameters_of_the_teacher_are_told_apart(run):
    assert run.teacher.model.name == "keyword-transformer"
    assert run.teacher.model.fixed == {"width": 96, "depth": 6}
    assert run.teacher.training == TeacherTraining(epochs=20)


def test_limits_are_absolute_or_a_percentage(run):
    assert run.search.limits == (
        Limit("latency_ms", "<=", 0.2, False, "<= 0.2"),
        Limit("size_kb", "<=", 10.0, True, "<= 10%"),
    )


@pytest.mark.parametrize(
    ("written", "limit"),
    [
        ("2", Limit("macs", "<=", 2.0, False, "<= 2")),
        ("1e6", Limit("macs", "<=", 1e6, False, "<= 1000000.0")),
        ('">=1000"', Limit("macs", ">=", 1000.0, False, ">= 1000")),
        ('"  12.5 % "', Limit("macs", "<=", 12.5, True, "<= 12.5%")),
    ],
)
def test_a_bound_has_several_spellings(catalogue, written, limit):
    search = f"{{maximize: accuracy, limits: {{macs: {written}}}}}"
    assert parse(minimal(search=search), "run.yaml", catalogue).search.limits == (limit,)


@pytest.mark.parametrize(
    "written",
    ['"0.1 .. 0.2"', '"0.1 <= macs <= 0.2"', '[">= 0.1", "<= 0.2"]', '["<= 0.2", ">= 0.1"]'],
)
def test_a_range_is_two_limits(catalogue, written):
    search = f"{{maximize: accuracy, limits: {{macs: {written}}}}}"
    run = parse(minimal(search=search), "run.yaml", catalogue)
    low, high = Limit("macs", ">=", 0.1, False, ">= 0.1"), Limit("macs", "<=", 0.2, False, "<= 0.2")
    assert run.search.limits == (low, high)
    assert parse(run.to_yaml(), "run.yaml", catalogue) == run


def measuring(catalogue, *metrics: Metric):
    """The catalogue with a task that declares what it measures."""

    class Measuring(type(catalogue)):
        def record(self, kind, name):
            if kind != "task":
                return super().record(kind, name)
            return TaskInfo(name=name, summary="", build="x:y", metrics=metrics)

    return Measuring()


def searched(catalogue, limits: str):
    search = f"{{maximize: accuracy, limits: {limits}}}"
    return parse(minimal(search=search), "run.yaml", catalogue).search


@pytest.mark.parametrize(
    ("written", "limit"),
    [
        ("0.97", Limit("accuracy", ">=", 0.97, False, ">= 0.97")),
        ('">= 97%"', Limit("accuracy", ">=", 97.0, True, ">= 97%")),
        ('"<= 0.5"', Limit("accuracy", "<=", 0.5, False, "<= 0.5")),
    ],
)
def test_a_metric_of_the_task_may_be_limited(catalogue, written, limit):
    known = measuring(catalogue, *CLASSIFICATION)
    search = searched(known, f"{{accuracy: {written}, size_kb: 9}}")
    assert search.outcome_limits == (limit,)
    assert [limit.cost for limit in search.cost_limits] == ["size_kb"]


def test_a_cost_may_be_limited_at_one_input_length(catalogue):
    written = '{latency_ms@98: 2, "energy_p95": "0.5 .. 9", macs@49: 10%}'
    search = searched(measuring(catalogue, *CLASSIFICATION), written)
    assert search.outcome_limits == ()
    assert [(limit.cost, limit.text) for limit in search.cost_limits] == [
        ("latency_ms@98", "<= 2"),
        ("energy_p95", ">= 0.5"),
        ("energy_p95", "<= 9"),
        ("macs@49", "<= 10%"),
    ]


@pytest.mark.parametrize(
    ("name", "close"),
    [("latncy_ms@98", "latency_ms"), ("parameters@98", "parameters"), ("macs@0", "macs")],
)
def test_what_is_no_cost_at_a_length_is_refused_with_the_nearest(catalogue, name, close):
    known = measuring(catalogue, *CLASSIFICATION)
    with pytest.raises(ConfigError, match=rf"limits\.{name}: unknown key; did you mean '{close}'"):
        searched(known, f"{{{name}: 2}}")


def test_a_bound_at_a_length_is_above_0(catalogue):
    known = measuring(catalogue, *CLASSIFICATION)
    with pytest.raises(ConfigError, match="expected a finite bound above 0, got 0"):
        searched(known, "{macs@49: 0}")


def test_a_cost_at_one_input_length_may_be_minimised(catalogue):
    text = minimal(search="{minimize: [latency_ms@98, energy_mj]}")
    run = parse(text, "run.yaml", catalogue)
    assert run.search.minimize == ("latency_ms@98", "energy_mj")
    assert parse(run.to_yaml(), "run.yaml", catalogue) == run


def test_a_bare_bound_lies_on_the_side_of_the_better(catalogue):
    known = measuring(catalogue, *CLASSIFICATION)
    assert searched(known, "{log_loss: 0.2}").limits[0].relation == "<="


def test_what_the_task_does_not_measure_is_no_limit(catalogue):
    known = measuring(catalogue, *CLASSIFICATION)
    with pytest.raises(ConfigError, match=r"limits\.acuracy: unknown key; did you mean 'acc"):
        searched(known, "{acuracy: 0.9}")


def test_of_a_task_that_declares_nothing_any_metric_may_be_limited(catalogue):
    assert searched(measuring(catalogue), '{recall: ">= 0.9"}').limits[0].cost == "recall"
    with pytest.raises(ConfigError, match=r"recall: expected <= or >= before the bound, got 0\.9"):
        searched(measuring(catalogue), "{recall: 0.9}")


def test_fidelity_is_a_share_or_a_ladder_of_shares(catalogue):
    def fidelity(written: str):
        text = minimal(search=f"{{maximize: accuracy, fidelity: {written}}}")
        run = parse(text, "run.yaml", catalogue)
        assert parse(run.to_yaml(), "run.yaml", catalogue) == run
        return run.search.fidelity, run.search.rungs

    assert fidelity("0.5") == fidelity("[0.5]") == (0.5, (0.5,))
    assert fidelity("[0, 0.25, 1]") == ((0.0, 0.25, 1.0), (0.0, 0.25, 1.0))


def test_a_short_file_gets_every_default(catalogue):
    run = parse(minimal(), "folder/my run.yaml", catalogue)
    assert run.name == "my-run"
    assert run.baselines is True
    assert run.train == TrainSection()
    assert run.search.sampler.name == "auto"
    assert run.search.sampler.fixed == {}
    assert (run.search.evaluations, run.search.batch, run.search.seed) == (200, 10, 0)
    assert (run.target.profile, run.target.repeats) == (
        TargetSettings().profile,
        TargetSettings().repeats,
    )
    assert run.target.device is None


def test_paths_start_at_the_run_files_folder(catalogue):
    text = minimal(task="{npz: {path: ../data.npz}}")
    run = parse(text, "/runs/digits/run.yaml", catalogue)
    assert Path(run.task.fixed["path"]) == Path("/runs/digits/../data.npz")
    here = parse(text, "digits/run.yaml", catalogue)
    assert here.task.fixed["path"] == str(Path.cwd() / "digits" / "../data.npz")


def test_numbers_follow_yaml_1_2(catalogue):
    teacher = "{model: keyword-transformer, learning_rate: 1e-3, epochs: 010, weight_decay: 0}"
    training = parse(minimal(teacher=teacher), "run.yaml", catalogue).teacher.training
    assert (training.learning_rate, training.epochs) == (0.001, 10)
    assert isinstance(training.weight_decay, float)


def test_whole_numbers_stay_whole_when_searched(catalogue):
    recipe = "[{supernet: {space: lighthubert-base, epochs: {low: 2, high: 9}}}]"
    (use,) = parse(minimal(recipe=recipe), "run.yaml", catalogue).recipe
    found = use.searched["epochs"]
    assert (found.low, found.high, found.log) == (2, 9, False)
    assert type(found.low) is int


def test_a_range_is_logarithmic_where_its_declaration_is(catalogue):
    recipe = "[{soft-labels: {temperature: {low: 2, high: 9}}}]"
    (use,) = parse(minimal(recipe=recipe), "run.yaml", catalogue).recipe
    assert use.searched["temperature"].log is True


def test_anchors_may_be_reused(catalogue):
    text = minimal(
        teacher="{model: &family keyword-transformer}", recipe="[{supernet: {space: *family}}]"
    )
    assert parse(text, "run.yaml", catalogue).recipe[0].fixed["space"] == "keyword-transformer"


ROUND_TRIPS = {
    "text that looks like a number": minimal(
        task='{npz: {path: "1e3", classes: ["1e3", "yes", "no", "null", ".inf", "1:30"]}}'
    ),
    "choices of every kind": minimal(
        recipe="[{supernet: {space: lighthubert-base, sampler: {choices: [uniform, sandwich]}, "
        "inplace: {choices: [true, false]}, taps: {choices: [[a, b], [c]]}, "
        "epochs: {choices: [1, 4]}}}, {soft-labels: {weight: {low: 1e-5, high: 1e-1}}}]"
    ),
    "unusual letters": minimal(name="größe-模型", task='{npz: {path: "ä: #\\t\\n\\u2028 b"}}'),
    "every setting of the search": minimal(
        search="{maximize: accuracy, evaluations: 7, batch: 3, fidelity: [0.2, 1], eta: 2, "
        "finalists: 5, proposals: 6, regressions: 4, repeats: 8, seed: 9}"
    ),
    "other objectives": minimal(search="{minimize: [log_loss], maximize: [accuracy, recall]}"),
}


@pytest.mark.parametrize("case", ROUND_TRIPS)
def test_the_resolved_file_reads_back_equal(catalogue, case):
    run = parse(ROUND_TRIPS[case], "/runs/a/run.yaml", catalogue)
    again = parse(run.to_yaml(), "/elsewhere/resolved.yaml", catalogue)
    assert again == run
    assert again.to_yaml() == run.to_yaml()


def test_equal_lists_are_written_out_each():
    same = [1, 4]
    text = dump({"one": same, "other": same})
    assert "&" not in text
    assert "*" not in text


EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_every_example_reads_back_equal(path):
    catalogue = Catalogue.discover()
    run = load(path, catalogue)
    assert parse(run.to_yaml(), str(path), catalogue) == run


def test_taps_and_names_of_losses_and_similarities_are_checked():
    catalogue = Catalogue.discover()

    def hints(text):
        return parse(minimal(recipe=f"[{{hints: {{{text}}}}}]"), "run.yaml", catalogue)

    for text, said in (
        ("loss: fitnet", "unknown loss 'fitnet'; did you mean 'fitnets'"),
        ("loss: {choices: [at, nts]}", "unknown loss 'nts'; did you mean 'nst'"),
        ("similarity: linear-cka+rda", "unknown similarity 'rda'; did you mean 'rsa'"),
        ("taps: [3, 1]", "expected a rising list of whole numbers, got [3, 1]"),
        ("taps: {taps: 3, of: 2}", "expected {taps: COUNT, of: TOTAL} with 1 <= COUNT <= TOTAL"),
        ("taps: {low: 1, high: 3}", "unknown key"),
    ):
        with pytest.raises(ConfigError) as refused:
            hints(text)
        assert said in str(refused.value)


def test_the_example_reads_back_equal(catalogue, run):
    assert parse(run.to_yaml(), "/elsewhere/other.yaml", catalogue) == run


def test_a_run_that_differs_is_not_equal(catalogue, run, run_text):
    assert parse(run_text.replace("seed: 0", "seed: 1"), "/runs/digits.yaml", catalogue) != run


def test_load_reads_utf8_with_or_without_a_mark(catalogue, run_text, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + run_text.encode())
    assert load(path, catalogue, sets=["search.seed=3"], limits=["macs <= 5"]).search.seed == 3


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"task: caf\xe9\n", r"run.yaml:1:10: expected UTF-8 text, got byte 0xe9"),
        ("task: x\n".encode("utf-16"), r"run.yaml:1:1: expected UTF-8 text, got byte 0xff"),
        (b"#" * 300_000, r"run.yaml: expected a run file of at most 256000 bytes"),
    ],
)
def test_a_file_that_is_not_small_text_is_refused(catalogue, tmp_path, raw, message):
    path = tmp_path / "run.yaml"
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match=message):
        load(path, catalogue)


def test_a_missing_file_offers_its_neighbour(catalogue, tmp_path):
    (tmp_path / "digits.yaml").write_text("")
    with pytest.raises(ConfigError, match=r"digit.yaml: no such file; did you mean 'digits.yaml'"):
        load(tmp_path / "digit.yaml", catalogue)


def test_a_folder_is_not_a_run_file(catalogue, tmp_path):
    with pytest.raises(ConfigError, match=r"expected a run file, got a folder"):
        load(tmp_path, catalogue)


def test_an_impossible_path_is_refused(catalogue):
    with pytest.raises(ConfigError, match=r"cannot be read"):
        load("run\0.yaml", catalogue)


def test_reading_a_run_file_imports_nothing_heavy(run_text):
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from conftest import FakeCatalogue
from stillhouse.core.config import json_schema, parse
parse({run_text!r}, "run.yaml", FakeCatalogue()).to_yaml()
json_schema(FakeCatalogue())
heavy = "torch transformers ray sklearn scipy.stats optuna onnxruntime torchaudio"
print([name for name in heavy.split() if name in sys.modules])
"""
    # pytest itself is imported by the conftest; nothing of the field may be.
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.stdout.strip() == "[]", done.stderr
