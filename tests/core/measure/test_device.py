from __future__ import annotations

import json
from pathlib import Path

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


def test_another_identity_is_refused_naming_what_differs(tmp_path: Path) -> None:
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
        '{"format": 1, "identity": {}, "anchors": {}}',
        '{"format": 1, "identity": {}, "anchors": {"f": {"width": 8}}, "latencies": {}}',
        '{"format": 1, "identity": [], "anchors": {}, "latencies": {}}',
    ],
)
def test_a_damaged_file_is_refused_and_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"mine\.json: not a device file"):
        DeviceFile.open(path, IDENTITY)
    assert path.read_text() == text


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
        DeviceFile.open(path, IDENTITY).get("k")


def test_a_path_that_cannot_be_written_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write the device file"):
        DeviceFile.open(tmp_path / "file" / "mine.json", IDENTITY)


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
