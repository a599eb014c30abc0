"""What a sweep would do is known, and what it cannot do refused, before Ray is asked."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stillhouse.core.config.records import SearchRange
from stillhouse.core.config.runfile import RunFile
from stillhouse.core.errors import ConfigError, PlanError
from stillhouse.core.plugin import Catalogue
from stillhouse.core.sweep.outlook import describe_sweep
from stillhouse.core.sweep.planning import check_ends
from stillhouse.core.sweep.space import method_of, point_of

Read = Callable[..., RunFile]
BUDGET = "sweep.budget={parameter: recipe.supernet.epochs, rungs: [1, 3]}"


def lines(run: RunFile, catalogue: Catalogue) -> list[str]:
    return [line.strip() for line in describe_sweep(check_ends(run, catalogue)).splitlines()]


def test_the_plan_counts_trials_and_what_they_share(run_file: Read, catalogue: Catalogue) -> None:
    said = lines(run_file(), catalogue)
    assert said[0].startswith("sweep     4 trials of infinitely many settings, maximize accuracy")
    assert said[-2:] == [
        "the teacher is trained once: all trials share it",
        "'supernet' is prepared up to 4 times: none share it",
    ]


@pytest.mark.parametrize(
    ("parameters", "teacher", "supernet"),
    [
        ("search.evaluations: {low: 1, high: 9}", "once: all", "once: all"),
        ("recipe.0.middle: {choices: [1, 2]}", "once: all", "up to 2 times: trials with equal"),
        ("recipe.supernet.after_epochs: {low: 1, high: 9}", "once: all", "once: all"),
        ("teacher.epochs: {choices: [1, 2, 3]}", "up to 3 times: trials", "up to 3 times: trials"),
        ("search.seed: {low: 0, high: 99}", "up to 4 times: none", "up to 4 times: none"),
    ],
)
def test_what_is_shared_depends_on_what_varies(
    run_file: Read, catalogue: Catalogue, parameters: str, teacher: str, supernet: str
) -> None:
    said = lines(run_file(f"sweep.parameters={{{parameters}}}"), catalogue)
    assert said[-2].startswith(f"the teacher is trained {teacher}")
    assert said[-1].startswith(f"'supernet' is prepared {supernet}")


def test_a_budget_of_the_method_multiplies(run_file: Read, catalogue: Catalogue) -> None:
    said = lines(run_file("sweep.scheduler=asha", BUDGET), catalogue)
    assert "asha: recipe.supernet.epochs 1, 3; the best 1/3 of each rung go on" in said
    assert said[-1] == "'supernet' is prepared up to 8 times: none share it"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ("sweep.maximize=accuraccy", r"sweep.maximize: no trial tells 'accuraccy'; did you mean"),
        ("sweep.maximize=log_loss", "sweep.maximize: of 'log_loss' lower is better; minimize it"),
        ("sweep.maximize=seconds", "sweep.maximize: of 'seconds' lower is better; minimize it"),
    ],
)
def test_what_no_trial_tells_is_refused(
    run_file: Read, catalogue: Catalogue, changed: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        check_ends(run_file(changed), catalogue)


def test_a_value_that_leaves_no_plan_is_named(run_file: Read, catalogue: Catalogue) -> None:
    space = "recipe.supernet.space: {choices: [keyword-transformer-tiny, cnn-small]}"
    with pytest.raises(PlanError, match=r"sweep\.parameters\.recipe\.supernet\.space: with 'cnn-"):
        check_ends(run_file(f"sweep.parameters={{{space}}}"), catalogue)


def test_a_population_needs_a_method_that_goes_on(run_file: Read, catalogue: Catalogue) -> None:
    check_ends(run_file("sweep.scheduler=pbt", BUDGET), catalogue)
    other = "sweep.budget={parameter: search.evaluations, rungs: [1, 3]}"
    rate = "sweep.parameters={recipe.supernet.learning_rate: {low: 0.001, high: 0.01}}"
    with pytest.raises(PlanError, match="that can go on from earlier weights"):
        check_ends(run_file(rate, "sweep.scheduler=pbt", other), catalogue)


def test_key_paths_lead_to_methods_by_name_or_place(run_file: Read) -> None:
    recipe = run_file().recipe
    paths = ("recipe.0.epochs", "recipe.supernet.epochs", "recipe.7.epochs", "teacher.epochs")
    assert [method_of(path, recipe) for path in paths] == ["supernet", "supernet", "", ""]


def test_a_point_is_plain_values_of_what_varies() -> None:
    import numpy as np

    found = point_of({"a": np.int64(3), "b": "x", "number": 1}, {"a": SearchRange(1, 4)})
    assert found == {"a": 3}
    assert type(found["a"]) is int
