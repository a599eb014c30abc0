from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stillhouse.core.errors import UserError
from stillhouse.core.measure import DeviceFile, Latency, Measured, default_path

IDENTITY = {
    "target": "onnxruntime-cpu",
    "cpu": "Imaginary 9",
    "threads": 1,
    "input_shape": (32, 13),
}
LATENCY = Latency(0.25, 0.5, 30, "2026-01-02", 0.3, 0.24, 0.26)


def test_what_was_put_is_read_back_exactly_by_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "devices" / "mine.json"
    DeviceFile.open(path, IDENTITY).put("k", LATENCY, 1234)
    again = DeviceFile.open(path, IDENTITY)
    assert again.get("k") == Measured(LATENCY, 1234)
    assert again.get("other") is None
    assert len(again) == 1


def test_the_file_is_plain_json_with_format_identity_and_latencies(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    DeviceFile.open(path, IDENTITY).put("k", LATENCY, 1234)
    raw = json.loads(path.read_text())
    assert raw["format"] == 2
    assert raw["identity"] == {**IDENTITY, "input_shape": [32, 13]}
    assert raw["latencies"]["k"] == {**LATENCY.to_json(), "size_bytes": 1234}


def test_no_temporary_files_are_left_behind(tmp_path: Path) -> None:
    device_file = DeviceFile.open(tmp_path / "mine.json", IDENTITY)
    device_file.put("k", LATENCY, 1)
    device_file.set_anchors("family", [{"width": 8}])
    assert [p.name for p in tmp_path.iterdir()] == ["mine.json"]
    again = DeviceFile.open(tmp_path / "mine.json", IDENTITY)
    assert again.anchors("family") == [{"width": 8}]
    assert again.anchors("another") == []


def test_other_settings_are_refused_naming_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    DeviceFile.open(path, IDENTITY)
    before = path.read_bytes()
    with pytest.raises(UserError) as refused:
        DeviceFile.open(path, {**IDENTITY, "threads": 2, "opset": 20})
    message = str(refused.value)
    assert str(path) in message
    assert "threads: file 1, now 2" in message
    assert "opset: file None, now 20" in message
    assert "cpu:" not in message
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"format": 2}',
        '{"format": "2"}',
        '{"format": 2, "identity": {}, "anchors": {}}',
        '{"format": 2, "identity": {}, "anchors": {"f": {"width": 8}}, "latencies": {}}',
        '{"format": 2, "identity": [], "anchors": {}, "latencies": {}}',
        '{"format": 2, "identity": {}, "anchors": {}, "latencies": {}, "blocks": {"k": {}}}',
        '{"format": 2, "identity": {}, "anchors": {}, "latencies": {}, "structures": {"f": []}}',
        '{"format": 2, "identity": {}, "anchors": {}, "latencies": {}, "reference": {"ms": "x"}}',
        '{"format": 2, "identity": {}, "anchors": {}, "latencies": {}, "energy": 3}',
    ],
)
def test_a_damaged_file_is_refused_and_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"mine\.json: not a device file"):
        DeviceFile.open(path, IDENTITY)
    assert path.read_text() == text


def test_an_earlier_format_is_refused_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"format": 1, "identity": {}, "anchors": {}, "latencies": {}}')
    with pytest.raises(UserError, match=r"mine\.json: a device file of format 1.* reads format 2"):
        DeviceFile.open(path, IDENTITY)


@pytest.mark.parametrize("time", ["NaN", "Infinity", "-1", "0", '"fast"', "null"])
def test_a_time_that_is_none_is_refused_by_name(tmp_path: Path, time: str) -> None:
    path = tmp_path / "mine.json"
    DeviceFile.open(path, IDENTITY).put("k", LATENCY, 1)
    path.write_text(path.read_text().replace('"low_ms": 0.24', f'"low_ms": {time}'))
    with pytest.raises(UserError, match=r"latencies\.k|expected a finite number"):
        DeviceFile.open(path, IDENTITY)


@pytest.mark.parametrize("latency_ms", [0.0, float("nan"), float("inf")])
def test_a_time_that_is_none_is_not_kept(tmp_path: Path, latency_ms: float) -> None:
    path = tmp_path / "mine.json"
    device_file, bad = DeviceFile.open(path, IDENTITY), replace(LATENCY, latency_ms=latency_ms)
    before = path.read_bytes()
    with pytest.raises(UserError, match="cannot be kept: expected a time above 0 ms"):
        device_file.put("k", bad, 1)
    with pytest.raises(UserError, match="cannot be kept"):
        device_file.put_blocks({"add": ({}, bad)})
    assert path.read_bytes() == before


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not a device file"):
        DeviceFile.open(path, IDENTITY)


