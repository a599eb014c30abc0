"""The ledger: one JSON line an evaluation, on disk before the next ask, never rewritten."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Self, final

import msgspec

from stillhouse.core.errors import RunDirectoryError
from stillhouse.core.jsonlines import Appending, LinesFile, plain_object, split

FORMAT = 1
_SPARE_LINES: Final = 4_096
_CHANGES: Final = 8
_FIDELITY: Final = attrgetter("fidelity")

if TYPE_CHECKING:
    Genes = Mapping[str, Any]
else:
    # What dimensions have as values, for the decoder to hold strangers' files to.
    _Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
    _Gene = str | bool | _Whole | float | None
    Genes = Mapping[str, _Gene | list[_Gene | list[_Gene]]]


@final
class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One finished evaluation. `values` is empty when it failed, with the reason in `error`.

    `fidelity` is None, and absent from the file, where the run has only one. Read by the million,
    hence a struct that its own decoder makes: no dataclass, `with_known` makes changed copies.
    """

    number: int
    key: str
    configuration: Genes
    costs: Mapping[str, float]
    values: Mapping[str, float]
    seconds: float
    error: str = ""
    fidelity: float | None = None

    def with_known(
        self, costs: Mapping[str, float] | None = None, values: Mapping[str, float] | None = None
    ) -> Entry:
        """A copy that has these costs and values, too, or in place of its own."""
        both = {**self.costs, **(costs or {})}, {**self.values, **(values or {})}
        return msgspec.structs.replace(self, costs=both[0], values=both[1])


@final
class Ledger:
    """Append-only file of evaluations in the order they were proposed, numbered from 0.

    What ends before its turn waits in a second file beside it, whence it moves to the ledger when
    all before it are there. The first line of both names the format and the run's fingerprint. A
    torn last line (the process was killed while writing it) is cut off when the file is opened; a
    damaged line elsewhere, or another run's fingerprint, is a `RunDirectoryError`.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path = path
        self.entries: list[Entry] = []
        """The first of all proposals, as many as have ended one after the other."""
        self.ahead: dict[int, Entry] = {}
        """By number, what has ended while an earlier one has not."""
        self._header = {"format": FORMAT, "fingerprint": fingerprint}
        self._index: dict[float | None, dict[str, Entry]] = {}
        self._lines = Appending(_file(path, self._check))
        self._waiting: Appending | None = None
        self._stale = 0
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def kept(self, key: str, fidelity: float | None = None) -> Entry | None:
        """The evaluation of a candidate, whether its turn has come or not."""
        return self._index.get(fidelity, {}).get(key)

    def append(self, entry: Entry) -> None:
        """Write one evaluation through to the disk."""
        self.finish((entry,))

    def finish(self, entries: Sequence[Entry]) -> None:
        """Write evaluations that ended, in whatever order, through to the disk.

        Raises ValueError for a number that is there already, RunDirectoryError where the disk has
        no room: what is in `entries` and `ahead` then is on disk, the others are not.
        """
        early = {entry.number: entry for entry in entries}
        done = len(self.entries)
        if len(early) < len(entries) or any(n < done or n in self.ahead for n in early):
            raise ValueError(f"an evaluation is there already, among {sorted(early)}")
        due: list[Entry] = []
        while entry := early.pop(done, None) or self.ahead.get(done):
            due.append(entry)
            done += 1
        if due:
            self._lines.append(*map(_record, due))
            self._take(due)
        if early:
            self._wait(early)
        self._tidy()

    def close_gaps(self) -> None:
        """Number what waits in the order it has, right after the ledger's last.

        For a search that will not propose again what is missing between them.
        """
        last, early = len(self.entries), [self.ahead[number] for number in sorted(self.ahead)]
        due = [msgspec.structs.replace(one, number=last + i) for i, one in enumerate(early)]
        if due:
            self._lines.append(*map(_record, due))
            self.ahead.clear()
            self._take(due)
        self._tidy()

    def close(self) -> None:
        self._lines.close()
        if self._waiting is not None:
            self._waiting.close()
            if self._waiting.bare:
                _beside(self.path).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self, due: Sequence[Entry]) -> None:
        """What is in the ledger's file from now on."""
        self.entries += due
        self._note(due)
        for entry in due:
            self._stale += self.ahead.pop(entry.number, None) is not None

    def _wait(self, early: Mapping[int, Entry]) -> None:
        if self._waiting is None:
            self._waiting = Appending(_file(_beside(self.path), self._check))
        first = (self._header,) if self._waiting.bare else ()
        self._waiting.append(*first, *map(_record, early.values()))
        self.ahead.update(early)
        self._note(early.values())

    def _tidy(self) -> None:
        """Drop from the second file what the first one has, unless that is little to carry on."""
        if self._waiting is None or self._waiting.bare:
            return
        if not self.ahead:
            self._waiting.replace()
        elif self._stale > _SPARE_LINES + 3 * len(self.ahead):
            self._waiting.replace(self._header, *map(_record, self.ahead.values()))
        else:
            return
        self._stale = 0

    def _note(self, entries: Iterable[Entry]) -> None:
        for fidelity, some in groupby(entries, key=_FIDELITY):
            self._index.setdefault(fidelity, {}).update({entry.key: entry for entry in some})

    def _open(self) -> None:
        self.entries, self._lines.records = self._lines.records[1:], []
        if self._lines.bare:
            self._lines.append(self._header)
        for number, entry in enumerate(self.entries):
            if entry.number != number:
                fact = f"expected evaluation {number}, got {entry.number}"
                raise _file(self.path).damaged(number + 2, fact)
        self._note(self.entries)
        if _beside(self.path).exists():
            self._open_waiting()

    def _open_waiting(self) -> None:
        self._waiting = Appending(_file(_beside(self.path), self._check))
        found, self._waiting.records = self._waiting.records[1:], []
        early = {one.number: one for one in found if self.kept(one.key, one.fidelity) is None}
        self._stale = len(found) - len(early)
        self.ahead.update(early)
        self._note(early.values())
        self.finish(())

    def _check(self, header: Mapping[str, Any]) -> None:
        fingerprint = self._header["fingerprint"]
        if header.get("format") != FORMAT or header.get("fingerprint") != fingerprint:
            raise RunDirectoryError(
                f"{self.path}: expected the ledger of this run (fingerprint {fingerprint}), got "
                f"{header.get('fingerprint')}; the run file or the data changed since it was "
                "started: search into another directory with --out"
            )


