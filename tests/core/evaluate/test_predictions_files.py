"""The user's prediction files become predictions, or one error that names the file."""

from __future__ import annotations

import hashlib
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.core.errors import UserError
from stillhouse.core.evaluate.prediction_files import read_files
from stillhouse.core.evaluate.predictions import Predictions

Array = np.ndarray[Any, Any]
ROWS = np.array([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125], [0.0, 0.0, 1.0], [0.25, 0.5, 0.25]])
OTHER = ROWS[::-1].copy()
TARGETS = np.array([0, 1, 2, 1])


def npy(path: Path, rows: Array = ROWS) -> Path:
    np.save(path, rows)
    return path


def npz(path: Path, **arrays: Array) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def table(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def alone(path: Path, **settings: Any) -> Predictions:
    return read_files({"a": path}, "tuning", **{"targets": TARGETS, **settings})


def outcome(path: Path) -> Predictions | str:
    try:
        return alone(path)
    except UserError as error:
        return str(error)


def test_every_kind_of_file_gives_the_same_probabilities(tmp_path: Path) -> None:
    text = "x,y,z\n" + "\n".join(",".join(map(str, row)) for row in ROWS.tolist()) + "\n"
    names = np.array(["x", "y", "z"])
    with np.errstate(divide="ignore"):
        logits = np.log(np.maximum(ROWS, 1e-300)) + 7
    files = {
        "array": npy(tmp_path / "a.npy"),
        "floats": npy(tmp_path / "f.npy", ROWS.astype(np.float16)),
        "fortran": npy(tmp_path / "o.npy", np.asfortranarray(ROWS)),
        "big endian": npy(tmp_path / "e.npy", ROWS.astype(">f4")),
        "archive": npz(tmp_path / "b.npz", probabilities=ROWS, classes=names, targets=TARGETS),
        "logits": npz(tmp_path / "c.npz", logits=logits),
        "table": table(tmp_path / "d.csv", text),
    }
    found = read_files(files, "tuning", ids=("p", "q", "r", "s"), training_views=False)
    assert found.models == tuple(files)
    assert found.classes == ("x", "y", "z")
    assert found.ids == ("p", "q", "r", "s")
    assert found.targets.tolist() == TARGETS.tolist()
    assert found.origin.training_views is False
    for name, rows in zip(files, found.probabilities, strict=True):
        if name == "logits":
            np.testing.assert_allclose(rows, ROWS, rtol=1e-7, atol=1e-30)
        else:
            assert np.array_equal(rows, ROWS), name
    assert found.origin.sources[0] == hashlib.sha256((tmp_path / "a.npy").read_bytes()).hexdigest()
    found.verify()


def test_files_without_names_have_numbered_classes(tmp_path: Path) -> None:
    assert alone(npy(tmp_path / "a.npy")).classes == ("0", "1", "2")
    assert alone(npy(tmp_path / "a.npy"), classes=("x", "y", "z")).classes == ("x", "y", "z")


def test_rows_are_divided_by_their_sum(tmp_path: Path) -> None:
    found = alone(npy(tmp_path / "a.npy", ROWS * (1 + 9e-4)))
    assert np.array_equal(found.probabilities[0], ROWS.astype(np.float32))


def test_logits_of_any_size_are_softened_without_overflow(tmp_path: Path) -> None:
    logits = np.array([[1e308, -1e308, 0], [-1e308, 1e308, 1e308], [0, 0, 0], [1, 2, 3]])
    found = alone(npz(tmp_path / "a.npz", logits=logits)).probabilities[0]
    assert found[:2].tolist() == [[1, 0, 0], [0, 0.5, 0.5]]
    assert found[2].tolist() == [np.float32(1 / 3)] * 3


@settings(max_examples=40, deadline=None)
@given(st.permutations(["x", "y", "z"]), st.permutations(["x", "y", "z"]))
def test_named_columns_and_targets_are_moved_to_one_order(one: list[str], two: list[str]) -> None:
    known = ("x", "y", "z")

    def shuffled(path: Path, names: list[str]) -> Path:
        columns = [known.index(name) for name in names]
        targets = np.array([names.index(known[place]) for place in TARGETS])
        return npz(path, probabilities=ROWS[:, columns], classes=np.array(names), targets=targets)

    with tempfile.TemporaryDirectory() as folder:
        files = {
            "a": shuffled(Path(folder) / "a.npz", one),
            "b": shuffled(Path(folder) / "b.npz", two),
        }
        found = read_files(files, "tuning", classes=known)
        assert found.classes == known
        assert np.array_equal(found.probabilities, np.stack([ROWS, ROWS]).astype(np.float32))
        assert np.array_equal(found.targets, TARGETS)
        first = read_files(files, "tuning")
        assert first.classes == tuple(one)
        assert first.probabilities[0].tobytes() == first.probabilities[1].tobytes()
        assert [first.classes[place] for place in first.targets] == [known[t] for t in TARGETS]


def test_a_file_without_names_is_refused_beside_another_order(tmp_path: Path) -> None:
    moved = npz(tmp_path / "b.npz", probabilities=OTHER, classes=np.array(["z", "y", "x"]))
    files = {"a": npy(tmp_path / "a.npy"), "b": moved}
    with pytest.raises(UserError, match=r"a\.npy: expected the names of its classes, .*b\.npz has"):
        read_files(files, "tuning", classes=("x", "y", "z"), targets=TARGETS)
    found = read_files(files, "tuning", classes=("z", "y", "x"), targets=TARGETS)
    assert np.array_equal(found.probabilities[1], OTHER)


def test_other_classes_are_refused_with_the_difference(tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz", probabilities=ROWS, classes=np.array(["x", "y", "w"]))
    with pytest.raises(UserError, match=r"a\.npz: expected the classes x, y, z, got w instead of"):
        alone(path, classes=("x", "y", "z"))


def changed(sample: int, place: int, value: float) -> Array:
    rows = ROWS.copy()
    rows[sample, place] = value
    return rows


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (changed(2, 1, np.nan), "expected finite numbers, got nan in sample 2, class 1"),
        (changed(1, 0, -np.inf), "expected finite numbers, got -inf in sample 1, class 0"),
        (np.array([[2139095041] * 3], np.uint32).view(np.float32), "got nan in sample 0"),
        (changed(3, 2, -0.25), "expected at least 0, got -0.25 in sample 3, class 2"),
        (changed(3, 2, 0.75), "sum to one, got 1.5 in sample 3; give the softmax"),
        (ROWS * 100, "sum to one, got 100 in sample 0"),
        (np.full((4, 3), 1e308), "sum to one, got inf in sample 0"),
        (ROWS[0], r"expected \(samples, classes\) .* got shape \(3,\)"),
        (ROWS[None], r"expected \(samples, classes\) .* got shape \(1, 4, 3\)"),
        (ROWS[:, :1], "at least one sample and two classes"),
        (np.zeros((0, 3)), r"a\.npy"),
        ((ROWS > 0.4).astype(int), "expected numbers of type float16, .* got int64"),
        (ROWS > 0.4, "got bool"),
        (ROWS.astype(complex), "got complex128"),
        (ROWS.astype(str), "got <U"),
        (np.zeros((4, 3), [("p", "f4")]), "expected numbers of type"),
    ],
)
def test_numbers_that_are_no_probabilities_are_refused(
    tmp_path: Path, rows: Array, message: str
) -> None:
    with pytest.raises(UserError, match=message) as raised:
        alone(npy(tmp_path / "a.npy", rows))
    assert "a.npy" in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"a\.csv:1: expected a header of class names, .* got nothing"),
        ("0.5,0.5\n0.1,0.9\n", r"a\.csv:1: expected a header of class names.*got 0\.5, 0\.5"),
        ("0.4,0.6\n0.1,0.9\n", r"a\.csv:1: expected a header of class names.*got 0\.4, 0\.6"),
        ("x,x\n0.1,0.9\n", "each once, got x, x"),
        ("x,\n0.1,0.9\n", "expected a header of class names"),
        ("x,y\n", "at least one sample"),
        ("x,y\n0.5,0.5\n\n0.5\n", r"a\.csv:4: expected 2 probabilities, .* got 1 cells"),
        ("x,y\n0.5,half\n", r"a\.csv:2: expected a number, got 'half'"),
        ("x,y\n0.5,nan\n", "expected finite numbers, got nan in sample 0, class 1"),
        ('x,y\n"0.5,0.5\n', r"a\.csv: expected a table"),
        ("x;y\n0.5;0.5\n", "two classes|expected"),
    ],
)
def test_a_faulty_table_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        alone(table(tmp_path / "a.csv", text), targets=np.array([0]))


