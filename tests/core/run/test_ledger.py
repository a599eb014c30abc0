"""The ledger keeps every finished evaluation, whatever happens to the process."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.core.errors import RunDirectoryError
from stillhouse.core.run.ledger import Entry, Ledger, read_entries


def entry(number: int) -> Entry:
    return Entry(number, f"k{number}", {"a": number}, {"macs": 1.0}, {"accuracy": 0.5}, 0.1)


def written(path: Path, count: int) -> Path:
    ledger = Ledger(path, "f")
    for i in range(count):
        ledger.append(entry(i))
    ledger.close()
    return path


def test_entries_come_back_in_order(tmp_path: Path) -> None:
    path = written(tmp_path / "ledger.jsonl", 3)
    with Ledger(path, "f") as ledger:
        assert ledger.entries == [entry(0), entry(1), entry(2)]


def test_a_torn_line_at_any_byte_loses_only_itself(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole.jsonl", 2).read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for cut in range(last, len(whole)):
        path = tmp_path / "torn.jsonl"
        path.write_bytes(whole[:cut])
        ledger = Ledger(path, "f")
        assert ledger.entries == [entry(0)]
        ledger.append(entry(1))
        ledger.close()
        assert path.read_bytes() == whole


def test_a_torn_header_starts_the_ledger_again(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b'{"format"')
    Ledger(path, "f").close()
    with Ledger(path, "f") as ledger:
        assert ledger.entries == []


def test_another_runs_ledger_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "ledger.jsonl", 1)
    with pytest.raises(RunDirectoryError, match="fingerprint"):
        Ledger(path, "other")


@pytest.mark.parametrize(
    "line",
    [
        b"{]",
        b"[]",
        b'{"number": 1}',
        b'{"number": 0, "key": "k", "configuration": {}, "costs": {}, "values": 0, "seconds": 1}',
        b"\xff\xfe",
    ],
)
def test_a_damaged_line_in_the_middle_is_named_by_its_number(tmp_path: Path, line: bytes) -> None:
    path = written(tmp_path / "ledger.jsonl", 2)
    lines = path.read_bytes().splitlines()
    lines[1] = line
    path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(RunDirectoryError, match=r"ledger\.jsonl:2: damaged line"):
        Ledger(path, "f")


def test_a_line_of_another_number_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "ledger.jsonl", 3)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], *lines[3:]]))
    with pytest.raises(RunDirectoryError, match=r"jsonl:3: .*expected evaluation 1, got 2"):
        Ledger(path, "f")


@pytest.mark.parametrize("value", [b"1e999", b"NaN", b"9" * 30, b"[" * 200 + b"]" * 200, b'"\xff"'])
def test_a_value_that_no_line_of_ours_has_is_damage(tmp_path: Path, value: bytes) -> None:
    path = written(tmp_path / "ledger.jsonl", 2)
    path.write_bytes(path.read_bytes().replace(b'{"a": 1}', b'{"a": ' + value + b"}"))
    with pytest.raises(RunDirectoryError, match=r"ledger\.jsonl:3: damaged line"):
        read_entries(path)


def test_what_ends_early_waits_beside_the_ledger_for_its_turn(tmp_path: Path) -> None:
    path, beside = tmp_path / "ledger.jsonl", tmp_path / "ledger-ahead.jsonl"
    with Ledger(path, "f") as ledger:
        ledger.finish([entry(3), entry(0)])
        ledger.finish([entry(2)])
        assert ledger.entries == [entry(0)]
        assert ledger.ahead == {3: entry(3), 2: entry(2)}
        assert ledger.kept("k3") == entry(3)
        assert ledger.kept("k1") is None
        assert ledger.kept("k3", 0.5) is None
        assert read_entries(path) == [entry(0), entry(2), entry(3)]
        ledger.finish([entry(1)])
        assert ledger.entries == [entry(i) for i in range(4)]
        assert ledger.ahead == {}
        assert beside.read_bytes() == b""
        with pytest.raises(ValueError, match="there already"):
            ledger.finish([entry(1)])
    assert not beside.exists()
    assert path.read_bytes() == written(tmp_path / "ordered.jsonl", 4).read_bytes()


def test_an_evaluation_waits_through_the_end_of_the_process(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path, "f") as ledger:
        ledger.finish([entry(0), entry(2)])
    with pytest.raises(RunDirectoryError, match="fingerprint"):
        Ledger(path, "other")
    with Ledger(path, "f") as ledger:
        assert ledger.ahead == {2: entry(2)}
        ledger.append(entry(1))
        assert ledger.entries == [entry(0), entry(1), entry(2)]


def test_what_waits_for_nobody_takes_the_next_numbers(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path, "f") as ledger:
        ledger.finish([entry(5), entry(0), entry(3)])
        waiting = (tmp_path / "ledger-ahead.jsonl").read_bytes()
        ledger.close_gaps()
        assert [(one.number, one.key) for one in ledger.entries] == [
            (0, "k0"),
            (1, "k3"),
            (2, "k5"),
        ]
    (tmp_path / "ledger-ahead.jsonl").write_bytes(waiting)  # killed before it was emptied
    assert [one.key for one in read_entries(path)] == ["k0", "k3", "k5"]
    with Ledger(path, "f") as ledger:
        assert (len(ledger.entries), ledger.ahead) == (3, {})


def test_what_has_had_its_turn_does_not_pile_up(tmp_path: Path) -> None:
    beside, size_bytes = tmp_path / "ledger-ahead.jsonl", 0
    with Ledger(tmp_path / "ledger.jsonl", "f") as ledger:
        ledger.finish([entry(i) for i in range(1, 2_000)])
        for start in range(2_000, 20_000, 2_000):  # something waits all the time
            ledger.finish([entry(i) for i in range(start + 1, start + 2_000)])
            ledger.finish([entry(start - 2_000)])
            size_bytes = max(size_bytes, beside.stat().st_size)
        assert len(ledger.entries) == 18_000
    assert size_bytes < 150 * 13_000
    with Ledger(tmp_path / "ledger.jsonl", "f") as ledger:
        assert sorted(ledger.ahead) == list(range(18_001, 20_000))


def states(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.jsonl")}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_nothing_is_lost_or_repeated_wherever_the_process_is_killed(data: st.DataObject) -> None:
    """The files are put back as they were after any write, the last one torn at any byte."""
    count = data.draw(st.integers(1, 12), label="count")
    order = data.draw(st.permutations(range(count)), label="order")
    with TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "ledger.jsonl"
        durable: set[int] = set()
        while len(durable) < count:
            left = [number for number in order if number not in durable]
            size = data.draw(st.integers(1, len(left)), label="together")
            with Ledger(path, "f") as ledger:
                before = states(folder)
                assert {one.number for one in ledger.entries} | set(ledger.ahead) == durable
                ledger.finish([entry(number) for number in left[:size]])
                after = states(folder)
            durable |= set(left[:size])
            if data.draw(st.booleans(), label="killed"):
                durable = killed(folder, before, after, data)
        with Ledger(path, "f") as ledger:
            assert ledger.entries == [entry(number) for number in range(count)]
            assert ledger.ahead == {}


def killed(
    folder: Path, before: dict[str, bytes], after: dict[str, bytes], data: st.DataObject
) -> set[int]:
    """Files as they were amid a write: the ledger's is written first, then the other's."""
    first, second = "ledger.jsonl", "ledger-ahead.jsonl"
    found = dict(before)
    cut = data.draw(st.integers(len(before[first]), len(after[first])), label="cut")
    found[first] = after[first][:cut]
    if cut == len(after[first]) and second in after:
        start = len(before.get(second, b""))
        if len(after[second]) >= start:
            end = data.draw(st.integers(start, len(after[second])), label="cut beside")
            found[second] = after[second][:end]
    for path in folder.glob("*.jsonl"):
        path.unlink()
    for name, text in found.items():
        (folder / name).write_bytes(text)
    return {one.number for one in read_entries(folder / first)}


@contextmanager
def room_for(size_bytes: int) -> Iterator[None]:
    """No file may grow beyond this."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("early", [False, True])
def test_a_full_disk_takes_no_part_of_a_line_and_loses_none(tmp_path: Path, early: bool) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path, "f") as ledger:
        ledger.finish([entry(0), entry(2)])
        before = states(tmp_path)
        full = max(len(text) for text in before.values()) + 10
        with room_for(full), pytest.raises(RunDirectoryError, match=r"make room .* then resume"):
            ledger.finish([entry(4 if early else 1)])
        assert states(tmp_path) == before
        assert (ledger.entries, ledger.ahead) == ([entry(0)], {2: entry(2)})
        ledger.finish([entry(1)])
    assert read_entries(path) == [entry(0), entry(1), entry(2)]
