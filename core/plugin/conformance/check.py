"""One check, how a plugin is tried out for it, and what a broken contract raises."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NoReturn, final

from stillhouse.core.errors import PluginError, StillhouseError
from stillhouse.core.plugin.kinds import RecordKind

_HOST: Final = Path(__file__).parents[2]
"""The core, whose frames tell an author nothing."""
TRANSFORMER: Final = MappingProxyType({"width": 16, "depth": 2, "heads": 2, "head_dim": 8})


class ConformanceError(AssertionError):
    """A plugin breaks the contract; says what was expected, what came and what to change."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """How to try a plugin out where its defaults will not do.

    `params` are the plugin's own, as in a run file. Methods and families are tried on a task in
    memory: inputs of `shape` (with `tokens`, whole numbers below that), three labels. `model` and
    `model_params` are the network that a method works on. `before` and `after` are recipe entries
    around the method, as in a run file; by default those that its capabilities ask for. `runtime`
    is the target that the student is exported to.
    """

    params: Mapping[str, Any] = field(default_factory=dict)
    model: str = "keyword-transformer"
    model_params: Mapping[str, Any] = field(default_factory=lambda: TRANSFORMER)
    shape: tuple[int, ...] = (8, 5)
    tokens: int = 0
    before: Sequence[str | Mapping[str, Any]] | None = None
    after: Sequence[str | Mapping[str, Any]] | None = None
    runtime: str = "onnxruntime-cpu"


@final
@dataclass(frozen=True, eq=False)
class Check:
    """One expectation of one plugin; call it to check. Its text names it in a test's listing."""

    kind: RecordKind
    plugin: str
    title: str
    supplier: str
    body: Callable[[], None]

    def __str__(self) -> str:
        return f"{self.kind} {self.plugin}: {self.title}"

    def __call__(self) -> None:
        """Raises ConformanceError when the plugin breaks the contract, or breaks off."""
        try:
            self.body()
        except UnmetError as unmet:
            raise ConformanceError(f"{self._where()}: {unmet}") from None
        except (Exception, SystemExit) as error:
            raise ConformanceError(
                f"{self._where()}: expected the plugin to come this far, got "
                f"{type(error).__name__}: {error}{_place(error)}; {_advice(error)}"
            ) from error

    def _where(self) -> str:
        return f"{self.kind} '{self.plugin}' of {self.supplier}: {self.title}"


class UnmetError(Exception):
    """An expectation that was not met, not yet attributed."""


def unmet(expected: str, came: object, change: str) -> NoReturn:
    """Raise what a check found."""
    raise UnmetError(f"expected {expected}, got {came}; {change}")


def run_all(every: Sequence[Check]) -> None:
    """Run every check. Raises ConformanceError with all that was found, the first one chained."""
    found = [(check, error) for check in every if (error := failure(check))]
    if found:
        count = f"{len(found)} of {len(every)} checks failed"
        raise ConformanceError("\n".join([count, *(f"- {error}" for _, error in found)])) from (
            found[0][1]
        )


def failure(check: Check) -> ConformanceError | None:
    """What a check found; None where the plugin keeps the contract."""
    try:
        check()
    except ConformanceError as error:
        return error
    return None


def _place(error: BaseException) -> str:
    """Where a plugin's own code was when it failed: the innermost frame of its folder."""
    frames = traceback.extract_tb(error.__traceback__)
    outside = [frame for frame in frames if not _of_host(Path(frame.filename))]
    if not outside or isinstance(error, StillhouseError):
        return ""
    folder = Path(outside[0].filename).parent
    own = [frame for frame in outside if Path(frame.filename).is_relative_to(folder)]
    return f" ({own[-1].filename}, line {own[-1].lineno})"


def _of_host(path: Path) -> bool:
    return path.is_relative_to(_HOST) or path.parent == Path(sysconfig.get_path("stdlib"))


def _advice(error: BaseException) -> str:
    if isinstance(error, PluginError):
        return "mend that first: other checks need it"
    return "mend that, or give the check a Setup in which the plugin can work"
