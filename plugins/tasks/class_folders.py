"""One folder a class: the files of all of them, with their classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stillhouse.plugins.tasks.labels import Targets
from stillhouse.plugins.tasks.recordings import classes


@dataclass(frozen=True, eq=False)
class Labelled:
    """Files, the class of each, `targets` (files,), and the names of the classes."""

    files: list[Path]
    targets: Targets
    names: tuple[str, ...]

    def places(self, root: Path) -> list[str]:
        """Where each file lies under the root: the same on every system."""
        return [path.relative_to(root).as_posix() for path in self.files]


def class_folders(root: str, ignore: Sequence[str]) -> Labelled:
    """The recordings of a folder with one sub-folder a class; `DataError` as `classes` raises."""
    members = classes(Path(root), ignore)
    targets = np.repeat(np.arange(len(members)), [len(paths) for paths in members.values()])
    files = [path for paths in members.values() for path in paths]
    return Labelled(files, targets.astype(np.int64), tuple(members))
