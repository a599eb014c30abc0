from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace

from rich.console import Console

from stillhouse.core.report import closing_table, pareto_json, results_csv
from stillhouse.core.run.summary import RunSummary


def printed(summary: RunSummary, width: int) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width).print(closing_table(summary))
    return out.getvalue().splitlines()


def test_csv_has_one_line_an_evaluation_and_a_column_a_gene(summary: RunSummary) -> None:
    lines = list(csv.DictReader(io.StringIO(results_csv(summary))))
    assert len(lines) == len(summary.evaluations)
    for line, evaluation in zip(lines, summary.evaluations, strict=True):
        assert int(line["number"]) == evaluation.number
        assert float(line["quality.accuracy"]) == evaluation.values["accuracy"]
        assert float(line["cost.latency_ms"]) == evaluation.costs["latency_ms"]
        heads = evaluation.configuration["supernet.heads"]
        kept = [line[f"gene.supernet.heads.{i}"] for i in range(len(heads))]
        assert [int(cell) for cell in kept] == heads


def test_csv_leaves_a_failed_evaluation_without_quality(summary: RunSummary) -> None:
    failed = replace(summary.evaluations[0], values={}, seconds=math.nan)
    changed = replace(summary, evaluations=[failed, *summary.evaluations[1:]])
    first = next(csv.DictReader(io.StringIO(results_csv(changed))))
    assert first["quality.accuracy"] == ""
    assert first["seconds"] == ""


def test_csv_orders_the_items_of_long_lists_by_number(summary: RunSummary) -> None:
    long = replace(summary.evaluations[0], configuration={"taps": list(range(12))})
    header = results_csv(replace(summary, evaluations=[long])).splitlines()[0].split(",")
    assert header[-12:] == [f"gene.taps.{i}" for i in range(12)]


def test_pareto_json_holds_the_front_best_first(summary: RunSummary) -> None:
    front = json.loads(pareto_json(summary))["front"]
    assert {e["number"] for e in front} == {e.number for e in summary.evaluations if e.on_front}
    qualities = [e["values"]["accuracy"] for e in front]
    assert qualities == sorted(qualities, reverse=True)


def test_pareto_json_is_strict_json_even_for_what_is_not_finite(summary: RunSummary) -> None:
    first = summary.evaluations[0]
    odd = replace(first, on_front=True, costs={**first.costs, "latency_ms": math.inf})
    record = json.loads(pareto_json(replace(summary, evaluations=[odd])), parse_constant=int)
    assert record["front"][0]["costs"]["latency_ms"] is None


def test_the_closing_table_fits_eighty_columns_with_every_figure_whole(
    summary: RunSummary,
) -> None:
    lines = printed(summary, 80)
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    for figure in ("98.80", "98.30", "457\u00a0k", "39.5\u00a0k", "1,873", "54.0\u00a0M", "0.197"):
        assert figure in text
    assert "finalist" not in text


def test_ratios_stand_below_the_figures_of_every_model_but_the_teacher(
    summary: RunSummary,
) -> None:
    lines = printed(summary, 100)
    rows = {line.split()[0]: i for i, line in enumerate(lines) if line.strip()}
    assert "×" not in lines[rows["teacher"]] + lines[rows["found"]]
    below = lines[rows["found"] + 1].split()
    assert below[0] == "−0.5"
    assert all(cell.endswith("×") for cell in below[1:])
    assert len(below) == 7


def test_without_a_teacher_there_are_no_ratios(summary: RunSummary) -> None:
    alone = replace(summary, rows=[row for row in summary.rows if row.role == "found"])
    assert "×" not in "".join(printed(alone, 80))


def test_markup_in_a_label_is_shown_as_it_is(summary: RunSummary) -> None:
    odd = replace(summary.rows[1], label="[red]x")
    assert "[red]x" in "".join(printed(replace(summary, rows=[odd]), 100))
