"""The marker a plugin module puts on its hook implementations."""

from __future__ import annotations

from typing import Final

import pluggy

PROJECT: Final = "stillhouse"

hookimpl = pluggy.HookimplMarker(PROJECT)
hookspec = pluggy.HookspecMarker(PROJECT)
