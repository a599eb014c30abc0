"""The user's own labelled sentences, from one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stillhouse.core.errors import DataError, nearest
from stillhouse.core.evaluate import Task
from stillhouse.plugins.tasks import labels, partition
from stillhouse.plugins.tasks.labels import Targets
from stillhouse.plugins.tasks.partition import FEWEST, SHARES, Parts
from stillhouse.plugins.tasks.sentences import classification, normalised
from stillhouse.plugins.tasks.table import Row, rows
from stillhouse.plugins.tasks.text_params import TextCsvParams
from stillhouse.plugins.tasks.tokens import Tokeniser, tokeniser_file


def build(params: TextCsvParams) -> Task:
    """A classification task over `params.path`, its classes in sorted order.

    Without a column of splits they follow from the sentences, so that a sentence stays where it is
    when others are added, on the same side as all that differ in case and punctuation alone.
    Raises `DataError` naming file and line, `UserError` for a tokeniser that cannot be used.
    """
    file = tokeniser_file(params.tokeniser, params.tokeniser_file)
    tokeniser = Tokeniser(file, params.tokens, params.padding)
    path = Path(params.path)
    table = rows(path, params.separator, _columns(params))
    sentences = [_cell(path, row, params.text) for row in table]
    given = [_cell(path, row, params.label) for row in table]
    _check_twins(path, table, sentences, given)
    names = _sorted(set(given))
    if len(names) < 2:
        raise DataError(f"{path}: expected two labels or more, got '{names[0]}' only")
    targets = np.array([names.index(label) for label in given], np.int64)
    parts = _parts(params, table, sentences, targets, names)
    places = [f"{path}:{row.line}" for row in table]
    return classification("text-csv", sentences, places, targets, names, parts, tokeniser)


def _columns(params: TextCsvParams) -> dict[str, str]:
    named = {"text": params.text, "label": params.label, "split": params.split}
    return {parameter: column for parameter, column in named.items() if column is not None}


def _cell(path: Path, row: Row, column: str) -> str:
    cell = row.cells[column].strip()
    if not cell:
        raise DataError(f"{path}:{row.line}: '{column}' is empty; fill it in or remove the row")
    return cell


def _check_twins(
    path: Path, table: Sequence[Row], sentences: Sequence[str], given: Sequence[str]
) -> None:
    first: dict[str, int] = {}
    for place, sentence in enumerate(sentences):
        twin = first.setdefault(sentence, place)
        if given[twin] != given[place]:
            raise DataError(
                f"{path}:{table[place].line}: the sentence of line {table[twin].line} again, "
                f"labelled '{given[place]}' instead of '{given[twin]}'; "
                "one of them is mislabelled, remove it"
            )


def _sorted(names: set[str]) -> tuple[str, ...]:
    """By number where all are whole numbers, else by text."""
    whole = all(name.isascii() and name.removeprefix("-").isdigit() for name in names)
    return tuple(sorted(names, key=int) if whole else sorted(names))


def _parts(
    params: TextCsvParams,
    table: Sequence[Row],
    sentences: Sequence[str],
    targets: Targets,
    names: tuple[str, ...],
) -> Parts:
    if params.split is not None:
        parts = _given(Path(params.path), table, params.split)
        where = f"{params.path}, the rows marked train"
        labels.enough(targets[parts["train"]], names, 1, where)
        return parts
    groups = [normalised(sentence) for sentence in sentences]
    first, _ = partition.representatives(groups)
    where = f"{params.path}, where sentences that differ in case and punctuation alone count once"
    labels.enough(targets[first], names, FEWEST, where)
    return partition.together(groups, targets, partition.lasting, params.split_seed)


def _given(path: Path, table: Sequence[Row], column: str) -> Parts:
    for row in table:
        if row.cells[column] not in SHARES:
            raise DataError(
                f"{path}:{row.line}: '{column}': expected {', '.join(SHARES)}, "
                f"got '{row.cells[column]}'{nearest(row.cells[column], SHARES)}"
            )
    marks = np.array([row.cells[column] for row in table])
    parts: Parts = {name: np.flatnonzero(marks == name) for name in SHARES}
    empty = [name for name in SHARES if not len(parts[name])]
    if empty:
        raise DataError(
            f"{path}: no row is marked {' or '.join(empty)} in '{column}'; all four are needed"
        )
    return parts
