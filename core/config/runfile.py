"""A run file: read, checked against the installed plugins' declarations, and written again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from stillhouse.core.config.document import parse_document, read_text
from stillhouse.core.config.nodes import Node, Spot, Table, located, shown
from stillhouse.core.config.overrides import apply_overrides
from stillhouse.core.config.records import (
    Plugins,
    PluginUse,
    SearchSection,
    TargetSection,
    TeacherSection,
)
from stillhouse.core.config.sections import (
    name_from,
    plugin_file,
    read_execute,
    read_flag,
    read_name,
    read_plugins,
    read_search,
    read_student,
    read_target,
    read_teacher,
    read_train,
    settled,
)
from stillhouse.core.config.settings import ExecuteSection, TrainSection
from stillhouse.core.config.sweep import SweepSection, read_sweep
from stillhouse.core.config.swept import refuse_unfit
from stillhouse.core.config.uses import read_recipe, read_use
from stillhouse.core.config.values import Setting
from stillhouse.core.config.written import written
from stillhouse.core.errors import ConfigError
from stillhouse.core.plugin.metrics import Metric
from stillhouse.core.plugin.records import TaskInfo

if TYPE_CHECKING:
    from stillhouse.core.plugin.catalogue import Catalogue

INLINE: Final = ExecuteSection(kind="inline")
KEYS: Final = (
    "name", "plugins", "task", "teacher", "student", "recipe", "search", "target", "baselines",
    "train", "execute", "sweep",
)  # fmt: skip
KEY_OF_PLUGINS: Final = "plugins"
REQUIRED: Final[Mapping[str, str]] = {
    "task": "what the model is for: the name of a task, or NAME: {...}",
    "teacher": "the model to learn from: {model: NAME, ...}",
    "recipe": "the methods to apply, in order: a list",
    "search": "objectives and limits: {maximize: METRIC, limits: {...}}",
    "target": "where the model will run: {runtime: NAME, ...}",
}
_MOST_LINES: Final = 5
_T = TypeVar("_T")


@dataclass(frozen=True)
class RunFile:
    """A whole run file, every default filled in and every path absolute.

    `student` is the full network that the recipe starts from, by default one of the teacher's
    shape that sees what the teacher sees; `student_channels` are the channels that it sees, () for
    all. `plugins` is the name of a file of plugins beside it, "" for none. `sweep` says what varies
    when the file is swept over; a search leaves it alone. `source` is the file it
    came from; two run files that say the same are equal wherever they were written.
    """

    name: str
    task: PluginUse
    teacher: TeacherSection
    student: PluginUse
    recipe: tuple[PluginUse, ...]
    search: SearchSection
    target: TargetSection
    baselines: bool
    train: TrainSection
    execute: ExecuteSection = INLINE
    student_channels: tuple[int, ...] = ()
    plugins: str = ""
    sweep: SweepSection | None = None
    source: str = field(default="", compare=False)

    def to_yaml(self) -> str:
        """The resolved run file as YAML; parsing it gives an equal `RunFile`."""
        return written(self)


def load(
    path: Path | str, catalogue: Plugins, sets: Sequence[str] = (), limits: Sequence[str] = ()
) -> RunFile:
    """Read a run file, with `--set key.path=value` and `--limit "NAME <= BOUND"` overrides.

    Raises ConfigError when the file cannot be read, or as `parse` does.
    """
    return parse(read_text(Path(path)), str(path), catalogue, sets, limits)


def load_with_plugins(
    path: Path | str, catalogue: Catalogue, sets: Sequence[str] = (), limits: Sequence[str] = ()
) -> tuple[RunFile, Catalogue]:
    """The same for a run file that a user gives to be run: the file of plugins it names is run.

    Returns the catalogue with what that file supplies. Raises as `load` and `Catalogue.beside`.
    """
    root = _tree(read_text(Path(path)), str(path), sets, limits)
    if isinstance(root, Table) and KEY_OF_PLUGINS in root.entries:
        named = Spot(root).under(KEY_OF_PLUGINS, root.entries[KEY_OF_PLUGINS])
        catalogue = catalogue.beside(Path(path).parent / plugin_file(named))
    return _read(root, str(path), catalogue), catalogue


def parse(
    text: str,
    source: str,
    catalogue: Plugins,
    overrides: Sequence[str] = (),
    limits: Sequence[str] = (),
) -> RunFile:
    """A validated run file from its text. Relative paths start at the folder of `source`.

    Raises ConfigError with file, line, column and key path for the first problem found; unknown
    keys are reported together, up to five of them. A plugin that fails to describe itself raises
    PluginError. No code of a file that `plugins` names is run: the catalogue has it, or it is an
    error.
    """
    return _read(_tree(text, source, overrides, limits), source, catalogue)


def _tree(text: str, source: str, overrides: Sequence[str], limits: Sequence[str]) -> Node:
    root = parse_document(text, source)
    if not isinstance(root, Table):
        fact = f"expected keys such as task: and recipe:, got {shown(root)}"
        raise ConfigError(located(root.mark, "", fact))
    return apply_overrides(root, overrides, limits)


def _read(root: Node, source: str, catalogue: Plugins) -> RunFile:
    spot = Spot(root)
    setting = Setting(catalogue, Path(source).parent.absolute())
    try:
        run = _sections(spot, source, setting)
    except ConfigError:
        # A misspelt key is the likely cause of whatever is missing later.
        if not spot.unknown:
            raise
    if spot.unknown:
        rest = len(spot.unknown) - _MOST_LINES
        lines = [*spot.unknown[:_MOST_LINES], *([f"and {rest} more unknown keys"] * (rest > 0))]
        raise ConfigError("\n".join(lines))
    if run.sweep is not None and isinstance(root, Table):
        refuse_unfit(root, run.sweep, lambda one: _read(one, source, catalogue))
    return run


def _sections(spot: Spot, source: str, setting: Setting) -> RunFile:
    given = spot.entries(KEYS)
    for key, expected in REQUIRED.items():
        if key not in given:
            raise spot.under(key, spot.node).error(f"missing; expected {expected}")

    def optional(key: str, read: Callable[[Spot], _T], default: _T) -> _T:
        return read(given[key]) if key in given else default

    # First: without the file, every name of its own is unknown.
    plugins = optional(KEY_OF_PLUGINS, lambda spot: read_plugins(spot, setting), "")
    task = read_use(given["task"], "task", setting)
    teacher = read_teacher(given["teacher"], setting)
    same = (teacher.model, teacher.training.channels)
    student, channels = optional("student", lambda spot: read_student(spot, setting), same)
    execute = optional("execute", lambda spot: read_execute(spot, setting), INLINE)
    metrics = _metrics(task, setting.plugins)
    sweep: SweepSection | None = None
    if "sweep" in given:
        sweep = read_sweep(given["sweep"], setting, metrics, spot.node)
    return RunFile(
        name=optional("name", read_name, name_from(Path(source).stem)),
        task=task,
        teacher=teacher,
        student=student,
        recipe=read_recipe(given["recipe"], setting),
        search=settled(read_search(given["search"], setting, metrics), execute),
        target=read_target(given["target"], setting),
        baselines=optional("baselines", read_flag, True),
        train=optional("train", lambda train: read_train(train, setting), TrainSection()),
        execute=execute,
        student_channels=channels,
        plugins=plugins,
        sweep=sweep,
        source=source,
    )


def _metrics(task: PluginUse, catalogue: Plugins) -> Sequence[Metric] | None:
    """What the task declares that it measures; None when only its code tells."""
    record = catalogue.record("task", task.name)
    return (record.metrics or None) if isinstance(record, TaskInfo) else ()