def read_entries(path: Path) -> list[Entry]:
    """What a run's ledger holds, whatever its fingerprint; a torn last line is left out.

    What waits for its turn comes after what had it, in the order of its numbers. Writes nothing,
    so the run may be going on. Raises RunDirectoryError when the file is missing, damaged, or of
    another format.
    """
    # In this order: what leaves the second file while they are read is in the first one by then.
    early = _read_early(_beside(path))
    entries: list[Entry] = _file(path, _format_of(path)).read()[1:]
    if early:
        there = {(entry.key, entry.fidelity) for entry in entries}
        entries += [one for one in early if (one.key, one.fidelity) not in there]
    return entries


def _read_early(path: Path) -> list[Entry]:
    """What waits, and perhaps what did, by number; read again where it changes meanwhile."""
    for _ in range(_CHANGES):
        before = _state(path)
        try:
            found = _file(path, _format_of(path)).read()[1:] if before else []
        except RunDirectoryError:
            if _state(path) == before:
                raise
        else:
            return sorted(found, key=lambda entry: entry.number)
    raise _file(path).refusal("changes faster than it can be read")


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.stem}-ahead{path.suffix}")


def _format_of(path: Path) -> Callable[[Mapping[str, Any]], None]:
    def check(header: Mapping[str, Any]) -> None:
        if header.get("format") != FORMAT:
            fact = f"expected a ledger of format {FORMAT}, got {header.get('format')}"
            raise _file(path).refusal(fact)

    return check


def _file(path: Path, check: Callable[[Mapping[str, Any]], None] | None = None) -> LinesFile:
    """The first line is given to `check`, the others are entries."""

    def records(text: bytes, first: int) -> list[Any]:
        if first > 1:
            return _entries(text)
        end = text.index(b"\n") + 1
        header = plain_object(text[:end])
        if check is not None:
            check(header)
        return [header, *_entries(text[end:])]

    mend = "restore the file from a copy, or search into another directory with --out"
    return LinesFile(path, RunDirectoryError, mend, records)


_DECODE: Final = msgspec.json.Decoder(Entry).decode


def _entries(text: bytes) -> list[Entry]:
    """As strict as `plain_json`: no number is infinite or large, nothing is nested deeply."""
    try:
        return [_DECODE(line) for line in split(text)]
    except RecursionError:
        raise ValueError("nested too deep") from None


def _record(entry: Entry) -> dict[str, Any]:
    record = {name: getattr(entry, name) for name in entry.__struct_fields__}
    if entry.fidelity is None:
        del record["fidelity"]
    return record