def test_a_table_may_name_its_classes_by_numbers(tmp_path: Path) -> None:
    found = alone(table(tmp_path / "a.csv", "\ufeff1, 0\n0.25, 0.75\n"), targets=np.array([0]))
    assert found.classes == ("1", "0")
    assert found.probabilities.tolist() == [[[0.25, 0.75]]]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"p": ROWS}, "expected one of the arrays 'probabilities' and 'logits', got none"),
        ({"probabilities": ROWS, "logits": ROWS}, "got logits, probabilities"),
        ({"probabilities": ROWS, "classes": np.array(["x", "y"])}, "each of 3 classes, got 2"),
        ({"probabilities": ROWS, "classes": np.array(["x", "y", "x"])}, "names, each once"),
        ({"probabilities": ROWS, "classes": np.array([0.0, 1.0, 2.0])}, "names, each once"),
        ({"probabilities": ROWS, "targets": np.array([0, 1, 2])}, "expected 4 targets"),
        ({"probabilities": ROWS, "targets": np.array([0, 1, 2, 3])}, "got 3 in sample 3"),
        ({"probabilities": ROWS, "targets": np.zeros(4)}, "whole numbers, one a sample"),
        ({"logits": changed(1, 1, np.inf)}, "finite numbers, got inf in sample 1, class 1"),
        ({"probabilities": ROWS, "targets": np.array([0, 1, 0, 1])}, "in sample 2"),
    ],
)
def test_a_faulty_archive_is_refused_by_name(
    tmp_path: Path, arrays: dict[str, Array], message: str
) -> None:
    with pytest.raises(UserError, match=message) as raised:
        alone(npz(tmp_path / "a.npz", **arrays))
    assert "a.npz" in str(raised.value)


