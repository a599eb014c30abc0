"""Names of changed networks lead back to those of plain ones."""

from __future__ import annotations

import pytest

from stillhouse.core.cost.origin import origin

KNOWN = (
    "frames",
    "stages.0.0.up",
    "stages.0.1.up",
    "blocks.0.attention.qkv",
    "blocks.0.up",
    "head",
)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("blocks.0.up", "blocks.0.up"),
        ("blocks.0.up.1", "blocks.0.up"),
        ("network.blocks.0.up", "blocks.0.up"),
        ("blocks.0.inner.up", "blocks.0.up"),
        ("network.blocks.0.inner.attention.qkv.0", "blocks.0.attention.qkv"),
        ("stages.0.1.0.up", "stages.0.1.up"),
        ("stages.0.0.1.up", "stages.0.0.up"),
        ("exits.0.head", "head"),
        ("blocks.1.up", None),
        ("blocks.0.uppers", None),
        ("up.blocks.0", None),
    ],
)
def test_a_part_comes_from_the_longest_name_it_holds_in_order(name: str, plain: str | None) -> None:
    assert origin(name, KNOWN) == plain
