from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from stillhouse.core.config import json_schema, parse
from stillhouse.core.errors import ConfigError, PluginError

TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}


def accepts(schema: Any, value: Any) -> bool:
    """The part of JSON Schema that the schema uses; an unknown keyword is an error."""
    checks = {
        "type": lambda names: any(
            of_type(n, value) for n in [names] * isinstance(names, str) or names
        ),
        "const": lambda other: same(value, other),
        "enum": lambda options: any(same(value, option) for option in options),
        "anyOf": lambda options: any(accepts(option, value) for option in options),
        "not": lambda other: not accepts(other, value),
        "minimum": lambda low: not number(value) or value >= low,
        "maximum": lambda high: not number(value) or value <= high,
        "pattern": lambda text: not isinstance(value, str) or re.search(text, value) is not None,
        "items": lambda inner: not isinstance(value, list) or all(accepts(inner, v) for v in value),
        "minItems": lambda n: not isinstance(value, list) or len(value) >= n,
        "uniqueItems": lambda _: not isinstance(value, list) or not repeated(value),
        "required": lambda keys: not isinstance(value, dict) or set(keys) <= set(value),
        "properties": lambda known: (
            not isinstance(value, dict)
            or all(accepts(known[k], v) for k, v in value.items() if k in known)
        ),
        "patternProperties": lambda known: (
            not isinstance(value, dict)
            or all(
                accepts(inner, v)
                for pattern, inner in known.items()
                for k, v in value.items()
                if re.search(pattern, k)
            )
        ),
        "additionalProperties": lambda more: (
            more is True
            or not isinstance(value, dict)
            or all(
                k in schema["properties"]
                or any(re.search(p, k) for p in schema.get("patternProperties", ()))
                for k in value
            )
        ),
        **dict.fromkeys(("$schema", "title", "description", "default"), lambda _: True),
    }
    return all(checks[keyword](argument) for keyword, argument in schema.items())


def of_type(name: str, value: Any) -> bool:
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def same(value: Any, other: Any) -> bool:
    return value == other and isinstance(value, bool) == isinstance(other, bool)


def repeated(value: list[Any]) -> bool:
    return any(item in value[:i] for i, item in enumerate(value))


@pytest.fixture(scope="module")
def schema(catalogue):
    return json.loads(json.dumps(json_schema(catalogue)))


def test_the_schema_accepts_a_valid_file(schema, run_text):
    assert accepts(schema, yaml.safe_load(run_text))


def test_the_schema_accepts_a_resolved_file(schema, catalogue, run_text):
    resolved = parse(run_text, "run.yaml", catalogue).to_yaml()
    assert accepts(schema, yaml.safe_load(resolved))


