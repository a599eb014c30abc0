"""What the new package, its module and its class are called, all from one name."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from typing import Final, final

from stillhouse.core.errors import UserError
from stillhouse.core.plugin.catalogue import Catalogue
from stillhouse.core.plugin.entries import HOST, canonical
from stillhouse.core.plugin.kinds import BY_KIND, RecordKind

SCAFFOLDS: Final[tuple[RecordKind, ...]] = ("method", "loss", "task", "reporter")
"""The kinds that there are templates for."""
TAKEN: Final = frozenset({"HintLoss", "Method", "Rebuild", "UserError"})
"""Classes that the templates import."""
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST: Final = 50
_PREFIX: Final = f"{HOST}-"


@final
@dataclass(frozen=True)
class Names:
    """`thin-layers`: distribution `stillhouse-thin-layers`, class `ThinLayers`, and so on."""

    kind: RecordKind
    plugin: str

    @staticmethod
    def of(kind: RecordKind, text: str, catalogue: Catalogue) -> Names:
        """Names from a plugin's or its distribution's.

        Raises UserError for what is no name of a distribution and of a class, and for one in use.
        """
        names = Names(kind, text.removeprefix(_PREFIX))
        names._check_spelling(text)
        names._check_free(catalogue)
        return names

    @property
    def distribution(self) -> str:
        return f"{_PREFIX}{self.plugin}"

    @property
    def package(self) -> str:
        return self.distribution.replace("-", "_")

    @property
    def code(self) -> str:
        """The class, by the convention of Python."""
        return "".join(word.capitalize() for word in self.plugin.split("-"))

    def _check_spelling(self, text: str) -> None:
        if not _NAME.fullmatch(self.plugin) or len(self.plugin) > _LONGEST:
            near = canonical(re.sub(r"[^A-Za-z0-9]+", "-", text)).strip("-")
            fits = _NAME.fullmatch(near) and len(near) <= _LONGEST
            raise UserError(
                f"NAME: expected lower-case letters and digits with single '-' between them, a "
                f"letter first, at most {_LONGEST}, got {text!r}"
                + (f"; did you mean '{near}'?" if fits else "")
            )
        if keyword.iskeyword(self.code) or keyword.iskeyword(self.plugin):
            raise UserError(f"NAME: '{self.plugin}' is a word of Python; choose another name")
        if self.code in TAKEN:
            raise UserError(
                f"NAME: the class '{self.code}' would take the place of stillhouse's own; choose "
                "another name"
            )

    def _check_free(self, catalogue: Catalogue) -> None:
        from importlib import metadata

        if self.plugin in catalogue.names(self.kind):
            supplier = catalogue.provenance(self.kind, self.plugin)
            raise UserError(
                f"NAME: {self.kind} '{self.plugin}' is provided by {supplier} already; choose "
                "another name (in use: stillhouse plugins)"
            )
        installed = {canonical(d.metadata["Name"] or "") for d in metadata.distributions()}
        if self.distribution in installed:
            raise UserError(
                f"NAME: a distribution '{self.distribution}' is installed already; choose another "
                "name"
            )

    @property
    def group(self) -> str:
        """The entry-point group."""
        return BY_KIND[self.kind].group
