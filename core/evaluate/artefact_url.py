"""Shared artefacts behind a URL: object stores and whatever else fsspec reaches."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, final

from stillhouse.core.errors import StillhouseError, UserError, nearest
from stillhouse.core.evaluate.artefact_lease import Leases
from stillhouse.core.evaluate.artefact_locks import Waiting
from stillhouse.core.evaluate.artefact_shelf import Shelf, unusable

_AT_ONCE: Final = 1 << 22
_SECRET: Final = re.compile(r"(://[^/:@]*):[^/@]*@")
_LEASE: Final = "lease.json"


@final
class UrlShelf(Shelf):
    """What fsspec opens; each file is placed by one call, whole where the place is an object store.

    One that makes something holds a lease (`Leases`).
    """

    def __init__(
        self,
        url: str,
        *,
        lease_s: float = 60.0,
        settle_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Raises UserError for a URL that fsspec cannot open, naming the package that it wants."""
        self.where = _SECRET.sub(r"\1:***@", url)
        self._url = url
        self._leases = Leases(self, lease_s, settle_s, clock, sleep)
        _check_protocol(url, self.where)

    def read(self, name: str, largest: int) -> bytes | None:
        with self._opened(name, "read") as (files, path):
            try:
                with files.open(path, "rb") as file:
                    return bytes(file.read(largest + 1))
            except FileNotFoundError:
                return None

    def size(self, name: str) -> int | None:
        with self._opened(name, "read") as (files, path):
            try:
                return int(files.info(path)["size"])
            except FileNotFoundError:
                return None

    def fetch(self, name: str, to: Path, largest: int) -> bool:
        with self._opened(name, "read") as (files, path):
            try:
                with files.open(path, "rb") as file, to.open("xb") as copy:
                    return _copied(file, copy, largest)
            except FileNotFoundError:
                return False

    def put(self, name: str, source: Path) -> None:
        with self._opened(name, "written") as (files, path):
            _placed(files, path, lambda: files.put_file(str(source), path))

    def write(self, name: str, content: bytes) -> None:
        with self._opened(name, "written") as (files, path):
            _placed(files, path, lambda: files.pipe_file(path, content))

    def remove(self, name: str) -> None:
        """Remove a file that is there."""
        with self._opened(name, "written") as (files, path):
            files.rm_file(path)

    def claimed(
        self, name: str, there: Callable[[], bool], waiting: Waiting
    ) -> AbstractContextManager[None]:
        return self._leases.held(f"{name}/{_LEASE}", there, waiting)

    @contextmanager
    def _opened(self, name: str, what: str) -> Iterator[tuple[Any, str]]:
        """The file system and the path in it; whatever goes wrong there is a StoreError.

        The file system is asked for each time: fsspec keeps one for each process and thread, and
        one from before a fork cannot be used.
        """
        from fsspec.core import url_to_fs

        try:
            yield url_to_fs(f"{self._url.rstrip('/')}/{name}", use_listings_cache=False)
        except StillhouseError:
            raise
        except Exception as error:
            raise unusable(self.where, what, error) from error


def _check_protocol(url: str, where: str) -> None:
    from fsspec.core import url_to_fs
    from fsspec.registry import available_protocols

    protocol = url.partition("://")[0]
    if "::" in url:
        raise UserError(f"execute.store: {where}: expected one URL, got several joined by '::'")
    if protocol not in available_protocols():
        hint = nearest(protocol, available_protocols())
        raise UserError(f"execute.store: {where}: fsspec knows no protocol '{protocol}'{hint}")
    try:
        url_to_fs(url)
    except ImportError as error:
        raise UserError(
            f"execute.store: {where} needs a package that is not installed here ({error}); install "
            "it on every machine that runs or works for the run"
        ) from error
    except Exception as error:
        raise unusable(where, "opened", error) from error


def _placed(files: Any, path: str, place: Callable[[], object]) -> None:
    """Place a file, in new folders if need be; a bucket, the first of them, is never made."""
    try:
        place()
    except FileNotFoundError:
        top = path[: path.find("/", 1)]
        if not files.exists(top):
            raise
        files.makedirs(files._parent(path), exist_ok=True)
        place()


def _copied(file: Any, copy: Any, largest: int) -> bool:
    done = 0
    while some := file.read(min(_AT_ONCE, largest + 1 - done)):
        copy.write(some)
        done += len(some)
        if done > largest:
            return False
    return True
