"""Tier 1: the names in package metadata. Nothing of a plugin is imported here."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Final, final

from stillhouse.core.plugin.kinds import BY_GROUP, BY_KIND, Door, RecordKind
from stillhouse.core.plugin.records import Provenance

if TYPE_CHECKING:
    from importlib.metadata import Distribution

DISABLE: Final = "STILLHOUSE_DISABLE_PLUGINS"
HOST: Final = "stillhouse"
Extra = tuple[RecordKind, str, "ModuleType | str", Provenance]
"""A plugin that is not installed: kind, name, module (or dotted name, or `.py` file), supplier."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """A name that someone offers, and the module that describes it."""

    door: Door
    name: str
    module: ModuleType | str
    provenance: Provenance

    def __str__(self) -> str:
        return f"{self.door.kind} '{self.name}' of {self.provenance}"


def installed(distributions: Iterable[Distribution] | None = None) -> Iterator[Entry]:
    """Every entry point in a stillhouse group.

    `distributions` defaults to those on `sys.path`; the first of several copies of one
    distribution counts, as it does for imports. A distribution whose entry points cannot be read
    is logged and skipped.
    """
    from importlib import metadata

    seen: set[str] = set()
    for distribution in metadata.distributions() if distributions is None else distributions:
        try:
            found = tuple(_offers(distribution))
        except Exception as error:
            _log.warning("unreadable entry points in %s: %s", distribution, error)
            continue
        if found and (supplier := canonical(found[0].provenance.distribution)) not in seen:
            seen.add(supplier)
            yield from found


def _offers(distribution: Distribution) -> Iterator[Entry]:
    # Parsing METADATA costs more than all the rest: only where a stillhouse group is mentioned.
    if f"{HOST}." not in (distribution.read_text("entry_points.txt") or ""):
        return
    points = [
        point for point in dict.fromkeys(distribution.entry_points) if point.group in BY_GROUP
    ]
    if not points:
        return
    name, version = distribution.metadata["Name"], distribution.metadata["Version"]
    for point in points:
        door = BY_GROUP[point.group]
        origin = f"{point.group}: {point.name} = {point.value}"
        supplier = Provenance(name or "unknown", version or "unknown", origin, (door.hook,))
        yield Entry(door, point.name, point.value, supplier)


def local(extra: Iterable[Extra]) -> Iterator[Entry]:
    """Entries for plugins that are not installed."""
    for kind, name, module, provenance in extra:
        yield Entry(BY_KIND[kind], name, module, provenance)


@final
@dataclass(frozen=True)
class Disabled:
    """What `STILLHOUSE_DISABLE_PLUGINS` switches off.

    Comma-separated: a plugin's name, a distribution's name, `distribution:name`, or `all` for
    every distribution but stillhouse itself.
    """

    tokens: frozenset[str]

    @staticmethod
    def read(environ: Mapping[str, str]) -> Disabled:
        tokens = (canonical(token) for token in environ.get(DISABLE, "").split(","))
        return Disabled(frozenset(token for token in tokens if token))

    def covers(self, entry: Entry) -> bool:
        name, supplier = canonical(entry.name), canonical(entry.provenance.distribution)
        if "all" in self.tokens and supplier != HOST:
            return True
        return not self.tokens.isdisjoint({name, supplier, f"{supplier}:{name}"})

    def covers_all_of(self, supplier: str) -> bool:
        """Whether everything that someone supplies is switched off, whatever its name."""
        supplier = canonical(supplier)
        return supplier in self.tokens or ("all" in self.tokens and supplier != HOST)


def canonical(name: str) -> str:
    """A distribution's name as the packaging specification compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
