"""Artefacts on disk under the hash of all they depend on, made once, written atomically."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, final

import torch

from stillhouse.core.distill.parallel import Group
from stillhouse.core.evaluate.artefact_files import read, to_disk, write
from stillhouse.core.evaluate.artefact_locks import locked, locked_if_free
from stillhouse.core.evaluate.artefact_mirror import Mirror, open_mirror
from stillhouse.core.evaluate.artefact_waiting import Told
from stillhouse.core.evaluate.context import Progress, Silent
from stillhouse.core.evaluate.method import Artefact

Make = Callable[[], Artefact]


def fingerprint(*parts: Any) -> str:
    """32 hex digits that depend on the parts' canonical JSON alone."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@final
class ArtefactStore:
    """A folder of artefacts, each a sub-folder `label-key` with safetensors, JSON and its parts.

    An artefact is either there whole or not at all: it is written beside and renamed into place.
    Of several processes that want the same one makes it, and the others wait for it.

    With a `mirror`, a folder or an fsspec URL, an artefact that is not here is looked for there,
    and one that was made here is published there (`Mirror`). `scope` keeps apart in it what other
    code made.
    """

    def __init__(
        self,
        folder: Path,
        mirror: str | None = None,
        *,
        scope: str = "",
        progress: Progress | None = None,
    ) -> None:
        """Raises as `open_mirror`."""
        self.folder = folder
        self._mirror = open_mirror(mirror, scope) if mirror else None
        self._progress: Progress = progress or Silent()
        self._group, self._device = Group(), "cpu"
        self._open: dict[str, Artefact] = {}
        self._under_way: set[tuple[int, str]] = set()

    def joined(self, group: Group, device: str) -> ArtefactStore:
        """The same store for processes that make every artefact together, in the same order.

        The first of them looks and says whether all of them make it; it alone stores. `device` is
        where the group's messages may lie.
        """
        store = ArtefactStore(self.folder, progress=self._progress)
        store._mirror, store._group, store._device = self._mirror, group, device
        return store

    def memo(
        self,
        label: str,
        key: str,
        make: Make,
        checkpoints: Path | None = None,
        *,
        local: bool = False,
    ) -> Artefact:
        """The artefact stored under `label` and `key`; made, stored and returned if missing.

        `checkpoints` is the folder that making it used; nothing needs it once it is stored. What is
        `local` is not worth a look into the mirror: it stays in the folder.

        Raises:
            StoreError: the mirror cannot be used. What was made is in the folder all the same, and
                is published when it is asked for again.
            RunDirectoryError: the artefact is damaged, or the folder cannot be written.
        """
        name = f"{label}-{key}"
        if name not in self._open:
            with self._once(name):
                if self._group.size > 1:
                    self._settle_together(name, make, local)
                else:
                    self._settle(name, make, local)
            self._open[name] = read(self.folder / name)
            if checkpoints is not None:
                shutil.rmtree(checkpoints, ignore_errors=True)
        return self._open[name]

    @contextmanager
    def _once(self, name: str) -> Iterator[None]:
        """RuntimeError where making an artefact asks for that very artefact."""
        mine = (threading.get_ident(), name)
        if mine in self._under_way:
            raise RuntimeError(f"making {name} asked for {name} itself")
        self._under_way.add(mine)
        try:
            yield
        finally:
            self._under_way.discard(mine)

    def _settle(self, name: str, make: Make, local: bool) -> None:
        """Have the artefact in the folder, and in the mirror if it was made here."""
        lock, owed, fresh = self._lock(name), self._owed(name), not self.folder.exists()
        with Told(self._progress, name) as told:
            if not self._has(name):
                try:
                    with locked(lock, told):
                        if not self._has(name):
                            self._obtain(name, make, None if local else self._mirror, told)
                finally:
                    if fresh:
                        self._leave_no_empty_folder()
            elif lock.exists() or (self._mirror and owed.exists()):
                with locked_if_free(lock) as mine:
                    if mine and self._mirror and owed.exists():
                        with self._mirror.claimed(name, told):
                            self._publish(name, self._mirror)

    def _obtain(self, name: str, make: Make, mirror: Mirror | None, told: Told) -> None:
        if mirror is None:
            self._store(name, make())
            return
        if self._fetched(name, mirror):
            return
        with mirror.claimed(name, told):
            told.over()
            if self._fetched(name, mirror):
                return
            artefact = make()
            if not artefact.local:
                self._owed(name).touch()
            self._store(name, artefact)
            if not artefact.local:
                self._publish(name, mirror)

    def _settle_together(self, name: str, make: Make, local: bool) -> None:
        """The first looks, and says so; all make; all go on once the first has stored."""
        if not self._group.leads:
            if self._said(False):
                make()
            self._group.wait()
            return
        told: list[bool] = []

        def with_the_others() -> Artefact:
            told.append(self._said(True))
            return make()

        self._settle(name, with_the_others, local)
        if not told:
            self._said(False)
        self._group.wait()

    def _said(self, make: bool) -> bool:
        """What the first of the group says, whatever the others give."""
        word = torch.tensor([int(make)], device=self._device)
        self._group.share([word])
        return bool(word.item())

    def _has(self, name: str) -> bool:
        return (self.folder / name).is_dir()

    def _lock(self, name: str) -> Path:
        return self.folder / f".making-{name}"

    def _owed(self, name: str) -> Path:
        """Is there while an artefact that was made here has not come to the mirror."""
        return self.folder / f".owed-{name}"

    def _publish(self, name: str, mirror: Mirror) -> None:
        mirror.publish(name, self.folder / name)
        self._owed(name).unlink(missing_ok=True)

    def _fetched(self, name: str, mirror: Mirror) -> bool:
        with self._beside() as beside:
            found = mirror.fetched(name, beside)
            if found:
                self._into_place(beside, name)
        return found

    def _store(self, name: str, artefact: Artefact) -> None:
        with self._beside() as beside:
            write(beside, artefact)
            self._into_place(beside, name)

    @contextmanager
    def _beside(self) -> Iterator[Path]:
        """A folder of passing content."""
        self.folder.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=".writing-", dir=self.folder))
        try:
            yield beside
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def _into_place(self, beside: Path, name: str) -> None:
        beside.replace(self.folder / name)
        to_disk(self.folder)

    def _leave_no_empty_folder(self) -> None:
        # A run's folder without artefacts is one that has not begun.
        with suppress(OSError):
            self.folder.rmdir()
