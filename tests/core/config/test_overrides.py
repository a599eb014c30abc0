from __future__ import annotations

import re
from shlex import quote

import pytest

from stillhouse.core.config import Limit, SearchRange, parse
from stillhouse.core.errors import ConfigError

FORM = r".*latency_ms <= 2.*(got|costs are)"


@pytest.fixture
def changed(catalogue, run_text):
    def run(*sets: str, limits: tuple[str, ...] = ()):
        return parse(run_text, "/runs/run.yaml", catalogue, sets, limits)

    return run


def test_a_parameter_is_set_by_method_name_or_index(changed):
    assert changed("recipe.supernet.epochs=5").recipe[1].fixed["epochs"] == 5
    assert changed("recipe.1.epochs=5") == changed("recipe.supernet.epochs=5")


def test_a_fixed_parameter_may_become_searched_and_back(changed):
    soft = changed("recipe.soft-labels.weight={choices: [0.5, 1]}").recipe[0]
    assert soft.searched["weight"] == SearchRange(choices=(0.5, 1.0))
    assert changed("recipe.soft-labels.temperature=2").recipe[0].fixed["temperature"] == 2.0
    narrowed = changed("recipe.soft-labels.temperature.low=2").recipe[0]
    assert narrowed.searched["temperature"] == SearchRange(2.0, 8.0, True)


def test_whole_items_may_be_replaced(changed):
    assert changed("recipe.0=hidden-states").recipe[0].name == "hidden-states"
    assert changed("recipe.soft-labels={weight: 2}").recipe[0].fixed["temperature"] == 4.0
    assert changed("search.maximize=[accuracy, recall]").search.maximize == ("accuracy", "recall")


def test_missing_sections_and_keys_are_created(changed):
    run = changed("search.sampler.random={}", "baselines=false", "train.precision=bfloat16")
    assert (run.search.sampler.name, run.baselines, run.train.precision) == (
        "random",
        False,
        "bfloat16",
    )
    assert changed("search.sampler.evolution.population=9").search.sampler.fixed["population"] == 9


def test_a_task_may_be_replaced_and_its_path_starts_at_the_run_file(changed):
    task = changed("task={npz: {path: a.npz}}", "task.npz.classes=[yes, no]").task
    assert task.fixed == {"path": "/runs/a.npz", "classes": ("yes", "no")}
    assert task.line == 0


def test_the_last_of_two_overrides_holds(changed):
    assert changed("search.seed=1", "search.seed=2").search.seed == 2


def test_limits_are_added_and_replaced(changed):
    run = changed(limits=("latency_ms <= 2", "parameters>=10", "size_kb <= 5%"))
    assert run.search.limits == (
        Limit("latency_ms", "<=", 2.0, False, "<= 2"),
        Limit("size_kb", "<=", 5.0, True, "<= 5%"),
        Limit("parameters", ">=", 10.0, False, ">= 10"),
    )


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("recipe.supernt.epochs=5", "recipe: no method 'supernt'; did you mean 'supernet'?"),
        ("recipe.7.epochs=5", "recipe: no method '7'; it has soft-labels, supernet"),
        ("recipe.supernet.epohcs=5", "recipe.supernet.epohcs: unknown key; did you mean 'epochs'?"),
        ("recipe.supernet.epochs=0", "recipe.supernet.epochs: expected a whole number, at least 1"),
        ("serch.seed=1", "serch: unknown key; did you mean 'search'?"),
        ("search.seed.x=1", "search.seed: is 0, which has no key 'x'"),
        ("task.npz.path=a", "task: is 'spoken-digits', not 'npz'; set task=npz first"),
        ("task=spoken", "task: unknown task 'spoken'; did you mean 'spoken-digits'?"),
        ("search.seed", "expected KEY.PATH=VALUE"),
        ("search..seed=1", "expected KEY.PATH=VALUE"),
        ("search.seed=", "expected a value after '='"),
    ],
)
def test_a_wrong_override_is_quoted(changed, option, message):
    with pytest.raises(ConfigError, match=re.escape(f"--set {option}: {message}")):
        changed(option)


def test_yaml_in_an_override_is_as_safe_as_in_a_file(changed):
    with pytest.raises(ConfigError, match=r"--set 'search.seed=!!python.*expected plain data"):
        changed("search.seed=!!python/name:os.system")
    with pytest.raises(ConfigError, match=r"--set 'search.seed=\[1': not valid YAML"):
        changed("search.seed=[1")


@pytest.mark.parametrize("option", ["latency_ms", "latency_ms = 2", "<= 2", "latency_ms < 2", ""])
def test_a_malformed_limit_shows_the_form(changed, option):
    with pytest.raises(ConfigError, match=re.escape(f"--limit {quote(option)}: expected ") + FORM):
        changed(limits=(option,))


def bounds(run, name: str) -> list[str]:
    return [limit.text for limit in run.search.limits if limit.cost == name]


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (("latency_ms >= 0.1",), [">= 0.1", "<= 0.2"]),
        (("latency_ms >= 0.1", "latency_ms <= 3"), [">= 0.1", "<= 3"]),
        (("0.3 <= latency_ms <= 0.4",), [">= 0.3", "<= 0.4"]),
        (("0.3 <= latency_ms <= 0.4", "latency_ms <= 0.5"), [">= 0.3", "<= 0.5"]),
        (("latency_ms <= 3%",), ["<= 3%"]),
        (("latency_ms@98 <= 3",), ["<= 0.2"]),
    ],
)
def test_a_limit_replaces_its_own_side_and_leaves_the_other(changed, options, left):
    assert bounds(changed(limits=options), "latency_ms") == left


def test_a_limit_at_one_input_length_stands_beside_the_others(changed):
    run = changed(limits=("0.1 <= latency_ms@98 <= 3",))
    assert bounds(run, "latency_ms@98") == [">= 0.1", "<= 3"]


def test_a_limit_that_contradicts_the_file_is_quoted(changed):
    with pytest.raises(ConfigError, match=r"--limit 'latency_ms >= 3': search.limits.latency_ms"):
        changed(limits=("latency_ms >= 3",))


def test_an_unknown_cost_in_a_limit_offers_the_nearest(changed):
    message = "--limit 'latncy_ms <= 2': search.limits.latncy_ms: unknown key; did you mean 'laten"
    with pytest.raises(ConfigError, match=re.escape(message)):
        changed(limits=("latncy_ms <= 2",))
