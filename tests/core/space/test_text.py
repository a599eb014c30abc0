from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse.core.errors import ConfigError
from stillhouse.core.space import Choice, Integer, Real, Simplex, Space, Taps, load_space

GOOD = """\
name: tiny
family: keyword-transformer
summary: one of everything
dimensions:
  depth: {low: 1, high: 3}
  heads: {choices: [2, 4], per: depth}
  batch: {low: 1, high: 64, log: true}
  width: {low: 16, high: 64, step: 16}
  dropout: {low: 0, high: 0.5}
  share: {low: 0, high: 1, real: true}
  rate: {low: 1e-5, high: 1e-1, log: true}
  front: {choices: [waveform, mel, none]}
  bands: {choices: [40, 80], when: {front: mel}}
  mix: {simplex: 4, when: {front: [waveform, mel]}}
  hints: {taps: 3, of: 12}
"""


def test_every_kind_of_dimension_is_read() -> None:
    assert load_space(GOOD, "tiny") == Space(
        [
            Integer("depth", 1, 3),
            Choice("heads", (2, 4), per="depth"),
            Integer("batch", 1, 64, log=True),
            Integer("width", 16, 64, 16),
            Real("dropout", 0.0, 0.5),
            Real("share", 0.0, 1.0),
            Real("rate", 1e-5, 1e-1, log=True),
            Choice("front", ("waveform", "mel", "none")),
            Choice("bands", (40, 80), when=("front", ("mel",))),
            Simplex("mix", 4, when=("front", ("waveform", "mel"))),
            Taps("hints", 3, 12),
        ]
    )


def test_a_file_is_read_by_path_or_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(GOOD)
    assert load_space(file) == load_space(str(file)) == load_space(GOOD, "tiny")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot read"):
        load_space(tmp_path / "none.yaml")


def test_bytes_that_are_not_text_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_space(file)


def dimensions(*lines: str) -> str:
    return "\n".join(["dimensions:", *(f"  {line}" for line in lines), ""])


MALFORMED = [
    ("", 1, "expected a search space"),
    ("- a\n", 1, "expected a search space"),
    ("name: x\n", 1, "expected the key 'dimensions'"),
    ("dimension: {}\n", 1, "did you mean 'dimensions'"),
    ("name: 3\ndimensions: {}\n", 1, "name: expected text, got 3"),
    ("dimensions:\n  a: {choices: [1, 2\n", 3, "not valid YAML"),
    ("dimensions: {}\ndimensions: {}\n", 2, "duplicate key, first on line 1"),
    ("dimensions: []\n", 1, "dimensions by name"),
    ("dimensions: {}\n---\nname: x\n", 2, "not valid YAML"),
    (dimensions("a: 3"), 2, "dimensions.a: expected"),
    (dimensions("a: {}"), 2, "expected choices, low and high"),
    (dimensions("a: {choice: [1]}"), 2, "a.choice: unknown key; did you mean 'choices'"),
    (dimensions("a: {choices: [1], step: 2}"), 2, "a.step: unknown key"),
    (dimensions("a: {choices: 1}"), 2, "a.choices: expected a list"),
    (dimensions("a: {choices: [1, 1]}"), 2, "listed twice"),
    (dimensions("a: {choices: [[1]]}"), 2, "a choice must be"),
    (dimensions("a: {choices: [1, null]}"), 2, "got nothing"),
    (dimensions("a: {choices: [2020-01-01]}"), 2, "a date"),
    (dimensions("a: {choices: []}"), 2, "at least one"),
    (dimensions("a: {low: 1}"), 2, "'low' needs the key 'high'"),
    (dimensions("a: {high: 1}"), 2, "needs the key 'low'"),
    (dimensions("a: {low: one, high: 2}"), 2, "a.low: expected a number, got 'one'"),
    (dimensions("a: {low: 3, high: 2}"), 2, "low <= high"),
    (dimensions("a: {low: 0.0, high: 1.0, step: 1}"), 2, "whole numbers"),
    (dimensions("a: {low: 0.0, high: .inf}"), 2, "finite"),
    (dimensions("a: {low: 1, high: 2, log: 3}"), 2, "a.log: expected true or false"),
    (dimensions("a: {simplex: 1}"), 2, "2 or more"),
    (dimensions("a: {taps: 3}"), 2, "needs the key 'of'"),
    (dimensions("a: {taps: 3, of: 2}"), 2, "3 of 2"),
    (dimensions("a: {taps: x, of: 2}"), 2, "a whole number, got 'x'"),
    (dimensions("a b: {choices: [1]}"), 2, "expected a letter"),
    (dimensions("depth: {choices: [1]}", "a: {choices: [1], per: dept}"), 3, "'depth'"),
    (dimensions("a: {choices: [1], per: [b]}"), 2, "a.per: expected the name"),
    (dimensions("a: {choices: [1], when: b}"), 2, "a.when: expected {parent: value}"),
    (dimensions("a: {choices: [1], when: {b: 1, c: 2}}"), 2, "one parent, got 2"),
    (dimensions("b: {choices: [1]}", "a: {choices: [1], when: {b: 2}}"), 3, "one of 1; got 2"),
    (dimensions("b: {choices: [1]}", "a: {choices: [1], when: {b: []}}"), 3, "names no value"),
    (dimensions("b: {choices: [1]}", "a: {choices: [1], when: {b: [[1]]}}"), 3, "got"),
    (dimensions("a: {choices: [1, 2], when: {a: 1}}"), 2, "depends on itself"),
    (dimensions("a: &x {choices: [1, 2]}", "b: *x"), 2, "aliases"),
    (dimensions("a: !!python/object/apply:os.getcwd []"), 2, "tags are not read"),
    (dimensions("a: {choices: [!mine 1]}"), 2, "tags are not read"),
    (dimensions("1: {choices: [1]}"), 2, "a key must be text"),
    (dimensions("? [a, b]", ": {choices: [1]}"), 2, "a key must be text"),
    (dimensions("b: {choices: [1]}", "a\a: {choices: [1]}"), 3, "character #x0007"),
    ("dimensions: " + "[" * 1000, 1, "nested too deeply"),
]


@pytest.mark.parametrize(("text", "line", "words"), MALFORMED)
def test_malformed_text_gives_one_message_with_its_place(text: str, line: int, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_space(text, "bad.yaml")
    message = str(caught.value)
    assert message.startswith(f"bad.yaml:{line}: ")
    assert words in message
    assert "\n" not in message
