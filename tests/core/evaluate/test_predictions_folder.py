"""Predictions come back from the disk as they were, or are refused in one way."""

from __future__ import annotations

import json
import pickle
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import prediction_folder
from stillhouse.core.evaluate.prediction_folder import read, write
from stillhouse.core.evaluate.predictions import Origin, Predictions

FILES = ("predictions.json", "predictions.npy", "targets.npy")
NAMES = st.text(min_size=1, max_size=6)


def same(one: Predictions, other: Predictions) -> bool:
    return (
        one.describe() == other.describe()
        and np.array_equal(one.targets, other.targets)
        and one.probabilities.tobytes() == other.probabilities.tobytes()
    )


@st.composite
def predictions(draw: st.DrawFn) -> Predictions:
    models, samples, classes = (
        draw(st.integers(low, high)) for low, high in ((1, 3), (1, 6), (2, 4))
    )
    values = st.floats(2**-20, 1, width=32)
    raw = draw(arrays.arrays(np.float32, (models, samples, classes), elements=values))
    ids = st.lists(NAMES, min_size=samples, max_size=samples, unique=True) | st.just([])
    return Predictions(
        tuple(draw(st.lists(NAMES, min_size=models, max_size=models, unique=True))),
        tuple(draw(st.lists(NAMES, min_size=classes, max_size=classes, unique=True))),
        draw(st.sampled_from(["train", "tuning", "validation", "test"])),
        raw / raw.sum(-1, keepdims=True),
        draw(arrays.arrays(np.int64, samples, elements=st.integers(0, classes - 1))),
        Origin(
            tuple(draw(st.none() | st.integers(0, 2**63)) for _ in range(models)),
            tuple(draw(st.text(max_size=4)) for _ in range(models)),
            draw(st.text(max_size=4)),
            draw(st.text(max_size=4)),
            draw(st.none() | st.booleans()),
        ),
        tuple(draw(ids)),
    )


def example() -> Predictions:
    rows = np.random.default_rng(1).dirichlet(np.ones(3), (2, 4)).astype(np.float32)
    origin = Origin((3, None), ("ab", ""), "data", "stillhouse 1", False)
    return Predictions(("a", "b"), ("x", "y", "z"), "tuning", rows, np.array([0, 2, 1, 0]), origin)


def outcome(folder: Path) -> Predictions | str:
    try:
        found = read(folder)
        found.verify()
    except UserError as error:
        return str(error)
    return found


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(write(example(), tmp_path_factory.mktemp("written") / "cache").place)


@settings(max_examples=30, deadline=None)
@given(predictions())
def test_what_was_written_comes_back_bit_for_bit(given_ones: Predictions) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = write(given_ones, Path(folder) / "cache")
        assert same(found, given_ones)
        assert found.sha256 == given_ones.digest() == found.digest()
        found.verify()


def test_probabilities_are_mapped_from_the_disk_and_read_only(tmp_path: Path) -> None:
    found = write(example(), tmp_path / "cache")
    assert isinstance(found.probabilities, np.memmap)
    assert not found.probabilities.flags.writeable
    assert found.place == str(tmp_path / "cache")


def test_the_files_are_plain_numpy_and_json(tmp_path: Path) -> None:
    write(example(), tmp_path / "cache")
    assert sorted(file.name for file in (tmp_path / "cache").iterdir()) == sorted(FILES)
    loaded = np.load(tmp_path / "cache" / "predictions.npy", allow_pickle=False)
    assert np.array_equal(loaded, example().probabilities)
    record = json.loads((tmp_path / "cache" / "predictions.json").read_text())
    assert record["models"] == ["a", "b"]
    assert record["origin"]["seeds"] == [3, None]


def test_writing_the_same_again_changes_nothing(tmp_path: Path) -> None:
    write(example(), tmp_path / "cache")
    before = (tmp_path / "cache" / "predictions.npy").stat().st_mtime_ns
    assert same(write(example(), tmp_path / "cache"), example())
    assert (tmp_path / "cache" / "predictions.npy").stat().st_mtime_ns == before


def test_other_predictions_are_not_written_over(tmp_path: Path) -> None:
    write(example(), tmp_path / "cache")
    with pytest.raises(UserError, match="cache: expected no folder or the same predictions"):
        write(replace(example(), split="train"), tmp_path / "cache")
    assert read(tmp_path / "cache").split == "tuning"


def test_numbers_that_are_no_probabilities_are_not_written(tmp_path: Path) -> None:
    bad = replace(example(), probabilities=example().probabilities * 2)
    with pytest.raises(UserError, match="model 'a': expected probabilities that sum to one"):
        write(bad, tmp_path / "cache")
    assert not list(tmp_path.iterdir())


def test_a_kill_while_writing_leaves_nothing_under_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(prediction_folder, "_to_disk", killed)
    with pytest.raises(KeyboardInterrupt):
        write(example(), tmp_path / "cache")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(prediction_folder, "_to_disk", full)
    with pytest.raises(UserError, match=r"cannot be written .*No space left"):
        write(example(), tmp_path / "cache")


