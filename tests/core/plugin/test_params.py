"""A parameter is declared once; its type, bounds and checks follow."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import pytest

from stillhouse.core.plugin import Param, Params, declared, param


class Everything(Params):
    flag: bool = param(True, help="a switch")
    bits: int = param(8, low=1, high=8, help="bits")
    rate: float | None = param(None, low=0, log=True, help="rate", phase="apply")
    scheme: Literal["none", "dynamic"] = param("none", choices=("none", "dynamic"), help="scheme")
    layers: tuple[int, ...] = param((), help="layers")
    folder: str = param(kind="path", searchable=False, help="folder")
    networks: tuple[object, ...] = param((), kind="models", help="networks")
    files: tuple[str, ...] = param((), kind="paths", help="files")
    mixture: tuple[float, ...] = param((), kind="simplex", help="weights")
    shares: tuple[float, ...] = param((1, 1), kind="simplex", help="weights")


WEIGHTS = "a list of numbers of at least 0, one of them above 0"
BY_NAME = {p.name: p for p in declared(Everything)}


def test_kinds_follow_from_the_types_unless_declared() -> None:
    kinds = [p.kind for p in declared(Everything)]
    assert kinds[:6] == ["bool", "int", "float", "str", "list", "path"]
    assert kinds[6:] == ["models", "paths", "simplex", "simplex"]


def test_the_declaration_is_a_frozen_keyword_only_dataclass() -> None:
    values = Everything(folder="clips")
    assert (values.bits, values.flag, values.folder) == (8, True, "clips")
    with pytest.raises(dataclasses.FrozenInstanceError):
        values.bits = 4  # type: ignore[misc]


def test_plugins_without_parameters_are_alike_too() -> None:
    one, other = Params(), Params()
    assert one == other
    assert str(one) == str(other) == "Params()"


def test_a_parameter_without_default_is_required() -> None:
    assert [p.name for p in declared(Everything) if p.required] == ["folder"]


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("flag", True, None),
        ("flag", 1, "expected true or false, got 1"),
        ("bits", 1, None),
        ("bits", 9, "expected 1 to 8, got 9"),
        ("bits", True, "expected a whole number, got True"),
        ("bits", None, "expected a whole number, got None"),
        ("rate", None, None),
        ("rate", 3, None),
        ("rate", -0.1, "expected at least 0, got -0.1"),
        ("rate", float("nan"), "expected at least 0, got nan"),
        ("scheme", "static", "expected one of none, dynamic, got 'static'"),
        ("layers", [1, 2], None),
        ("layers", "12", "expected a list, got '12'"),
        ("folder", 3, "expected a path, got 3"),
        ("networks", [{"model": "bert"}], None),
        (
            "networks",
            ["bert"],
            "expected a list of networks, each {model: NAME, ...}, got ['bert']",
        ),
        ("files", ("a", "b"), None),
        ("files", "a", "expected a list of paths, got 'a'"),
        ("files", ["a", 3], "expected a list of paths, got ['a', 3]"),
        ("mixture", (0, 0.5, 3), None),
        ("mixture", [], None),
        ("mixture", [0, 0], f"expected {WEIGHTS}, got [0, 0]"),
        ("mixture", [1, -0.1], f"expected {WEIGHTS}, got [1, -0.1]"),
        ("mixture", [1, float("inf")], f"expected {WEIGHTS}, got [1, inf]"),
        ("mixture", [1, float("nan")], f"expected {WEIGHTS}, got [1, nan]"),
        ("mixture", [True], f"expected {WEIGHTS}, got [True]"),
        ("mixture", None, f"expected {WEIGHTS}, got None"),
        ("shares", [], f"expected {WEIGHTS}, got []"),
    ],
)
def test_a_fixed_value_is_judged(name: str, value: object, problem: str | None) -> None:
    assert BY_NAME[name].problem(value) == problem


def test_networks_have_no_default_of_their_own() -> None:
    class Listing(Params):
        networks: tuple[object, ...] = param(({"model": "bert"},), kind="models", help="networks")

    with pytest.raises(TypeError, match="'networks': networks have no default"):
        declared(Listing)


def test_not_a_number_is_refused_without_bounds() -> None:
    free = Param(name="x", kind="float", default=0.0, help="x")
    assert free.problem(float("nan")) == "expected a number, got nan"


@pytest.mark.parametrize("hint", [dict[str, int], int | str, Literal[1, "a"], Any])
def test_a_type_that_stands_for_no_kind_needs_one_said(hint: object) -> None:
    unclear = type(
        "Unclear", (Params,), {"__annotations__": {"x": hint}, "x": param(None, help="x")}
    )
    with pytest.raises(TypeError, match=r"say param\(\.\.\., kind=\.\.\.\)"):
        declared(unclear)
