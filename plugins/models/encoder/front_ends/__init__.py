"""Front ends by kind, imported on use."""

from __future__ import annotations

from importlib import import_module
from typing import Final, cast

from stillhouse.core.errors import UserError
from stillhouse.plugins.models.encoder.front_ends.contract import ElasticPart as ElasticPart
from stillhouse.plugins.models.encoder.front_ends.contract import Facts as Facts
from stillhouse.plugins.models.encoder.front_ends.contract import FrontEnd as FrontEnd

KINDS: Final = {
    "waveform": "waveform:Waveform",
    "fbank": "fbank:Fbank",
    "frames": "frames:Frames",
    "tokens": "tokens:Tokens",
    "patches": "patches:Patches",
    "log_mel": "log_mel:LogMel",
    "choice": "choice:Choice",
}


def front_end(facts: Facts) -> FrontEnd:
    """The front end of a structure's facts. `UserError` for an unknown kind."""
    kind = facts["kind"]
    if kind not in KINDS:
        raise UserError(f"front_end: expected one of {', '.join(KINDS)}, got {kind!r}")
    module, name = KINDS[kind].split(":")
    return cast("FrontEnd", getattr(import_module(f"{__name__}.{module}"), name)())
