"""A search on several fidelities: who is evaluated where, and that a resumed one does the same."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from stillhouse.core.config.runfile import load as load_run
from stillhouse.core.evaluate import Silent
from stillhouse.core.plan import describe, make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.engine import execute
from stillhouse.core.run.summary import RunSummary

pytestmark = pytest.mark.slow

LADDER = (
    "search.fidelity=[0, 0.5, 1]", "search.eta=2", "search.evaluations=13", "search.batch=4",
    "search.finalists=1", "baselines=false",
)  # fmt: skip


@pytest.fixture(scope="module")
def climbed(project: Path, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run on a ladder."""
    config = load_run(project / "run.yaml", catalogue, sets=LADDER)
    folder = tmp_path_factory.mktemp("ladder") / "run"
    with RunDirectory.create(folder, config.to_yaml()) as directory:
        execute(make_plan(config, catalogue), catalogue, directory, Silent())
    return folder


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()[1:]]


def summary(folder: Path) -> RunSummary:
    return RunSummary.from_json((folder / "summary.json").read_text())


def timeless(folder: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines(folder)]


def test_every_evaluation_counts_and_each_rung_is_smaller(climbed: Path) -> None:
    counts = Counter(line["fidelity"] for line in lines(climbed))
    assert sum(counts.values()) == 13
    assert counts[0.0] > counts[0.5] > counts[1.0] > 0


def test_nobody_is_on_a_rung_without_having_been_on_the_one_below(climbed: Path) -> None:
    seen: set[tuple[str, float]] = set()
    for line in lines(climbed):
        below = {0.0: None, 0.5: 0.0, 1.0: 0.5}[line["fidelity"]]
        assert below is None or (line["key"], below) in seen
        assert (line["key"], line["fidelity"]) not in seen
        seen.add((line["key"], line["fidelity"]))


def test_the_found_model_climbed_to_the_top(climbed: Path) -> None:
    top = [line for line in lines(climbed) if line["fidelity"] == 1.0]
    best = max(top, key=lambda line: line["values"]["accuracy"])["values"]["accuracy"]
    found = json.loads((climbed / "best" / "model.json").read_text())["configuration"]
    chosen = [line for line in top if line["configuration"] == found]
    assert [line["values"]["accuracy"] for line in chosen] == [best]


def test_the_front_is_of_the_highest_rung_and_the_report_says_so(climbed: Path) -> None:
    told = summary(climbed)
    assert {e.fidelity for e in told.evaluations if e.on_front} == {1.0}
    assert any(note.startswith("evaluations climbed a ladder:") for note in told.notes)
    header = (climbed / "results.csv").read_text().splitlines()[0]
    assert header.startswith("number,key,on_front,seconds,fidelity,")


@pytest.mark.parametrize("kept", [0, 5, 11])
def test_a_ladder_cut_short_anywhere_resumes_to_the_same_end(
    climbed: Path, catalogue: Catalogue, tmp_path: Path, kept: int
) -> None:
    folder = Path(shutil.copytree(climbed, tmp_path / "run"))
    whole = (folder / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    torn = whole[kept + 1][:-5]
    (folder / "ledger.jsonl").write_bytes(b"".join(whole[: kept + 1]) + torn)
    (folder / "summary.json").unlink()
    config = load_run(folder / "run.yaml", catalogue)
    with RunDirectory.existing(folder) as directory:
        execute(make_plan(config, catalogue), catalogue, directory, Silent())
    assert (folder / "ledger.jsonl").read_bytes().startswith(b"".join(whole[: kept + 1]))
    assert timeless(folder) == timeless(climbed)
    assert summary(folder).found == summary(climbed).found


def test_a_single_rung_leaves_no_trace_in_the_ledger(project: Path) -> None:
    assert all("fidelity" not in line for line in lines(project / "reference"))


def test_the_plan_shows_the_rungs_and_what_each_will_get(
    project: Path, catalogue: Catalogue
) -> None:
    config = load_run(project / "run.yaml", catalogue, sets=LADDER)
    text = describe(make_plan(config, catalogue))
    assert "fidelity  0 (about 7), 0.5 (about 3), 1 (about 1); the best 1/2 of each rung" in text


def test_the_plan_says_when_a_ladder_cannot_be_climbed(project: Path, catalogue: Catalogue) -> None:
    few = load_run(project / "run.yaml", catalogue, sets=[*LADDER, "search.evaluations=3"])
    assert "too few evaluations for the last rung" in describe(make_plan(few, catalogue))
    untrained = "recipe=[soft-labels, supernet: {space: keyword-transformer-tiny}]"
    idle = load_run(project / "run.yaml", catalogue, sets=[*LADDER, untrained])
    assert "no method of the recipe trains candidates" in describe(make_plan(idle, catalogue))