def test_one_who_writes_the_same_first_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = prediction_folder._store

    def twice(*arguments: Any) -> None:
        store(*arguments)
        store(*arguments)

    monkeypatch.setattr(prediction_folder, "_store", twice)
    assert same(write(example(), tmp_path / "cache"), example())
    assert [one.name for one in tmp_path.iterdir()] == ["cache"]


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_named(tmp_path: Path, file: str) -> None:
    write(example(), tmp_path / "cache")
    (tmp_path / "cache" / file).unlink()
    with pytest.raises(UserError, match=f"cache/{file}: expected"):
        read(tmp_path / "cache")


@pytest.mark.parametrize("file", FILES)
def test_a_file_cut_anywhere_is_one_error(tmp_path: Path, file: str) -> None:
    write(example(), tmp_path / "cache")
    whole = (tmp_path / "cache" / file).read_bytes()
    for length in range(0, len(whole), 7):
        (tmp_path / "cache" / file).write_bytes(whole[:length])
        with pytest.raises(UserError, match=f"cache/{file}"):
            read(tmp_path / "cache")


@pytest.mark.parametrize("file", FILES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_one_error_or_the_same_predictions(
    written: Path, file: str, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = shutil.copytree(written, Path(name) / "cache")
        damaged = bytearray((folder / file).read_bytes())
        for _ in range(data.draw(st.integers(1, 3))):
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
        (folder / file).write_bytes(damaged)
        found = outcome(folder)
        assert str(folder) in found if isinstance(found, str) else same(found, example())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
KEYS = ("format", "sha256", "models", "classes", "split", "samples", "ids", "origin")
ORIGIN = ("seeds", "sources", "data", "code", "training_views")


@settings(max_examples=80, deadline=None)
@given(st.sampled_from([*KEYS, *(f"origin.{key}" for key in ORIGIN)]), JSON)
def test_any_value_in_the_description_is_refused_or_the_same(
    written: Path, key: str, value: Any
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = shutil.copytree(written, Path(name) / "cache")
        record = json.loads((folder / "predictions.json").read_text())
        place, _, inner = key.partition(".")
        if inner:
            record[place][inner] = value
        else:
            record[place] = value
        (folder / "predictions.json").write_text(json.dumps(record))
        found = outcome(folder)
        assert str(folder) in found if isinstance(found, str) else same(found, example())


def test_deeply_nested_json_is_one_error(tmp_path: Path) -> None:
    write(example(), tmp_path / "cache")
    (tmp_path / "cache" / "predictions.json").write_text("[" * 200_000)
    with pytest.raises(UserError, match=r"predictions\.json: expected the description"):
        read(tmp_path / "cache")


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.path,)


def pickled(path: Path, bomb: Bomb) -> None:
    path.write_bytes(pickle.dumps(bomb))


def object_array(path: Path, bomb: Bomb) -> None:
    with path.open("wb") as file:
        np.save(file, np.array([bomb], dtype=object), allow_pickle=True)


def archived(path: Path, bomb: Bomb) -> None:
    with path.open("wb") as file:
        np.savez(file, a=np.zeros(3))


@pytest.mark.parametrize("file", ["predictions.npy", "targets.npy"])
@pytest.mark.parametrize("damage", [pickled, object_array, archived])
def test_nothing_is_unpickled_or_unpacked(
    tmp_path: Path, file: str, damage: Callable[[Path, Bomb], None]
) -> None:
    write(example(), tmp_path / "cache")
    damage(tmp_path / "cache" / file, Bomb(tmp_path / "exploded"))
    with pytest.raises(UserError, match=f"cache/{file}: expected"):
        read(tmp_path / "cache")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("file", "array"),
    [
        ("predictions.npy", np.zeros((2, 4, 3))),
        ("predictions.npy", np.asfortranarray(np.zeros((2, 4, 3), np.float32))),
        ("predictions.npy", np.zeros((2, 4, 2), np.float32)),
        ("predictions.npy", np.zeros((3, 4, 3), np.float32)),
        ("predictions.npy", np.zeros((8, 3), np.float32)),
        ("predictions.npy", np.zeros((2, 0, 3), np.float32)),
        ("targets.npy", np.zeros(4, np.int32)),
        ("targets.npy", np.zeros(5, np.int64)),
        ("targets.npy", np.full(4, 3)),
    ],
)
def test_arrays_of_another_type_or_shape_are_refused_when_read(
    tmp_path: Path, file: str, array: np.ndarray[Any, Any]
) -> None:
    write(example(), tmp_path / "cache")
    np.save(tmp_path / "cache" / file, array)
    with pytest.raises(UserError, match=r"cache.*(delete the folder|np\.save)"):
        read(tmp_path / "cache")


def test_exchanged_numbers_are_found_on_demand(tmp_path: Path) -> None:
    write(example(), tmp_path / "cache")
    np.save(tmp_path / "cache" / "predictions.npy", example().probabilities[::-1])
    found = read(tmp_path / "cache")
    with pytest.raises(UserError, match="changed after they were written; predict again"):
        found.verify()
