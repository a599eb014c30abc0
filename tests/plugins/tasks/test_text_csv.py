from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stillhouse.core.errors import DataError
from stillhouse.core.evaluate import Task
from stillhouse.plugins.tasks.partition import SHARES
from stillhouse.plugins.tasks.text_csv import build
from stillhouse.plugins.tasks.text_params import TextCsvParams

Load = Callable[..., Task]
WORDS = ("good", "bad", "film", "very", "not", "the")
ROWS = [
    (f"{one} {two} {three}", "up" if place % 2 else "down")
    for place, (one, two, three) in enumerate(
        (a, b, c) for a in WORDS for b in WORDS for c in WORDS[:2]
    )
]


@pytest.fixture
def load(tmp_path: Path, word_tokeniser: Path) -> Load:
    """Build from a file's content, by default 72 sentences of two labels."""

    def built(content: bytes | str | None = None, name: str = "own.csv", **params: Any) -> Task:
        text = "text,label\n" + "".join(f"{text},{label}\n" for text, label in ROWS)
        given = text if content is None else content
        (tmp_path / name).write_bytes(given.encode() if isinstance(given, str) else given)
        fixed = {"path": str(tmp_path / name), "tokeniser_file": str(word_tokeniser), "tokens": 6}
        return build(TextCsvParams(**(fixed | params)))

    return built


def refusal(load: Load, content: bytes | str, **params: Any) -> str:
    with pytest.raises(DataError) as caught:
        load(content, **params)
    return str(caught.value).rpartition("/own.csv")[2]


def inputs(task: Task) -> list[list[tuple[int, ...]]]:
    return [[tuple(row) for row in task.data.split(name).inputs.tolist()] for name in SHARES]


def test_a_table_becomes_a_task_with_its_labels_in_order(load: Load) -> None:
    task = load()
    assert (task.name, task.labels, task.input_shape) == ("text-csv", ("down", "up"), (6,))
    assert sum(map(len, inputs(task))) == len(ROWS)
    assert all(set(task.data.split(name).targets.tolist()) == {0, 1} for name in SHARES)


def test_numbers_as_labels_are_in_order_of_size(load: Load) -> None:
    text = "text,label\n" + "".join(f"{t},{10 if k == 'up' else 9}\n" for t, k in ROWS)
    assert load(text).labels == ("9", "10")


def test_twins_in_all_but_case_and_punctuation_are_in_one_split(load: Load) -> None:
    text = "text,label\n" + "".join(f"{t},{k}\n{t.upper()}!,{k}\n" for t, k in ROWS)
    places: dict[tuple[int, ...], int] = {}
    for number, split in enumerate(inputs(load(text, tokens=5))):
        for row in split:
            assert places.setdefault(row, number) == number


def test_adding_rows_moves_none_to_another_split(load: Load) -> None:
    few = "text,label\n" + "".join(f"{t},{k}\n" for t, k in ROWS[:50])
    before, after = inputs(load(few)), inputs(load())
    assert all(set(one) <= set(other) for one, other in zip(before, after, strict=True))


def test_columns_separator_and_quotes_are_read(load: Load) -> None:
    head, quoted = "id\tsentence\tclass\n", '0\t"the ""film""\nvery"\tup\n'
    body = "".join(f"{i}\t{t}\t{k}\n" for i, (t, k) in enumerate(ROWS))
    task = load("\ufeff" + head + quoted + body, "own.tsv", text="sentence", label="class")
    assert (2, 9, 1, 6, 1, 3) in {row for split in inputs(task) for row in split}
    semicolons = (head + body).replace("\t", ";")
    assert load(semicolons, text="sentence", label="class", separator="semicolon").outputs == 2


def test_a_given_split_is_followed(load: Load) -> None:
    marks = ("train", "tuning", "validation", "test")
    body = "".join(f"{t},{k},{marks[i // 18]}\n" for i, (t, k) in enumerate(ROWS))
    task = load("text,label,part\n" + body, split="part")
    assert [len(split) for split in inputs(task)] == [18, 18, 18, 18]


GOOD = "good,up\nbad,down\n"
BROKEN: dict[str, tuple[bytes | str, str]] = {
    "nothing": ("", ": expected a header and rows, found an empty file"),
    "a header alone": ("text,label\n", ": expected rows under the header, found none"),
    "another column": (
        "texts,label\n" + GOOD,
        ":1: expected a column 'text', found texts, label; did you mean 'texts'?; name the right",
    ),
    "a column twice": ("text,label,text\n" + GOOD, ":1: the column 'text' occurs twice; rename"),
    "too many cells": (
        "text,label\n" + GOOD + "not, very,up\n",
        ":4: expected 2 cells as in the header, got 3; quote cells that hold the separator",
    ),
    "an open quote": ('text,label\n"good,up\nbad,down\n', ":3: cannot be read as a table: "),
    "no sentence": ("text,label\n" + GOOD + " ,up\n", ":4: 'text' is empty; fill it in or "),
    "no label": ("text,label\n" + GOOD + "very,\n", ":4: 'label' is empty; fill it in or "),
    "one label": ("text,label\ngood,up\nvery,up\n", ": expected two labels or more, got 'up' on"),
    "another encoding": (
        b"text,label\ngood,up\ncaf\xe9,down\n",
        ":3: expected UTF-8, got the byte 0xe9; save the file as UTF-8",
    ),
    "two labels for a sentence": (
        "text,label\n" + GOOD + "good,down\n",
        ":4: the sentence of line 2 again, labelled 'down' instead of 'up'; ",
    ),
    "too few": (
        "text,label\n" + GOOD,
        ", where sentences that differ in case and punctuation alone count once: class 0 ('down')",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_tables_get_one_error_naming_file_and_line(load: Load, case: str) -> None:
    content, expected = BROKEN[case]
    assert refusal(load, content).startswith(expected)


def test_an_unknown_split_is_answered_with_the_nearest(load: Load) -> None:
    said = refusal(load, "text,label,part\ngood,up,trian\n" + "bad,down,test\n", split="part")
    assert said == ":2: 'part': expected train, tuning, validation, test, got 'trian'; did you " \
        "mean 'train'?"  # fmt: skip
    said = refusal(load, "text,label,part\ngood,up,train\nbad,down,train\n", split="part")
    assert said.startswith(": no row is marked tuning or validation or test in 'part'; all four")


def test_a_missing_file_is_named(load: Load, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone.csv: expected a table of text, found no file"):
        load(path=str(tmp_path / "gone.csv"))
    with pytest.raises(DataError, match=r"expected a table of text, found a folder"):
        load(path=str(tmp_path))
