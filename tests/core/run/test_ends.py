"""The least candidates of a space are not always those of every gene's first value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stillhouse.core.config.runfile import parse
from stillhouse.core.evaluate import Silent
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.ends import ends_of, stored_bytes
from stillhouse.core.run.opened import Opened, open_run
from stillhouse.core.run.profiled import pool_of

BITS = "  - int8: {attention: {choices: [none, static]}, feed_forward: {choices: [none, static]}}\n"
RECIPE = "recipe:\n  - supernet: {space: keyword-transformer-tiny}\n"
Open = Callable[[str], Opened]


@pytest.fixture
def opened(project: Path, tmp_path: Path, catalogue: Catalogue) -> Open:
    def open_with(more: str) -> Opened:
        text = f"""
task: {{npz: {{path: {project / "waves.npz"}, shift: 0}}}}
teacher: {{model: keyword-transformer, width: 24, depth: 2, heads: 2}}
search: {{maximize: accuracy}}
target: {{runtime: onnxruntime-cpu}}
{RECIPE}{more}"""
        plan = make_plan(parse(text, "run.yaml", catalogue), catalogue)
        directory = RunDirectory.create(tmp_path / "run", plan.run.to_yaml())
        return open_run(plan, catalogue, directory, Silent())

    return open_with


def test_fewest_bytes_are_looked_for_where_methods_set_bits(opened: Open) -> None:
    run = opened(BITS)
    pool = pool_of(run, np.random.default_rng(0))
    ends = ends_of(run, pool)
    every = run.plan.space.unique(run.plan.space.sample(4000, np.random.default_rng(1)))
    least = run.plan.space.decode(ends[np.argmin(stored_bytes(run, ends))])
    assert (least["int8.attention"], least["int8.feed_forward"]) == ("static", "static")
    assert stored_bytes(run, ends).min() == stored_bytes(run, every).min()
    assert stored_bytes(run, ends).min() < stored_bytes(run, pool[:1])[0]
    assert any(np.array_equal(row, pool[0]) for row in ends)


def test_elsewhere_the_one_of_fewest_macs_is_the_least(opened: Open) -> None:
    run = opened("")
    pool = pool_of(run, np.random.default_rng(0))
    assert np.array_equal(ends_of(run, pool), pool[:1])