def test_targets_must_come_from_somewhere_and_agree(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected the samples' targets .* got none"):
        alone(npy(tmp_path / "a.npy"), targets=None)
    files = {
        "a": npz(tmp_path / "a.npz", probabilities=ROWS, targets=TARGETS),
        "b": npz(tmp_path / "b.npz", probabilities=ROWS, targets=TARGETS[::-1]),
    }
    with pytest.raises(UserError, match=r"b\.npz: expected the targets of .*a\.npz, got 1 rather"):
        read_files(files, "tuning")


def test_other_numbers_of_samples_or_classes_are_refused(tmp_path: Path) -> None:
    files = {"a": npy(tmp_path / "a.npy"), "b": npy(tmp_path / "b.npy", ROWS[:3])}
    with pytest.raises(UserError, match=r"b\.npy: expected 4 samples, as in .*a\.npy, got 3"):
        read_files(files, "tuning", targets=TARGETS)
    npy(tmp_path / "b.npy", np.full((4, 2), 0.5))
    with pytest.raises(UserError, match=r"b\.npy: expected 3 classes \(0, 1, 2\), got 2"):
        read_files(files, "tuning", targets=TARGETS)


def test_a_file_that_is_not_there_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.npy: expected a prediction file, found no file"):
        alone(tmp_path / "a.npy")
    with pytest.raises(UserError, match=r"a\.pkl: expected a prediction file .npy, .npz or .csv"):
        alone(tmp_path / "a.pkl")
    with pytest.raises(UserError, match="expected at least one, got none"):
        read_files({}, "tuning")


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.path,)


def test_pickles_are_refused_and_never_run(tmp_path: Path) -> None:
    bomb = Bomb(tmp_path / "exploded")
    objects = np.array([[bomb, bomb]], dtype=object)
    (tmp_path / "plain.npy").write_bytes(pickle.dumps(bomb))
    (tmp_path / "plain.npz").write_bytes(pickle.dumps(bomb))
    np.save(tmp_path / "objects.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "objects.npz", probabilities=objects)
    for name in ("plain.npy", "plain.npz", "objects.npy", "objects.npz"):
        with pytest.raises(UserError, match=f"{name}: expected a whole .np. file of plain"):
            alone(tmp_path / name)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv"])
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_any_damage_is_one_error_that_names_the_file(suffix: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"given{suffix}"
        if suffix == ".csv":
            table(path, "x,y,z\n0.5,0.25,0.25\n0,1,0\n0,0,1\n1,0,0\n")
        elif suffix == ".npy":
            npy(path)
        else:
            npz(path, probabilities=ROWS, classes=np.array(["x", "y", "z"]), targets=TARGETS)
        whole = bytearray(path.read_bytes())
        if data.draw(st.booleans()):
            whole = whole[: data.draw(st.integers(0, len(whole) - 1))]
        else:
            for _ in range(data.draw(st.integers(1, 4))):
                whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(whole)
        found = outcome(path)
        if isinstance(found, str):
            assert str(path) in found or found.startswith("targets: ")
        else:
            found.verify()
