"""What a worker on another machine is brought: the run file, its artefacts, the files it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from stillhouse.core.config.records import Plugins, PluginUse
from stillhouse.core.config.runfile import RunFile
from stillhouse.core.plugin.params import declared
from stillhouse.core.run.directory import RUN_FILE
from stillhouse.core.run.opened import Opened

_INPUTS: Final = "inputs"
_KINDS: Final = ("path", "paths")


def brought_files(opened: Opened) -> dict[str, Path]:
    """Files by the names that they have in the folder which a worker is brought.

    Files inside lists of models are not among them: these must lie at the same place everywhere.
    """
    directory, code = opened.directory, opened.catalogue.file
    files = {RUN_FILE: directory.run_file}
    if code is not None:
        files[code.name] = directory.folder / code.name
    for path in _files_in(directory.artefacts):
        files[f"artefacts/{path.relative_to(directory.artefacts)}"] = path
    for original, name in inputs(opened.plan.run, opened.catalogue).items():
        place = Path(original)
        for path in _files_in(place) if place.is_dir() else [place]:
            files[str(Path(name) / path.relative_to(place)) if place.is_dir() else name] = path
    return files


def inputs(run: RunFile, catalogue: Plugins) -> dict[str, str]:
    """What the run file names that is there, files and folders, and its name when brought."""
    named = [path for use in _uses(run) for path in _paths(use, catalogue)]
    there = [path for path in dict.fromkeys(named) if Path(path).exists()]
    return {path: f"{_INPUTS}/{i}/{Path(path).name}" for i, path in enumerate(there)}


def relocated(run: RunFile, folder: Path, moved: Mapping[str, str], catalogue: Plugins) -> RunFile:
    """The run file with what was brought at its place in the folder."""

    def here(use: PluginUse) -> PluginUse:
        fixed = {**use.fixed}
        for name in _path_names(use, catalogue):
            fixed[name] = _moved(fixed[name], folder, moved)
        return replace(use, fixed=fixed)

    return replace(
        run,
        task=here(run.task),
        teacher=replace(run.teacher, model=here(run.teacher.model)),
        student=here(run.student),
        recipe=tuple(here(use) for use in run.recipe),
    )


def _moved(value: Any, folder: Path, moved: Mapping[str, str]) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(_moved(one, folder, moved) for one in value)
    return str(folder / moved[value]) if value in moved else value


def _uses(run: RunFile) -> tuple[PluginUse, ...]:
    return (run.task, run.teacher.model, run.student, *run.recipe)


def _path_names(use: PluginUse, catalogue: Plugins) -> list[str]:
    params = declared(catalogue.record(use.kind, use.name).params)
    return [p.name for p in params if p.kind in _KINDS and use.fixed.get(p.name)]


def _paths(use: PluginUse, catalogue: Plugins) -> Iterator[str]:
    for name in _path_names(use, catalogue):
        value = use.fixed[name]
        yield from (value if isinstance(value, (list, tuple)) else [value])


def _files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
