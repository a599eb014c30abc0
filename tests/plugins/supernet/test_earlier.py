"""`start`: stage 2 goes on with an earlier supernet's weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Artefact
from stillhouse.core.evaluate.artefacts import ArtefactStore
from stillhouse.core.space import Choice, Space
from stillhouse.plugins.supernet.info import SupernetParams
from stillhouse.plugins.supernet.supernet import Supernet


def params(**changes: Any) -> SupernetParams:
    settings = {"full_epochs": 1, "epochs": 2, "batch_size": 8, "sampler": "uniform"}
    return SupernetParams(**{"space": "tiny", **settings, **changes})


@pytest.fixture
def earlier(bench: Any, tmp_path: Path) -> Artefact:
    store = ArtefactStore(tmp_path)
    return store.memo(
        "supernet", "a", lambda: Supernet().prepare(bench.state, params(), bench.context)
    )


def test_without_epochs_the_weights_are_the_earlier_ones(bench: Any, earlier: Artefact) -> None:
    given = params(start=str(earlier.folder), epochs=0)
    found = Supernet().prepare(bench.state, given, bench.context)
    assert found.tensors.keys() == earlier.tensors.keys()
    assert all(torch.equal(found.tensors[name], earlier.tensors[name]) for name in found.tensors)
    assert found.record["updates"] == earlier.record["updates"] == 3 * 3


def test_stage_one_is_left_out_and_updates_add_up(bench: Any, earlier: Artefact) -> None:
    given = params(start=str(earlier.folder), epochs=2, full_epochs=50)
    found = Supernet().prepare(bench.state, given, bench.context)
    assert found.record["updates"] == earlier.record["updates"] + 2 * 3
    assert found.record["history"]["full"] == []
    assert not torch.equal(found.tensors["frames.weight"], earlier.tensors["frames.weight"])


def test_what_is_kept_depends_on_the_weights_content(earlier: Artefact, tmp_path: Path) -> None:
    first = Supernet().sources(params(start=str(earlier.folder)))
    moved = tmp_path / "elsewhere"
    assert earlier.folder is not None
    earlier.folder.rename(moved)
    assert Supernet().sources(params(start=str(moved))) == first
    file = moved / "artefact.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    assert Supernet().sources(params(start=str(moved))) != first
    assert Supernet().sources(params()) is None


def test_another_space_is_refused(bench: Any, earlier: Artefact) -> None:
    narrow = Space([Choice("width", (8, 12)), Choice("depth", (1, 2))])
    context = replace(bench.context, spaces={"supernet": narrow})
    with pytest.raises(UserError, match=r"of another space or full student: '.*' is .*12.* here"):
        Supernet().prepare(bench.state, params(start=str(earlier.folder)), context)


def test_a_folder_without_weights_is_refused(bench: Any, tmp_path: Path) -> None:
    given = params(start=str(tmp_path / "none"))
    for asked in (
        lambda: Supernet().sources(given),
        lambda: Supernet().prepare(bench.state, given, bench.context),
    ):
        with pytest.raises(UserError, match="expected the folder of a supernet's artefact"):
            asked()


@pytest.mark.parametrize(
    ("other", "said"),
    [({"subspaces": 2}, "subspaces: 1, got 2"), ({"stage_two_from": "fresh"}, "stage_one, got")],
)
def test_two_origins_of_weights_are_refused(
    bench: Any, earlier: Artefact, other: dict[str, Any], said: str
) -> None:
    given = params(start=str(earlier.folder), **other)
    with pytest.raises(UserError, match=said):
        Supernet().prepare(bench.state, given, bench.context)
