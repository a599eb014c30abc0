"""A run's bench, opened again by a worker from the run's folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from stillhouse.core.config.runfile import load
from stillhouse.core.errors import PluginError
from stillhouse.core.evaluate import Silent
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.plugin.versions import versions
from stillhouse.core.run.bench import open_bench, work_of
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.ledger import Entry, read_entries
from stillhouse.core.run.opened import Opened, open_run

Searched = tuple[Opened, list[Entry]]


@pytest.fixture(scope="module")
def searched(
    project: Path, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory
) -> Searched:
    """A run that is over, opened again, and its ledger."""
    folder = tmp_path_factory.mktemp("bench") / "run"
    shutil.copytree(project / "reference", folder)
    directory = RunDirectory.existing(folder)
    plan = make_plan(load(directory.run_file, catalogue), catalogue)
    return open_run(plan, catalogue, directory, Silent()), read_entries(directory.ledger)


def scored(spec: object, entries: list[Entry]) -> list[object]:
    bench = open_bench(json.loads(json.dumps(spec)))
    return [bench({"configuration": e.configuration, "share": 0.0}) for e in entries]


def test_a_worker_finds_what_the_run_found(searched):
    opened, entries = searched
    found = scored(work_of(opened, versions(opened.plan, opened.catalogue)).spec, entries)
    assert found == [{"values": entry.values} for entry in entries]


def test_a_worker_elsewhere_needs_nothing_but_what_it_is_brought(searched, project, tmp_path):
    opened, entries = searched
    work = work_of(opened, versions(opened.plan, opened.catalogue))
    for name, path in work.files.items():
        place = tmp_path / "brought" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    hidden = project / "elsewhere.npz"
    (project / "waves.npz").rename(hidden)
    try:
        spec = {**work.spec, "folder": str(tmp_path / "none"), "brought": str(tmp_path / "brought")}
        found = scored(spec, entries)
    finally:
        hidden.rename(project / "waves.npz")
    assert found == [{"values": entry.values} for entry in entries]


def test_another_version_of_a_plugin_is_refused_naming_both(searched):
    opened, entries = searched
    spec = work_of(opened, versions(opened.plan, opened.catalogue)).spec
    other = {**spec, "versions": {**spec["versions"], "torch": "1.0.0"}}
    with pytest.raises(PluginError, match=r"torch.*1\.0\.0.*"):
        scored(other, entries)


def test_other_data_are_refused(searched, project, tmp_path):
    opened, entries = searched
    spec = dict(work_of(opened, versions(opened.plan, opened.catalogue)).spec)
    kept = tmp_path / "kept.npz"
    shutil.copyfile(project / "waves.npz", kept)
    try:
        with np.load(kept) as data:
            np.savez(project / "waves.npz", x=data["x"] + 1, y=data["y"])
        with pytest.raises(PluginError, match="expected the run's data"):
            scored(spec, entries)
    finally:
        shutil.copyfile(kept, project / "waves.npz")


def test_a_candidate_that_cannot_be_had_is_an_error_of_its_own(searched):
    opened, entries = searched
    bench = open_bench(work_of(opened, versions(opened.plan, opened.catalogue)).spec)
    genes = {**entries[0].configuration, "supernet.depth": 99}
    assert set(bench({"configuration": genes, "share": 0.0})) == {"error"}
