"""The errors a user can meet, one root above them all."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class StillhouseError(Exception):
    """Root of every error stillhouse raises on purpose.

    The message is the whole story: what was expected, what came, where, and the next step.
    The command line prints it without a traceback and leaves with `exit_code`.
    """

    exit_code = 1


class UserError(StillhouseError, ValueError):
    """Something the user gave cannot be used: a file, a key, a limit, a name. Exit code 2."""

    exit_code = 2


class ConfigError(UserError):
    """A run file is wrong. The message carries file, line, key path and the nearest valid key."""


class DataError(UserError):
    """A data file is missing, corrupt, empty, wrongly sampled or mislabelled; names the file."""


class LimitError(UserError):
    """The limits cannot be met; names the binding limit and the nearest reachable value."""


class PlanError(UserError):
    """The recipe cannot be ordered, or its methods do not fit together; says why."""


class TrainingError(StillhouseError):
    """Training came to nothing: the loss is no longer finite. Says where."""


class PluginError(StillhouseError):
    """A plugin failed; names the distribution, its version, and the hook or method."""

    exit_code = 2


class RunDirectoryError(UserError):
    """A run directory is missing, unfinished, foreign or damaged; names the file."""


class StoreError(RunDirectoryError):
    """The store that runs share cannot be reached, read or written, or it lies; names it.

    What was made is kept in the run's own folder.
    """


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the closest known word, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""