def test_a_damaged_entry_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    DeviceFile.open(path, IDENTITY).put("k", LATENCY, 1)
    raw = json.loads(path.read_text())
    del raw["latencies"]["k"]["p95_ms"]
    path.write_text(json.dumps(raw))
    with pytest.raises(UserError, match=r"latencies\.k.*p95_ms"):
        DeviceFile.open(path, IDENTITY)


def test_a_path_that_cannot_be_written_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write the device file"):
        DeviceFile.open(tmp_path / "file" / "mine.json", IDENTITY)


def test_blocks_are_kept_by_shape_all_in_one_write(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    blocks = {"linear 4": ({"kind": "linear", "inputs": 4}, LATENCY), "add": ({}, LATENCY)}
    DeviceFile.open(path, IDENTITY).put_blocks(blocks)
    again = DeviceFile.open(path, IDENTITY)
    assert again.blocks() == blocks
    assert again.block("add") == LATENCY
    assert again.block("linear 5") is None
    assert len(again) == 0, "blocks are no networks"


def test_the_reference_and_the_energy_table_are_none_until_they_are_there(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    device_file = DeviceFile.open(path, IDENTITY)
    assert device_file.reference_ms is None
    assert device_file.energy is None
    device_file.set_reference(0.015)
    raw = json.loads(path.read_text())
    path.write_text(json.dumps({**raw, "energy": {"unit": "joules"}}))
    again = DeviceFile.open(path, IDENTITY)
    assert again.reference_ms == 0.015
    assert again.energy == {"unit": "joules"}


def test_a_reference_time_holds_for_one_version_of_numpy(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    device_file = DeviceFile.open(path, IDENTITY)
    device_file.set_reference(0.015)
    device_file.set_reference(0.02)
    assert device_file.reference_ms == 0.015
    assert json.loads(path.read_text())["reference"] == {"ms": 0.015, "numpy": np.__version__}
    path.write_text(path.read_text().replace(np.__version__, "1.0"))
    again = DeviceFile.open(path, IDENTITY)
    assert again.reference_ms is None
    again.set_reference(0.02)
    assert DeviceFile.open(path, IDENTITY).reference_ms == 0.02


def test_structures_are_read_back_with_what_was_measured_of_them(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    device_file = DeviceFile.open(path, IDENTITY)
    device_file.put("a", LATENCY, 12)
    device_file.put_structures("family", {"a": {"width": 8}})
    device_file.put_structures("family", {"b": {"width": 9}})
    again = DeviceFile.open(path, IDENTITY)
    assert again.structures("family") == [({"width": 8}, Measured(LATENCY, 12))]
    assert again.structures("another") == []


def test_a_second_file_gets_every_addition_and_keeps_its_own(tmp_path: Path) -> None:
    shared = DeviceFile.open(tmp_path / "shared.json", IDENTITY)
    shared.put_blocks({"old": ({}, LATENCY)})
    mine = DeviceFile.open(tmp_path / "mine.json", IDENTITY)
    mine.also_keep_in(shared.path)
    mine.put("k", LATENCY, 1)
    mine.put_blocks({"new": ({}, LATENCY)})
    mine.set_anchors("family", [{"width": 8}])
    mine.put_structures("family", {"k": {"width": 8}})
    mine.set_reference(0.02)
    again = DeviceFile.open(shared.path, IDENTITY)
    assert set(again.blocks()) == {"old", "new"}
    assert again.structures("family") == [({"width": 8}, Measured(LATENCY, 1))]
    assert again.anchors("family") == [{"width": 8}]
    assert again.reference_ms == 0.02
    assert set(mine.blocks()) == {"new"}


def test_two_runs_leave_each_others_networks_in_a_second_file(tmp_path: Path) -> None:
    shared = tmp_path / "shared.json"
    one, two = (DeviceFile.open(tmp_path / f"{name}.json", IDENTITY) for name in ("one", "two"))
    one.also_keep_in(shared)
    two.also_keep_in(shared)
    slower = replace(LATENCY, latency_ms=0.255)
    for run, key, latency in ((one, "a", LATENCY), (two, "b", slower)):
        run.put("both", latency, 1)
        run.put(key, latency, 1)
        run.set_anchors("family", [{"width": key}])
        run.put_structures("family", {key: {"width": key}})
        run.set_reference(0.02 if key == "a" else 0.03)
    again = DeviceFile.open(shared, IDENTITY)
    assert [s["width"] for s, _ in again.structures("family")] == ["a", "b"]
    assert again.anchors("family") == [{"width": "a"}]
    assert again.get("both") == Measured(LATENCY, 1), "the anchors' times are the first run's"
    assert again.reference_ms == 0.02
    assert two.anchors("family") == [{"width": "b"}]
    assert two.reference_ms == 0.03


def test_two_that_hold_the_same_file_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    one, two = DeviceFile.open(path, IDENTITY), DeviceFile.open(path, IDENTITY)
    one.put_blocks({"add": ({}, LATENCY)})
    two.put_blocks({"gelu": ({}, LATENCY)})
    assert set(DeviceFile.open(path, IDENTITY).blocks()) == set(two.blocks()) == {"add", "gelu"}


def _put_many(path: Path, name: str) -> None:
    device_file = DeviceFile.open(path, IDENTITY)
    for number in range(10):
        device_file.put(f"{name}-{number}", LATENCY, 1)


def test_processes_that_begin_and_fill_a_file_together_lose_nothing(tmp_path: Path) -> None:
    path, context = tmp_path / "mine.json", multiprocessing.get_context("fork")
    writers = [context.Process(target=_put_many, args=(path, name)) for name in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert len(DeviceFile.open(path, IDENTITY)) == 30
    assert [p.name for p in tmp_path.iterdir()] == ["mine.json"]


@contextmanager
def _unprivileged() -> Iterator[Path]:
    """A new folder, and nobody's permissions where this process has all."""
    before = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        if before == 0:
            os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            os.seteuid(before)


@pytest.mark.parametrize("read_only", ["file", "folder"])
def test_a_read_only_file_is_refused_before_anything_is_measured(
    tmp_path: Path, read_only: str
) -> None:
    mine = DeviceFile.open(tmp_path / "mine.json", IDENTITY)
    with _unprivileged() as folder:
        path = folder / "theirs" / "device.json"
        DeviceFile.open(path, IDENTITY)
        before = path.read_bytes()
        path.chmod(0o444)
        if read_only == "folder":
            path.chmod(0o644)
            path.parent.chmod(0o555)
        with pytest.raises(UserError, match=r"cannot write .*device\.json: Permission denied"):
            mine.also_keep_in(path)
        with pytest.raises(UserError, match="cannot write"):
            DeviceFile.open(path, IDENTITY).put("k", LATENCY, 1)
        assert path.read_bytes() == before
        path.parent.chmod(0o755)


def test_a_folder_for_locks_that_cannot_be_written_is_a_user_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device_file = DeviceFile.open(tmp_path / "mine.json", IDENTITY)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"cannot lock .*mine\.json: .*TMPDIR"):
        device_file.put("k", LATENCY, 1)


def test_a_file_replaced_by_another_devices_is_not_added_to(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    mine = DeviceFile.open(path, IDENTITY)
    path.unlink()
    DeviceFile.open(path, {**IDENTITY, "cpu": "Imaginary 3"})
    with pytest.raises(UserError, match="holds another device's measurements by now"):
        mine.put("k", LATENCY, 1)


def test_another_devices_file_can_be_read_and_not_added_to(tmp_path: Path) -> None:
    path = tmp_path / "theirs.json"
    theirs = DeviceFile.open(path, {**IDENTITY, "cpu": "Imaginary 3"})
    theirs.put("k", LATENCY, 1)
    before = path.read_bytes()
    read = DeviceFile.open(path, IDENTITY)
    assert read.foreign
    assert not theirs.foreign
    assert read.get("k") == Measured(LATENCY, 1)
    assert "Imaginary 3" in read.describe()
    for add in (
        lambda: read.put("l", LATENCY, 1),
        lambda: read.put_blocks({"add": ({}, LATENCY)}),
        lambda: read.set_reference(0.01),
    ):
        with pytest.raises(RuntimeError, match="another device"):
            add()
    assert path.read_bytes() == before


def test_what_is_measured_here_is_not_kept_in_another_devices_file(tmp_path: Path) -> None:
    theirs = DeviceFile.open(tmp_path / "theirs.json", {**IDENTITY, "cpu": "Imaginary 3"})
    mine = DeviceFile.open(tmp_path / "mine.json", IDENTITY)
    with pytest.raises(UserError, match=r"theirs\.json was measured on other hardware"):
        mine.also_keep_in(theirs.path)


def test_a_file_read_without_an_identity_is_never_added_to(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    DeviceFile.open(path, IDENTITY).put("k", LATENCY, 1)
    read = DeviceFile.read(path)
    assert read.foreign
    assert len(read) == 1
    with pytest.raises(UserError, match=r"cannot read the device file .*none\.json"):
        DeviceFile.read(tmp_path / "none.json")


def test_a_file_of_blocks_serves_every_export_until_it_has_networks(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    blocks = {key: value for key, value in IDENTITY.items() if key != "input_shape"}
    DeviceFile.open(path, blocks).put_blocks({"add": ({}, LATENCY)})
    first = DeviceFile.open(path, IDENTITY)
    DeviceFile.open(path, {**IDENTITY, "input_shape": (64, 13)})
    first.put("k", LATENCY, 1)
    assert DeviceFile.open(path, blocks).identity["input_shape"] == [32, 13]
    with pytest.raises(UserError, match=r"input_shape: file \[32, 13\], now \[64, 13\]"):
        DeviceFile.open(path, {**IDENTITY, "input_shape": (64, 13)})


def test_a_file_of_blocks_shares_blocks_with_runs_of_every_export(tmp_path: Path) -> None:
    path, cache = tmp_path / "blocks.json", tmp_path / "cache.json"
    blocks = {key: value for key, value in IDENTITY.items() if key != "input_shape"}
    DeviceFile.open(path, blocks).put_blocks({"add": ({}, LATENCY)})
    for number, length in enumerate((32, 64)):
        shaped = {**IDENTITY, "input_shape": (length, 13)}
        cached = cache.with_suffix(f".{length}")
        run = DeviceFile.open(tmp_path / f"run-{number}.json", shaped)
        run.also_keep_in(path, cached)
        run.put("k", LATENCY, 1)
        run.put_structures("family", {"k": {"width": 8}})
        run.set_anchors("family", [{"width": 8}])
        run.put_blocks({f"new-{length}": ({}, LATENCY)})
        kept = DeviceFile.open(cached, shaped)
        assert kept.structures("family") == [({"width": 8}, Measured(LATENCY, 1))]
        assert kept.blocks() == {}
        later = DeviceFile.open(tmp_path / f"later-{number}.json", shaped)
        later.also_keep_in(path, cached)
        assert later.structures("family") == kept.structures("family")
        assert later.anchors("family") == [{"width": 8}]
    shared = DeviceFile.open(path, blocks)
    assert set(shared.blocks()) == {"add", "new-32", "new-64"}
    assert len(shared) == 0
    assert "input_shape" not in shared.identity


def test_networks_of_another_export_stay_as_they_are_in_a_second_file(tmp_path: Path) -> None:
    first = DeviceFile.open(tmp_path / "first.json", IDENTITY)
    first.put("k", LATENCY, 1)
    run = DeviceFile.open(tmp_path / "run.json", {**IDENTITY, "input_shape": (64, 13)})
    with pytest.raises(UserError, match=r"input_shape: file \[32, 13\], now \[64, 13\]"):
        run.also_keep_in(first.path)
    first.put_blocks({"add": ({}, LATENCY)})
    run.also_keep_in(first.path)
    run.put("k", replace(LATENCY, latency_ms=9.0), 9)
    run.put_blocks({"new": ({}, LATENCY)})
    again = DeviceFile.open(first.path, IDENTITY)
    assert again.get("k") == Measured(LATENCY, 1)
    assert set(again.blocks()) == {"add", "new"}


def test_another_devices_model_is_kept_with_where_it_came_from(tmp_path: Path) -> None:
    theirs = DeviceFile.open(tmp_path / "theirs.json", {**IDENTITY, "cpu": "Imaginary 3"})
    mine = DeviceFile.open(tmp_path / "mine.json", IDENTITY)
    assert mine.adapted_from is None
    mine.set_adapted_from(theirs, {"kind": "fitted"})
    again = DeviceFile.open(mine.path, IDENTITY)
    assert again.adapted_from == {"identity": theirs.identity, "model": {"kind": "fitted"}}


def test_every_identity_has_its_own_default_path() -> None:
    environ = {"STILLHOUSE_HOME": "/somewhere"}
    one = default_path(IDENTITY, environ)
    two = default_path({**IDENTITY, "threads": 2}, environ)
    assert one.parent == two.parent == Path("/somewhere/devices")
    assert one.name.startswith("onnxruntime-cpu-")
    assert one != two
    assert one == default_path(dict(reversed(IDENTITY.items())), environ)


def test_without_a_home_of_its_own_it_is_in_the_users_cache() -> None:
    assert default_path(IDENTITY, {}).parent == Path.home() / ".cache" / "stillhouse" / "devices"
