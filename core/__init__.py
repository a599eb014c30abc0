"""The engine of stillhouse: knows no method by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stillhouse.core.run.loading import load as load

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    if name == "load":
        from stillhouse.core.run.loading import load

        return load
    raise AttributeError(f"module 'stillhouse.core' has no attribute '{name}'")
