"""What workers print: appended to a file, never to the terminal, its end quoted in errors."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final, final

from stillhouse.core.execute.executor import ExecutionError

_MOST_BYTES: Final = 2000
_MOST_LINES: Final = 8


@final
class Words:
    """A file for the output of processes; one without a name where none is given."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.file = self._opened()
        self._from = 0
        self.mark()

    def mark(self) -> None:
        """From here on words are the last ones."""
        self._from = os.fstat(self.file).st_size

    def last(self) -> str:
        """The last lines since the mark, and where there is more."""
        size = os.fstat(self.file).st_size
        begin = max(self._from, size - _MOST_BYTES)
        text = os.pread(self.file, size - begin, begin).decode("utf-8", "replace")
        lines = text.strip().splitlines()[-_MOST_LINES:]
        more = f" (more in {self.path})" if self.path and lines else ""
        return "\n".join([f"its last words{more}:", *lines] if lines else ["it said nothing"])

    def close(self) -> None:
        os.close(self.file)

    def _opened(self) -> int:
        if self.path is None:
            with tempfile.TemporaryFile() as unnamed:
                return os.dup(unnamed.fileno())
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(self.path, flags, 0o666)
        except OSError as error:
            raise ExecutionError(
                f"{self.path}: expected a file for what workers print, got: {error.strerror}; "
                "make room for it, or remove what is in its place"
            ) from error
