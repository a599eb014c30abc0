"""The `sweep` section: what varies over a run file's own key paths, checked in its place."""

from __future__ import annotations

import pytest
import yaml

from stillhouse.core.config import parse
from stillhouse.core.config.records import Limit, SearchRange
from stillhouse.core.config.scheduling import Budget, Scheduler
from stillhouse.core.errors import ConfigError

SWEEP = """\
sweep:
  parameters:
    recipe.supernet.epochs: {low: 2, high: 40}
    recipe.soft-labels.weight: {low: 0.1, high: 10, log: true}
    recipe.supernet.sampler: {choices: [uniform, sandwich]}
    recipe.1.inplace: {choices: [true, false]}
    teacher.width: {choices: [48, 96]}
  maximize: accuracy
  minimize: [seconds, size_kb]
  limits: {latency_ms: 2, seconds: "<= 600"}
  sampler: {evolution: {population: 9}}
  trials: 12
  concurrent: 2
"""


@pytest.fixture
def read(run_text, catalogue):
    def parsed(section, *sets):
        return parse(run_text + section, "run.yaml", catalogue, sets)

    return parsed


def test_what_varies_is_read_with_its_kind(read):
    section = read(SWEEP).sweep
    assert section.parameters == {
        "recipe.supernet.epochs": SearchRange(2, 40),
        "recipe.soft-labels.weight": SearchRange(0.1, 10, log=True),
        "recipe.supernet.sampler": SearchRange(choices=("uniform", "sandwich")),
        "recipe.1.inplace": SearchRange(choices=(True, False)),
        "teacher.width": SearchRange(choices=(48, 96)),
    }
    assert section.maximize == ("accuracy",)
    assert section.minimize == ("seconds", "size_kb")
    assert section.limits == (
        Limit("latency_ms", "<=", 2, False, "<= 2"),
        Limit("seconds", "<=", 600, False, "<= 600"),
    )
    assert (section.sampler.name, section.sampler.fixed) == ("evolution", {"population": 9})
    assert (section.trials, section.concurrent, section.seed) == (12, 2, 0)
    assert (section.scheduler, section.budget) == (Scheduler(), None)


def test_a_scheduler_comes_with_what_it_rations(read):
    budget = "  budget: {parameter: teacher.epochs, rungs: [2, 6, 18]}\n"
    section = read(SWEEP + "  scheduler: {asha: {eta: 2}}\n" + budget).sweep
    assert section.scheduler == Scheduler("asha", {"eta": 2})
    assert section.budget == Budget("teacher.epochs", (2, 6, 18))
    assert read(SWEEP + "  scheduler: pbt\n" + budget).sweep.scheduler.settings == {
        "share": 0.25,
        "resample": 0.25,
    }


def test_what_is_written_reads_as_the_same(read, catalogue):
    extra = "  scheduler: asha\n  budget: {parameter: teacher.epochs, rungs: [2, 6]}\n"
    run = read(SWEEP + extra)
    assert parse(run.to_yaml(), "elsewhere.yaml", catalogue).sweep == run.sweep
    assert "sweep" not in yaml.safe_load(read("").to_yaml())


def test_the_rest_of_the_run_does_not_depend_on_it(read):
    assert read(SWEEP).recipe == read("").recipe


def test_options_override_its_settings(read):
    section = read(SWEEP, "sweep.trials=3", "sweep.sampler=random").sweep
    assert (section.trials, section.sampler.name) == (3, "random")


BROKEN = [
    ("recipe.supernet.epochs", "recipe.supernet.epocs", "recipe.supernet.epocs: unknown key; did"),
    ("low: 2, high", "low: 0, high", "recipe.supernet.epochs: expected a whole number, at least 1"),
    ("[uniform, sandwich]", "[uniform, sand]", "expected one of uniform, sandwich, size_bins, got"),
    ("{low: 2, high: 40}", "{low: 2}", "expected {choices: [...]} or {low: A, high: B, log: true}"),
    ("{low: 2, high: 40}", "7", "expected {choices: [...]} or {low: A, high: B, log: true}, got 7"),
    ("{low: 2, high: 40}", "{low: 9, high: 4}", "expected a high above the low of 9, got 4"),
    ("[48, 96]", "[48, [1, 2]]", "expected text, a number, true or false, got [1, 2]"),
    ("[48, 96]", "[48, 48]", "the choice 48 is given twice"),
    ("teacher.width", "recipe.soft-labels.temperature", "the run itself searches this parameter"),
    ("recipe.1.inplace", "recipe.0.temperature", "the run itself searches this parameter"),
    ("teacher.width", "execute.workers", "a sweep cannot vary execute"),
    ("teacher.width", "recipe.prune.ratio", "no method 'prune'"),
    ("latency_ms: 2", "latency_ms: 50%", "latency_ms: expected an absolute bound, got <= 50%"),
    ("maximize: accuracy\n  minimize: [seconds, size_kb]\n", "\n", "at least one objective"),
    ("trials: 12", "trails: 12", "sweep.trails: unknown key; did you mean 'trials'?"),
    ("trials: 12", "scheduler: asha", "scheduler asha needs to know what it rations"),
    ("trials: 12", "scheduler: ash", "expected a scheduler (none, asha, pbt), got 'ash'"),
    ("trials: 12", "budget: {parameter: teacher.epochs, rungs: [2, 6]}", "for the schedulers asha"),
]


@pytest.mark.parametrize(("written", "changed", "said"), BROKEN, ids=[b[1][:32] for b in BROKEN])
def test_what_cannot_be_is_refused_where_it_stands(read, run_text, written, changed, said):
    text = SWEEP.replace(written, changed)
    line = run_text.count("\n") + 1
    with pytest.raises(ConfigError) as refused:
        read(text)
    assert said in str(refused.value)
    place = str(refused.value).split(":")
    assert place[0] == "run.yaml"
    assert int(place[1]) >= line


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ("{parameter: teacher.width, rungs: [2, 6]}", "'teacher.width' is swept; it cannot be"),
        ("{parameter: teacher.epochs, rungs: [6, 2]}", "expected at least two rising numbers"),
        ("{parameter: teacher.epochs, rungs: [2]}", "expected at least two rising numbers"),
        ("{parameter: teacher.epoch, rungs: [2, 3]}", "teacher.epoch: unknown key; did you mean"),
        ("{parameter: teacher.epochs, rungs: [0.5, 1]}", "expected a whole number"),
        ("{rungs: [2, 3]}", "expected {parameter: KEY.PATH, rungs: [2, 6, 18]}"),
    ],
)
def test_a_budget_that_cannot_be_is_refused(read, budget, said):
    with pytest.raises(ConfigError) as refused:
        read(f"{SWEEP}  scheduler: asha\n  budget: {budget}\n")
    assert said in str(refused.value)


def test_a_sweep_over_nothing_is_refused(read):
    with pytest.raises(ConfigError, match=r"expected parameters to sweep over, such as"):
        read("sweep: {maximize: accuracy}\n")
