from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse.core.errors import UserError
from stillhouse.core.measure import identity

HERE = {
    "target": "onnxruntime-cpu",
    "cpu": "Imaginary 9",
    "cores": 4,
    "runtime": "onnxruntime 1.31.1",
    "threads": 1,
    "exporter": "auto",
    "torch": "2.13.0",
    "input_shape": [32, 13],
}
PATH = Path("mine.json")


def test_other_hardware_is_foreign_and_no_matter_of_settings() -> None:
    there = {**HERE, "cpu": "Imaginary 3", "cores": 2, "flags": ["asimd"]}
    assert identity.foreign(there, HERE)
    assert identity.differing(there, HERE) == ("cores", "cpu", "flags")
    identity.check_settings(PATH, there, HERE, whole=True)


def test_the_same_hardware_is_not_foreign_whatever_the_settings() -> None:
    assert not identity.foreign({**HERE, "threads": 2}, HERE)


def test_another_runtime_version_is_refused_with_both_and_the_next_step() -> None:
    there = {**HERE, "cpu": "Imaginary 3", "runtime": "onnxruntime 1.29.0"}
    with pytest.raises(UserError) as refused:
        identity.check_settings(PATH, there, HERE, whole=False)
    message = str(refused.value)
    assert "runtime: file 'onnxruntime 1.29.0', now 'onnxruntime 1.31.1'" in message
    assert "stillhouse profile" in message
    assert "Imaginary" not in message


@pytest.mark.parametrize("key", identity.EXPORT)
def test_what_concerns_exports_matters_once_there_are_whole_networks(key: str) -> None:
    there = {**HERE, key: "another"}
    identity.check_settings(PATH, there, HERE, whole=False)
    with pytest.raises(UserError, match=f"{key}: file 'another'"):
        identity.check_settings(PATH, there, HERE, whole=True)


def test_who_exports_nothing_reads_files_of_any_export() -> None:
    blocks = identity.without_export(HERE)
    assert blocks.keys() == HERE.keys() - set(identity.EXPORT)
    identity.check_settings(PATH, HERE, blocks, whole=True)


def test_an_identity_is_told_in_one_line() -> None:
    told = "onnxruntime-cpu on Imaginary 9, 4 cores, onnxruntime 1.31.1, 1 thread"
    assert identity.describe(HERE) == told
    assert identity.describe({}) == "a target on an unnamed processor"
