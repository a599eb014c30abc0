"""The `execute` section, and how far ahead batches are proposed."""

from __future__ import annotations

import pytest

from stillhouse.core.config.runfile import parse
from stillhouse.core.errors import ConfigError


@pytest.fixture
def read(catalogue, run_text):
    def with_settings(*sets: str):
        return parse(run_text, "run.yaml", catalogue, sets)

    return with_settings


def test_a_run_without_the_section_is_evaluated_in_its_own_process(read):
    run = read()
    assert (run.execute.kind, run.execute.workers, run.search.ahead) == ("inline", 1, 0)
    assert "execute" not in run.to_yaml()


@pytest.mark.parametrize(
    ("sets", "kind", "batch", "ahead"),
    [
        (("execute.workers=2", "search.batch=null"), "processes", 1, 3),
        (("execute.workers=16", "search.batch=null"), "processes", 2, 15),
        (("execute.workers=1024", "search.batch=null"), "processes", 128, 20),
        (("execute.workers=2", "search.batch=10"), "processes", 10, 1),
        (("execute.workers=8", "search.batch=10"), "processes", 10, 1),
        (("execute.workers=16", "search.batch=10"), "processes", 10, 3),
        (("execute.workers=8", "search.batch=5", "search.ahead=0"), "processes", 5, 0),
        (("execute.kind=ray", "execute.workers=16", "search.batch=16"), "ray", 16, 1),
        (("search.batch=null",), "inline", 10, 0),
        (("search.batch=null", "search.ahead=3"), "inline", 10, 3),
    ],
)
def test_batches_are_settled_to_keep_the_workers_busy(read, catalogue, sets, kind, batch, ahead):
    run = read(*sets)
    assert (run.execute.kind, *run.search.order) == (kind, batch, ahead)
    assert parse(run.to_yaml(), "run.yaml", catalogue) == run


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (("execute.kind=inline", "execute.workers=2"), "execute.workers: expected 1 with kind"),
        (("execute.kind=ray",), "execute: expected how many workers a Ray cluster is asked for"),
        (("execute.timeout_s=5",), "execute.timeout_s: kind: inline cannot heed it; it needs"),
        (("execute.workers=2", "execute.gpus=1"), "execute.gpus: kind: processes cannot heed it"),
        (("execute.workers=0",), "execute.workers: expected a whole number, 1 to 100000, got 0"),
        (
            ("execute.workers=two",),
            "expected a whole number, 1 to 100000, got 'two'",
        ),
        (("execute.kind=dask",), "execute.kind: "),
        (("execute.worker=2",), "execute.worker: unknown key; did you mean 'workers'?"),
    ],
)
def test_settings_that_cannot_be_heeded_are_refused(read, sets, message):
    with pytest.raises(ConfigError) as caught:
        read(*sets)
    assert message in str(caught.value)


def test_a_folder_that_runs_share_is_taken_from_the_run_files_own(catalogue, run_text, tmp_path):
    def store(value: str) -> str | None:
        text = f"{run_text}\nexecute: {{store: {value}}}\n"
        return parse(text, str(tmp_path / "run.yaml"), catalogue).execute.store

    assert store("shared") == str(tmp_path / "shared")
    assert store("/mnt/shared") == "/mnt/shared"
    assert store("s3://bucket/shared") == "s3://bucket/shared"
