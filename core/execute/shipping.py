"""Files for workers on other machines: once over the wire to each node, then read from its disk.

The driver lays a token beside its first file. Who reads it sees the driver's file system, and needs
nothing. The others are given the files in a folder named after their content, so that all workers
of a node, and every later search with the same files, share one copy and the memory of its pages.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, final

from stillhouse.core.execute.executor import ExecutionError
from stillhouse.core.home import home

CHUNK_BYTES: Final = 16_000_000
_DIGITS: Final = 32


@dataclass(frozen=True)
class Parcel:
    """A file on its way: its size, and the SHA-256 of its content in hexadecimal digits."""

    size_bytes: int
    digest: str


@final
class Token:
    """A small file beside the first of `files`, which says who sees the driver's file system."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = {name: path.resolve() for name, path in files.items()}
        self._path: Path | None = None
        self._secret = secrets.token_hex(16)
        if not files:
            return
        with suppress(OSError):  # a folder that cannot be written to: everything is brought
            handle, path = tempfile.mkstemp(
                prefix=".stillhouse-seen-", dir=next(iter(self._files.values())).parent
            )
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(self._secret)
            self._path = Path(path)

    def asked(self) -> str:
        """What a worker is asked; see `sees`."""
        sizes = {str(path): path.stat().st_size for path in self._files.values()}
        return json.dumps({"path": str(self._path), "secret": self._secret, "sizes": sizes})

    def close(self) -> None:
        """Remove it: workers that come later are brought their files."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def sees(asked: str) -> bool:
    """Whether this process sees the files of the driver that wrote the token."""
    wanted: dict[str, Any] = json.loads(asked)
    sizes: Mapping[str, int] = wanted["sizes"]
    try:
        if sizes and Path(wanted["path"]).read_text("ascii") != wanted["secret"]:
            return False
        return all(Path(path).stat().st_size == size for path, size in sizes.items())
    except (OSError, UnicodeDecodeError):
        return False


def chunks(path: Path) -> Iterator[bytes]:
    """A file's content in parts of at most `CHUNK_BYTES`."""
    with path.open("rb") as file:
        while part := file.read(CHUNK_BYTES):
            yield part


def parcel(path: Path) -> Parcel:
    """What there is to bring. Raises OSError."""
    digest = hashlib.sha256()
    for part in chunks(path):
        digest.update(part)
    return Parcel(path.stat().st_size, digest.hexdigest())


def store(
    parcels: Mapping[str, Parcel],
    content: Callable[[str], Iterable[Any]],
    root: Path | None = None,
) -> Path:
    """The folder of this node that holds the files under their names, written where it is missing.

    `content` gives the parts of a file, as buffers of bytes, by its name. One process writes and
    the others wait; the folder is seen whole or not at all. `root` is below `home()` without one.

    Raises:
        ExecutionError: what came is not what was sent, or a name leads out of the folder.
        OSError: the disk cannot be written.
    """
    root = home() / "workers" if root is None else root
    root.mkdir(parents=True, exist_ok=True)
    folder = root / _named(parcels)
    with _alone(root / f"{folder.name}.lock"):
        if not folder.is_dir():
            place = Path(tempfile.mkdtemp(prefix=".writing-", dir=root))
            try:
                for name, one in parcels.items():
                    _write(place / _safe(name), one, content(name))
                place.rename(folder)
            except BaseException:
                shutil.rmtree(place, ignore_errors=True)
                raise
    return folder


def _write(path: Path, expected: Parcel, parts: Iterable[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for part in parts:
            file.write(part)
            digest.update(part)
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != expected.digest:
        raise ExecutionError(
            f"{path.name}: expected the content that was sent (sha256 {expected.digest[:12]}), got "
            f"another (sha256 {digest.hexdigest()[:12]}); the file changed on its way, try again"
        )


def _safe(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ExecutionError(f"expected the name of a file inside a folder, got '{name}'")
    return path


def _named(parcels: Mapping[str, Parcel]) -> str:
    listed = json.dumps({name: asdict(one) for name, one in parcels.items()}, sort_keys=True)
    return hashlib.sha256(listed.encode()).hexdigest()[:_DIGITS]


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """While no other process of this machine is inside."""
    with lock.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
