"""Every specification is documented by a plugin that works."""

from __future__ import annotations

import inspect
import re
import textwrap
from pathlib import Path

import pytest

from stillhouse.core.plugin import KINDS, Catalogue, Provenance, RecordKind, hookspecs
from stillhouse.core.plugin.kinds import BY_KIND


def test_every_kind_has_a_specification_and_every_specification_a_kind() -> None:
    specified = {name for name in vars(hookspecs) if name.startswith("stillhouse_")}
    assert specified == {BY_KIND[kind].hook for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_the_plugin_in_a_docstring_works(kind: RecordKind, site: Path) -> None:
    text = vars(hookspecs)[BY_KIND[kind].hook].__doc__
    name, module, group = re.findall(r"`([\w-]+) = \"([\w.]+)\"` in `([\w.]+)`", text)[0]
    code = textwrap.dedent(inspect.cleandoc(text).split("\n", 2)[2])
    (site / "docstring_plugin.py").write_text(code)
    extra = [(kind, name, "docstring_plugin", Provenance("kd-zoo", "0.1", module))]
    catalogue = Catalogue.discover({}, [], extra=extra)
    assert type(catalogue.record(kind, name)) is BY_KIND[kind].info
    assert group == BY_KIND[kind].group