ACCEPTED = [
    ("task: spoken-digits", "task: {npz: {path: a.npz, classes: [a, b]}}"),
    ("task: spoken-digits", "task: {spoken-digits: }"),
    ("{low: 1, high: 8, log: true}", "{choices: [1, 2.5]}"),
    ("sampler: sandwich", "sampler: {choices: [sandwich, uniform]}"),
    ("maximize: accuracy", "minimize: [log_loss]"),
    ("seed: 0", "sampler: {evolution: {population: 9}}"),
    ("10%", "500"),
    ('"<= 0.2"', '"0.1 .. 0.2"'),
    ('"<= 0.2"', '"0.1 <= latency_ms <= 20"'),
    ('"<= 0.2"', '"latency_ms >= 1e-3"'),
    ('"<= 0.2"', '[">= 1.", 2]'),
    ("seed: 0", "fidelity: [0, 0.5]\n  eta: 2"),
    ("latency_ms", "latency_ms@98"),
    ("latency_ms", "energy_p95"),
    ('latency_ms: "<= 0.2"', 'energy@49: "0.1 <= energy@49 <= 20"'),
    ("maximize: accuracy", "minimize: [macs@49, energy_mj]"),
]
NETWORKS = "[{model: keyword-transformer, %s}]"
ENSEMBLE = "  - ensemble: {assistants: " + NETWORKS + ", runs: [a], weights: %s}\n"
ACCEPTED += [
    ("search:", ENSEMBLE % (network, weights) + "search:")
    for network, weights in (
        ("width: 12, checkpoint: a, draw: 2, name: x", "[1, 2.5]"),
        ("channels: [1, 0]", "{simplex: 3}"),
        ("epochs: 1, checkpoint: null", "[]"),
    )
]
SWEEP = (
    "sweep: {parameters: {recipe.supernet.epochs: {low: 2, high: 9}, teacher.width: {choices: "
    "[48, 96]}}, minimize: [seconds], limits: {seconds: 60}, scheduler: {asha: {eta: 2}}, "
    "budget: {parameter: teacher.epochs, rungs: [2, 6]}, sampler: random, trials: 9}\nsearch:"
)
ACCEPTED += [
    ("search:", SWEEP),
    ("search:", SWEEP.replace("{asha: {eta: 2}}", "pbt")),
]
REFUSED = [
    ("search:", SWEEP.replace("asha", "ash")),
    ("search:", SWEEP.replace("low: 2, ", "")),
    ("search:", SWEEP.replace("trials: 9", "trials: 0")),
    ("search:", SWEEP.replace("minimize: [seconds], ", "")),
    ("search:", SWEEP.replace("rungs: [2, 6]", "rungs: [2]")),
    ("task:", "taks:"),
    ("task: spoken-digits", "task: spoken"),
    ("task: spoken-digits", "task: npz"),
    ("task: spoken-digits", "task: {npz: {}}"),
    ("temperature", "temprature"),
    ("high: 8", "high: 80"),
    ("low: 1, ", ""),
    ("low: 1, ", "choices: [1], "),
    ("space: keyword-transformer", "space: keyword"),
    ("space: keyword-transformer", "space: {choices: [keyword-transformer]}"),
    ("      space: keyword-transformer\n", ""),
    ("sampler: sandwich", "sampler: both"),
    ("width: 96", "width: {low: 8, high: 96}"),
    ("width: 96", "widht: 96"),
    ("epochs: 20}", "epochs: 0}"),
    ("model: keyword-transformer, ", ""),
    ("  maximize: accuracy\n", ""),
    ("latency_ms", "latency"),
    ("latency_ms", "latency_ms@0"),
    ("latency_ms", "latency_ms@"),
    ("latency_ms", "parameters@98"),
    ("maximize: accuracy", "minimize: accuracy@98"),
    ("<= 0.2", "< 0.2"),
    ('"<= 0.2"', '"0.1 . 0.2"'),
    ('"<= 0.2"', "[]"),
    ("seed: 0", "seed: none"),
    ("seed: 0", "fidelity: [2]"),
    ("seed: 0", "fidelity: []"),
    ("seed: 0", "eta: 1"),
    ("onnxruntime-cpu", "onnx"),
    ("threads: 2", "threads: 2\nbaselines: maybe"),
    ("name: digits", "name: a/b"),
    *(
        ("search:", ENSEMBLE % (network, weights) + "search:")
        for network, weights in (
            ("widht: 12", "[1]"),
            ("draw: -1", "[1]"),
            ("width: {choices: [8, 16]}", "[1]"),
            ("channels: [1, 1]", "[1]"),
            ("width: 12", "[1, -1]"),
            ("width: 12", "{simplex: 1}"),
            ("width: 12", "{simplex: 33}"),
            ("width: 12", "{choices: [1]}"),
        )
    ),
    ("search:", "  - ensemble: {assistants: {model: keyword-transformer}}\nsearch:"),
    ("search:", "  - ensemble: {assistants: [keyword-transformer]}\nsearch:"),
    ("search:", "  - ensemble: {runs: a}\nsearch:"),
    ("search:", '  - ensemble: {runs: [" "]}\nsearch:'),
    ("search:", "  - ensemble: {runs: {choices: [[a]]}}\nsearch:"),
]


@pytest.mark.parametrize(("old", "new"), ACCEPTED)
def test_the_schema_accepts_what_parse_accepts(schema, catalogue, run_text, old, new):
    text = run_text.replace(old, new, 1)
    parse(text, "run.yaml", catalogue)
    assert accepts(schema, yaml.safe_load(text))


@pytest.mark.parametrize(("old", "new"), REFUSED)
def test_the_schema_refuses_what_parse_refuses(schema, catalogue, run_text, old, new):
    text = run_text.replace(old, new, 1)
    with pytest.raises(ConfigError):
        parse(text, "run.yaml", catalogue)
    assert not accepts(schema, yaml.safe_load(text))


def test_every_parameter_carries_help_and_default(schema):
    (named,) = [o for o in schema["properties"]["recipe"]["items"]["anyOf"] if on(o, "supernet")]
    params = named["properties"]["supernet"]["properties"]
    assert params["epochs"]["description"] == "epochs of sampled training"
    assert params["epochs"]["default"] == 20
    assert "default" not in params["space"]
    assert params["workers"]["type"] == "integer"


def on(option: dict[str, Any], name: str) -> bool:
    return name in option.get("properties", ())


def test_a_broken_plugin_does_not_break_the_schema(catalogue, run_text, monkeypatch):
    describe = catalogue.record

    def record(kind, name):
        if name == "soft-labels":
            raise PluginError("soft-labels of kd-zoo 0.4 failed on import")
        return describe(kind, name)

    monkeypatch.setattr(catalogue, "record", record, raising=False)
    schema = json_schema(catalogue)
    assert "kd-zoo 0.4" in json.dumps(schema)
    assert accepts(schema, yaml.safe_load(run_text.replace("temperature", "anything")))
    assert not accepts(schema, yaml.safe_load(run_text.replace("epochs: 20\n", "epohcs: 20\n")))
