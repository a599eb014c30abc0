"""A target's settings without a run file: a name and `KEY=VALUE` options."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stillhouse.core.config.nodes import Mark, Scalar, Spot, Table
from stillhouse.core.config.overrides import apply_overrides
from stillhouse.core.config.records import Plugins, TargetSection
from stillhouse.core.config.sections import read_target
from stillhouse.core.config.values import Setting
from stillhouse.core.errors import ConfigError


def target_alone(name: str, sets: Sequence[str], catalogue: Plugins) -> TargetSection:
    """What a run file's target section would be with `runtime: NAME` and each of `sets` in it.

    Raises ConfigError, quoting the option, as a run file would.
    """
    mark = Mark("--target")
    root = Table(mark).put("runtime", Scalar(mark, name), mark)
    spot = Spot(apply_overrides(root, sets, ()))
    section = read_target(spot, Setting(catalogue, Path.cwd()))
    if spot.unknown:
        raise ConfigError("\n".join(spot.unknown))
    return section
