"""Whatever was done to a file, it reads as something valid or as one of our errors; no more."""

from __future__ import annotations

import copy
import json
import resource
import struct
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stillhouse.core.errors import PluginError, UserError

NAMES = (
    "run file", "search space", "ledger", "device file", "summary", "transformers configuration",
    "model.json", "model.safetensors", "pool", "program", "checkpoint", "predictions.json",
    "predictions.npy", "targets.npy", "rows.npy", "rows.npz", "rows.csv", "data",
    "bundle manifest", "bundle result", "artefact.json", "artefact.safetensors", "costs", "stages",
    "pool of a run", "certificate", "ONNX model", "study",
)  # fmt: skip
LONGEST_S, MOST_BYTES = 6.0, 300_000_000
OURS = (UserError, PluginError)
EVIL = st.sampled_from(
    [
        *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**30, 10**400, -(2**63), 1e308, 0.5),
        *(float("nan"), float("inf"), -0.0, "", "x", "\0", "\ud800", "../../etc", "/dev/zero"),
        *("{{7*7}}", "__class__", "1e999", "a" * 5000, "\x1b[2J", "<script>", "é", "%0", "@0"),
        *([], {}, [[]], [None], {"": None}, {"a": 1}, [1] * 50, {"kind": "x"}, {"text": "x"}),
    ]
)  # fmt: skip


def fuzzing(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@st.composite
def damaged_bytes(draw: st.DrawFn, raw: bytes) -> bytes:
    """Flipped, cut, doubled or overwritten, once to three times."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(raw)))
        end = min(len(raw), start + draw(st.integers(0, 16)))
        into = draw(
            st.just(b"")
            | st.binary(max_size=8)
            | st.just(raw[start:end] * 2)
            | st.sampled_from(
                [b"\0" * 8, b"\xff" * 8, b"[" * 3000, b"1" * 5000, b"\n", b"\x80\x04."]
            )
        )
        raw = raw[:start] + into + raw[end:]
    return raw[: draw(st.integers(0, len(raw)))] if draw(st.booleans()) else raw


@st.composite
def damaged_value(draw: st.DrawFn, value: Any) -> Any:
    """A JSON value with a part dropped, renamed, replaced or repeated somewhere inside."""
    root: list[Any] = [copy.deepcopy(value)]
    for _ in range(draw(st.integers(1, 2))):
        holder: Any = root
        key: Any = 0
        while isinstance(holder[key], (dict, list)) and holder[key] and draw(st.integers(0, 4)):
            holder = holder[key]
            key = draw(
                st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder)))
            )
        change = draw(st.sampled_from(["replace", "replace", "drop", "rename", "wrap"]))
        if change == "drop" and holder is not root:
            del holder[key]
        elif change == "rename" and isinstance(holder, dict):
            holder[draw(st.sampled_from(["x", "", "__init__", "é"]))] = holder.pop(key)
        elif change == "wrap":
            holder[key] = [holder[key]]
        else:
            holder[key] = copy.deepcopy(draw(EVIL))
    return root[0]


def _lines(raw: bytes) -> tuple[list[Any], Callable[[list[Any]], bytes]]:
    parts = [json.loads(line) for line in raw.splitlines()]
    return parts, lambda new: b"".join(json.dumps(part).encode() + b"\n" for part in new)


def _header(raw: bytes) -> tuple[Any, Callable[[Any], bytes]]:
    (size,) = struct.unpack("<Q", raw[:8])
    header, rest = json.loads(raw[8 : 8 + size]), raw[8 + size :]
    metadata = header.get("__metadata__", {})
    inside = {key: json.loads(text) for key, text in metadata.items() if text[0] == "{"}

    def packed(new: Any) -> bytes:
        if isinstance(new, dict) and isinstance(given := new.pop("inside", None), dict):
            texts = {key: json.dumps(value) for key, value in given.items()}
            new["__metadata__"] = {**metadata, **texts}
        text = json.dumps(new).encode()
        return struct.pack("<Q", len(text)) + text + rest

    return {**header, "inside": inside}, packed


def _whole(raw: bytes) -> tuple[Any, Callable[[Any], bytes]]:
    return json.loads(raw), lambda new: json.dumps(new).encode()


STRUCTURED: dict[str, Callable[[bytes], tuple[Any, Callable[[Any], bytes]]]] = {
    **dict.fromkeys(("ledger", "study"), _lines),
    **dict.fromkeys(("model.safetensors", "pool", "program", "checkpoint"), _header),
    **dict.fromkeys(("artefact.safetensors", "pool of a run"), _header),
    **dict.fromkeys(("device file", "summary", "model.json", "predictions.json"), _whole),
    **dict.fromkeys(("transformers configuration", "bundle manifest", "bundle result"), _whole),
    **dict.fromkeys(("artefact.json", "costs", "stages", "certificate"), _whole),
}


def reads_or_refuses(read: Callable[[Path], object], path: Path, raw: bytes) -> None:
    """The file with other bytes in it, for the time of one reading."""
    before, memory, began = path.read_bytes(), _peak_bytes(), time.process_time()
    path.write_bytes(raw)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read(path)
    except OURS as error:
        str(error).encode()
    finally:
        path.write_bytes(before)
    assert time.process_time() - began < LONGEST_S
    assert _peak_bytes() - memory < MOST_BYTES


def _peak_bytes() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def bytes_are_read_or_refused(samples: dict[str, Any], name: str, data: st.DataObject) -> None:
    sample = samples[name]
    raw = data.draw(st.binary(max_size=64) | damaged_bytes(sample.path.read_bytes()))
    reads_or_refuses(sample.read, sample.path, raw)


def values_are_read_or_refused(samples: dict[str, Any], name: str, data: st.DataObject) -> None:
    sample = samples[name]
    value, packed = STRUCTURED[name](sample.path.read_bytes())
    new = data.draw(damaged_value(value))
    reads_or_refuses(
        sample.read,
        sample.path,
        packed(new if STRUCTURED[name] is not _lines or isinstance(new, list) else [new]),
    )


@pytest.mark.parametrize("name", NAMES)
@fuzzing(25)
@given(data=st.data())
def test_any_bytes(samples: dict[str, Any], name: str, data: st.DataObject) -> None:
    bytes_are_read_or_refused(samples, name, data)


@pytest.mark.parametrize("name", STRUCTURED)
@fuzzing(40)
@given(data=st.data())
def test_any_values(samples: dict[str, Any], name: str, data: st.DataObject) -> None:
    values_are_read_or_refused(samples, name, data)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@fuzzing(400)
@given(data=st.data())
def test_very_many_bytes(samples: dict[str, Any], name: str, data: st.DataObject) -> None:
    bytes_are_read_or_refused(samples, name, data)


@pytest.mark.slow
@pytest.mark.parametrize("name", STRUCTURED)
@fuzzing(600)
@given(data=st.data())
def test_very_many_values(samples: dict[str, Any], name: str, data: st.DataObject) -> None:
    values_are_read_or_refused(samples, name, data)
