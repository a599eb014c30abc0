"""Each way to get a run file wrong is one clear ConfigError with place, key path and next step."""

from __future__ import annotations

import re

import pytest

from stillhouse.core.config import parse
from stillhouse.core.errors import ConfigError

SUPERNET = "  - supernet:\n      space: keyword-transformer\n"
TEMPERATURE = "{low: 1, high: 8, log: true}"
SHOW = r"\(stillhouse plugins show soft-labels\)"

# What to replace in the valid file, by what, and the start of the message.
BROKEN = {
    "a misspelt parameter": (
        "{temperature:",
        "{temprature:",
        rf"5:19: recipe.soft-labels.temprature: unknown key; did you mean 'temperature'\? {SHOW}",
    ),
    "a misspelt section": ("task:", "taks:", r"2:1: taks: unknown key; did you mean 'task'\?"),
    "a missing section": (
        "task: spoken-digits\n",
        "",
        r"1:1: task: missing; expected what the model is for",
    ),
    "a key no other resembles": (
        "seed: 0",
        "xyzzy: 0",
        r"16:3: search.xyzzy: unknown key; known keys: maximize, minimize",
    ),
    "an unknown task": (
        "task: spoken-digits",
        "task: spoken-digit",
        r"2:7: task: unknown task 'spoken-digit'; did you mean 'spoken-digits'\? \(stillhouse plu",
    ),
    "an unknown method": (
        "- supernet",
        "- supernt",
        r"6:5: recipe.1: unknown method 'supernt'; did you mean 'supernet'\?",
    ),
    "an unknown model": (
        "model: keyword",
        "model: keywrd",
        r"3:18: teacher.model: unknown model 'keywrd-transformer'; did you mean 'keyword-tr",
    ),
    "an unknown runtime": (
        "onnxruntime-cpu",
        "onnx",
        r"17:19: target.runtime: unknown target 'onnx'",
    ),
    "an unknown sampler": (
        "seed: 0",
        "sampler: evolutoin",
        r"16:12: search.sampler: unknown sampler 'evolutoin'; did you mean 'evolution'\?",
    ),
    "an unknown search space": (
        "space: keyword-transformer",
        "space: lighthubert",
        r"7:14: recipe.supernet.space: unknown search space 'lighthubert'; did you mean 'lighthub",
    ),
    "a missing required parameter": (
        "      space: keyword-transformer\n",
        "",
        r"7:7: recipe.supernet.space: missing; expected the name of a search space",
    ),
    "a missing teacher model": (
        "{model: keyword-transformer,",
        "{modle: keyword-transformer,",
        r"3:10: teacher.model: missing; expected the name of a model; is it 'modle'\?",
    ),
    "text for a number": (
        "evaluations: 200",
        "evaluations: many",
        r"15:16: search.evaluations: expected a whole number, at least 1, got 'many'",
    ),
    "a fraction for a whole number": (
        "epochs: 20}",
        "epochs: 2.5}",
        r"3:68: teacher.epochs: expected a whole number, at least 1, got 2\.5",
    ),
    "a value out of bounds": (
        "weight: 0.5",
        "weight: -1",
        rf"5:70: recipe.soft-labels.weight: expected a number, 0 to 100, got -1 {SHOW}",
    ),
    "a value that is no choice": (
        "sampler: sandwich",
        "sampler: sandwhich",
        r"9:16: recipe.supernet.sampler: expected one of uniform, .*got 'sandwhich'; did you mean",
    ),
    "yes for a truth value": (
        "seed: 0",
        "seed: 0\nbaselines: yes",
        r"17:12: baselines: expected true or false, got 'yes'",
    ),
    "a range outside the bounds": (
        "high: 8",
        "high: 80",
        r"5:47: recipe.soft-labels.temperature.high: expected a number, 1 to 20, got 80",
    ),
    "a range upside down": (
        "low: 1, high: 8",
        "low: 8, high: 1",
        r"5:47: recipe.soft-labels.temperature.high: expected a high above the low of 8, got 1",
    ),
    "a range without an end": (
        "low: 1, high: 8",
        "low: 1",
        r"5:32: recipe.soft-labels.temperature.high: missing; a search range needs low and high",
    ),
    "a range and choices": (
        TEMPERATURE,
        "{low: 1, choices: [1, 2]}",
        r"5:32: recipe.soft-labels.temperature: expected either choices or low and high",
    ),
    "a misspelt range": (
        "high: 8",
        "hihg: 8",
        r"5:41: recipe.soft-labels.temperature.hihg: unknown key; did you mean 'high'\?",
    ),
    "a logarithm that is not true or false": (
        "log: true",
        "log: 10",
        r"5:55: recipe.soft-labels.temperature.log: expected true or false, got 10",
    ),
    "a logarithmic range from zero": (
        "weight: 0.5",
        "weight: {low: 0, high: 1, log: true}",
        r"5:76: recipe.soft-labels.weight.low: expected a low above 0 for a logarithmic range",
    ),
    "an empty list of choices": (
        TEMPERATURE,
        "{choices: []}",
        r"5:42: recipe.soft-labels.temperature.choices: expected a list of at least one choice",
    ),
    "a choice out of bounds": (
        TEMPERATURE,
        "{choices: [2, 99]}",
        r"5:46: recipe.soft-labels.temperature.choices.1: expected a number, 1 to 20, got 99",
    ),
    "a choice given twice": (
        TEMPERATURE,
        "{choices: [2, 2.0]}",
        r"5:46: recipe.soft-labels.temperature.choices.1: the choice 2.0 is given twice",
    ),
    "low and high for text": (
        "sampler: sandwich",
        "sampler: {low: 1, high: 2}",
        r"9:16: recipe.supernet.sampler: expected \{choices: \[...\]\} out of uniform, sandwich",
    ),
    "a search of a search space": (
        "space: keyword-transformer",
        "space: {choices: [keyword-transformer]}",
        r"7:14: recipe.supernet.space: expected a fixed value .*: a space cannot be searched",
    ),
    "a search of what is not searchable": (
        "epochs: 20\n",
        "workers: {low: 1, high: 2}\n",
        r"8:16: recipe.supernet.workers: .*: workers is declared as not searchable \(stillhouse p",
    ),
    "a search of the teacher": (
        "width: 96",
        "width: {low: 8, high: 96}",
        r"3:46: teacher.width: .*: only parameters of the recipe's methods can be searched",
    ),
    "a search of the search": (
        "seed: 0",
        "seed: {low: 0, high: 9}",
        r"16:9: search.seed: .*: the search's own settings are not searched",
    ),
    "an unknown cost": (
        "latency_ms:",
        "latency:",
        r"13:5: search.limits.latency: unknown key; did you mean 'latency_ms'\?",
    ),
    "a limit that cannot be read": (
        '"<= 0.2"',
        '"< 2 MB"',
        r"13:17: search.limits.latency_ms: expected a limit such as .*got \"< 2 MB\"",
    ),
    "a limit of zero": (
        '"<= 0.2"',
        "0",
        r"13:17: search.limits.latency_ms: expected a finite bound above 0, got 0",
    ),
    "limits that contradict": (
        '"<= 0.2"',
        '[">= 3", "<= 0.2"]',
        r"13:26: search.limits.latency_ms.1: nothing is both >= 3 and <= 0.2; expected the lower",
    ),
    "a written range upside down": (
        '"<= 0.2"',
        '"3 .. 0.2"',
        r"13:17: search.limits.latency_ms: expected the lower bound first and no larger, got",
    ),
    "two bounds on one side": (
        '"<= 0.2"',
        '["<= 0.2", 3]',
        r"13:28: search.limits.latency_ms.1: two bounds on one side, <= 0.2 and <= 3; keep one",
    ),
    "no bounds": (
        '"<= 0.2"',
        "[]",
        r"13:17: search.limits.latency_ms: expected a bound such as 2, .*got an empty list",
    ),
    "a bound on another cost": (
        '"<= 0.2"',
        '"macs <= 0.2"',
        r"13:17: search.limits.latency_ms: expected a bound on latency_ms, got one on macs",
    ),
    "a ladder that falls": (
        "seed: 0",
        "fidelity: [0.5, 0.25]",
        r"16:19: search.fidelity.1: expected a share .*, above 0.5 \(rungs rise\) .*, got 0.25",
    ),
    "a rung beyond the whole": (
        "seed: 0",
        "fidelity: [2]",
        r"16:14: search.fidelity.0: expected a share .*, at least 0 and at most 1, got 2",
    ),
    "a ladder without rungs": (
        "seed: 0",
        "fidelity: []",
        r"16:13: search.fidelity: expected a share of the budget or a list of rising ones, got",
    ),
    "no objective": (
        "  maximize: accuracy\n",
        "",
        r"11:3: search: expected at least one objective, for example maximize: accuracy",
    ),
    "one objective in both directions": (
        "seed: 0",
        "minimize: [accuracy]",
        r"16:14: search.minimize.0: the objective 'accuracy' is given twice",
    ),
    "an objective that is a number": (
        "maximize: accuracy",
        "maximize: 3",
        r"11:13: search.maximize: expected a metric's name such as accuracy, got 3",
    ),
    "a method twice": (
        SUPERNET,
        SUPERNET + "  - soft-labels\n",
        None,
    ),
    "parameters not indented below their method": (
        "weight: 0.5}\n",
        "weight: 0.5}\n    weight: 1\n",
        r"5:5: recipe.0: expected one method, .*got 'soft-labels' and 'weight'; indent the param",
    ),
    "a section where a name belongs": (
        "task: spoken-digits",
        "task: [spoken-digits]",
        r"2:7: task: expected the name of a task \(npz, spoken-digits\), got \['spoken-digits'\]",
    ),
    "a name where a section belongs": (
        "train:\n  threads: 2",
        "train: cpu",
        r"18:8: train: expected a mapping of keys to values, got 'cpu'",
    ),
    "a name with a folder in it": (
        "name: digits",
        "name: ../digits",
        r"1:7: name: expected a name of letters, .*got '../digits'",
    ),
    "an empty path": (
        "device: my-device.json",
        'device: " "',
        r"17:66: target.device: expected a path, got ' '",
    ),
    "a tab": ("  seed: 0", "\tseed: 0", r"16:1: expected spaces, got a tab"),
    "a colon too many": (
        "seed: 0",
        "seed: 0: 1",
        r"16:10: unexpected ':'; check the indentation",
    ),
    "an open bracket": ("epochs: 20}", "epochs: 20", r"4:7: not valid YAML: .*brackets"),
    "a key twice": (
        "seed: 0",
        "evaluations: 9",
        r"16:3: search.evaluations: this key is given twice, first at run.yaml:15:3; keep one",
    ),
    "a key that is a number": (
        "seed: 0",
        "7: 0",
        r"16:3: search: expected a key that is text, got 7; quote it",
    ),
    "a key that is a list": (
        "seed: 0",
        "? [a]\n  : 0",
        r"16:5: search: expected a key that is text, got \['a'\]",
    ),
    "a Python object": (
        "seed: 0",
        "seed: !!python/object/apply:os.system [ls]",
        r"16:9: search.seed: expected plain data, got the tag 'tag:yaml.org,2002:python/object",
    ),
    "a standard tag": ("seed: 0", "seed: !!str 0", r"16:9: search.seed: expected plain data"),
    "an alias to nothing": (
        "seed: 0",
        "seed: *zero",
        r"16:9: search.seed: the alias \*zero has no anchor &zero before it",
    ),
    "an alias to itself": (
        "seed: 0",
        "seed: &me [*me]",
        r"16:14: search.seed.0: the alias \*me has no anchor &me before it",
    ),
    "infinity": ("seed: 0", "seed: .inf", r"16:9: search.seed: expected a finite number, got .inf"),
    "a number beyond 64 bits": (
        "seed: 0",
        "seed: " + "9" * 5000,
        r"16:9: search.seed: expected a number of at most 64 bits, got 99999",
    ),
    "a bell": ("seed: 0", "seed: \a", r"16:9: character U\+0007 is not allowed in YAML"),
    "half a character": ("seed: 0", r'seed: "\ud800"', r"16:9: search.seed: text with a NUL or"),
    "an escape beyond Unicode": ("seed: 0", r'seed: "\U7fffffff"', None),
    "a second document": ("train:", "---\ntrain:", r"18:1: expected one document, got a second"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_names_place_key_and_remedy(case, catalogue, run_text):
    old, new, message = BROKEN[case]
    assert run_text.count(old) >= 1
    with pytest.raises(ConfigError) as caught:
        parse(run_text.replace(old, new, 1), "run.yaml", catalogue)
    text = str(caught.value)
    assert text.startswith("run.yaml:")
    assert "\n" not in text
    assert len(text) < 300
    assert caught.value.exit_code == 2
    if message:
        assert re.match(f"run.yaml:{message}", text), text


WHOLE = {
    "nothing": ("", "expected a run file, got an empty one"),
    "only a comment": ("# later\n", "expected a run file, got an empty one"),
    "only null": ("~", "1:1: expected keys such as task: and recipe:, got nothing"),
    "a list": ("- task", "1:1: expected keys such as task: and recipe:, got ['task']"),
    "a word": ("task", "1:1: expected keys such as task: and recipe:, got 'task'"),
    "deep brackets": ("a: " + "[" * 5000, "nested more than 40 levels deep"),
    "an absurd version": ("%YAML " + "9" * 5000 + ".1\n---\na: 1", "not valid YAML"),
}


@pytest.mark.parametrize("case", WHOLE)
def test_a_file_that_is_no_mapping_is_one_clear_error(case, catalogue):
    text, message = WHOLE[case]
    with pytest.raises(ConfigError, match=re.escape(message)):
        parse(text, "run.yaml", catalogue)


def test_a_bomb_of_aliases_is_refused(catalogue):
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    refs = ", ".join(["*a{0}"] * 10)
    lines += [f"a{i}: &a{i} [{refs.format(i - 1)}]" for i in range(1, 12)]
    with pytest.raises(ConfigError, match=r"run.yaml:5:\d+: a4.*more than 20000 values"):
        parse("\n".join(lines), "run.yaml", catalogue)


def test_a_method_twice_names_the_method(catalogue, run_text):
    doubled = run_text.replace("search:\n", "  - soft-labels\nsearch:\n")
    with pytest.raises(ConfigError, match=r"run.yaml:10:5: recipe.*'soft-labels' .* twice"):
        parse(doubled, "run.yaml", catalogue)


def test_several_unknown_keys_are_listed_together(catalogue, run_text):
    broken = run_text.replace("width", "widht").replace("seed", "sede").replace("low:", "lwo:")
    with pytest.raises(ConfigError) as caught:
        parse(broken, "run.yaml", catalogue)
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        "teacher.widht",
        "recipe.soft-labels.temperature.lwo",
    ]


def test_at_most_five_unknown_keys_are_listed(catalogue, run_text):
    broken = "".join(f"x{i}: 1\n" for i in range(9)) + run_text
    with pytest.raises(ConfigError) as caught:
        parse(broken, "run.yaml", catalogue)
    lines = str(caught.value).splitlines()
    assert len(lines) == 6
    assert lines[-1] == "and 4 more unknown keys"


def test_a_plugin_that_claims_an_engine_key_is_refused(catalogue, run_text, monkeypatch):
    from stillhouse.core.plugin.params import Params, param

    class Greedy(Params):
        epochs: int = param(1, help="its own epochs")

    monkeypatch.setitem(catalogue.declarations, "model", {"keyword-transformer": Greedy})
    with pytest.raises(ConfigError, match=r"3:18: teacher.model: .* declares epochs, which"):
        parse(run_text, "run.yaml", catalogue)
