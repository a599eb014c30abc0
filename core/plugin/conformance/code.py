"""What the code that a record names must be."""

from __future__ import annotations

from typing import TypeVar

from stillhouse.core.plugin.conformance.check import unmet

T = TypeVar("T")


def final_subclass(code: object, base: type[T]) -> type[T]:
    """The class that a record names; UnmetError for anything but a final subclass of `base`."""
    where = f"{base.__module__.rpartition('.')[0]}.{base.__name__}"
    if not (isinstance(code, type) and issubclass(code, base)):
        unmet(f"build to name a subclass of {where}", repr(code), f"derive from {base.__name__}")
    if not getattr(code, "__final__", False):
        unmet(
            f"{code.__name__} to be final", "a class that can be derived from", "put @final on it"
        )
    if left := sorted(getattr(code, "__abstractmethods__", ())):
        unmet(f"{code.__name__} to be whole", f"no {', '.join(left)}", "write what is missing")
    return code
