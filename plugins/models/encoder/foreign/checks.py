"""Reading another library's configuration: numbers that must be there, parts we cannot have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from stillhouse.core.errors import UserError

Config = Mapping[str, Any]
"""What `config.json` of a transformers model holds, or its configuration's `to_dict()`."""

_ACTIVATIONS: Final = {"gelu": "gelu", "gelu_python": "gelu", "relu": "relu"}


def whole(config: Config, key: str, least: int = 1) -> int:
    """A whole number of the configuration; `UserError` where there is none."""
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UserError(
            f"{named(config)}: expected '{key}' to be a whole number of at least {least}, "
            f"came {value!r}"
        )
    return value


def pair(config: Config, key: str) -> list[int]:
    """Two whole numbers, given as one or as two."""
    value = config.get(key)
    numbers = list(value) if isinstance(value, (list, tuple)) else [value, value]
    if len(numbers) != 2:
        raise UserError(f"{named(config)}: expected '{key}' to be one or two numbers, came {value}")
    return [whole({**config, key: number}, key) for number in numbers]


def number(config: Config, key: str, default: float) -> float:
    """A number above 0, or the default where the configuration is silent."""
    value = config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        raise UserError(f"{named(config)}: expected '{key}' to be a number above 0, came {value!r}")
    return float(value)


def activation(config: Config, key: str) -> str:
    """Our name of the nonlinearity; `UserError` for one that we do not have."""
    value = config.get(key, "gelu")
    if value not in _ACTIVATIONS:
        raise lacking(config, f"activation {value!r} ('{key}')", "gelu and relu")
    return _ACTIVATIONS[value]


def require(config: Config, key: str, expected: Any, part: str) -> None:
    """`UserError`, naming the part, where the configuration says something else."""
    value = config.get(key, expected)
    if value != expected:
        raise lacking(config, f"{part} ('{key}: {value}')", f"'{key}: {expected}'")


def lacking(config: Config, part: str, have: str = "") -> UserError:
    """The error for a part that our encoders do not have."""
    offer = f"; they have {have}" if have else ""
    return UserError(f"{named(config)}: stillhouse encoders have no {part}{offer}")


def head_width(config: Config, width: int, heads: int) -> int:
    """Features of one head; `UserError` unless the heads divide the width."""
    if width % heads:
        raise UserError(
            f"{named(config)}: expected heads that divide the width, came {heads} and {width}"
        )
    return width // heads


def named(config: Config) -> str:
    return str(config.get("model_type", "transformers model"))


def check_same(structure: Config, theirs: Config, source: str) -> None:
    """`UserError` where weights are of a network of other dimensions than a structure."""
    for key in ("width", "depth", "heads", "hidden", "head_dim", "before", "activation"):
        if structure[key] != theirs[key]:
            raise UserError(
                f"{source}: expected weights of a network with {key} {structure[key]}, they are "
                f"of one with {key} {theirs[key]}"
            )
