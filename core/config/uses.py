"""Plugins named in a run file: `NAME`, `NAME: {...}`, or a section that has its name as a key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from stillhouse.core.config.nodes import Items, Scalar, Spot, Table, shown, unknown_word
from stillhouse.core.config.records import PluginUse
from stillhouse.core.config.teacher import engine_keys
from stillhouse.core.config.values import Setting, read_values
from stillhouse.core.errors import nearest
from stillhouse.core.plugin.kinds import RecordKind
from stillhouse.core.plugin.params import Param, Params, declared

_WORDS: Final[dict[RecordKind, str]] = {"space": "search space"}


def read_recipe(spot: Spot, setting: Setting) -> tuple[PluginUse, ...]:
    """The methods of a recipe, in order; each at most once."""
    if not isinstance(spot.node, Items) or not spot.node.items:
        got = shown(spot.node)
        raise spot.error(f"expected a list of at least one method ('- NAME'), got {got}")
    uses: list[PluginUse] = []
    for i, item in enumerate(spot.node.items):
        use = read_use(Spot(item, f"recipe.{i}", spot.unknown), "method", setting, "recipe")
        if use.name in {earlier.name for earlier in uses}:
            fact = f"the method '{use.name}' is in the recipe twice; keep one of them"
            raise spot.under(use.name, item).error(fact)
        uses.append(use)
    return tuple(uses)


def read_use(spot: Spot, kind: RecordKind, setting: Setting, above: str = "") -> PluginUse:
    """A plugin given as its name, or as one name with its parameters below it.

    `above` replaces the spot's own path at the start of the parameters' key paths.
    """
    node: Scalar | Items | Table
    if isinstance(spot.node, Table):
        name, node = _one_entry(spot, spot.node, kind)
    else:
        name, node = _name(spot, kind, setting), Table(spot.node.mark)
    _check(spot, name, kind, setting)
    inner = Spot(node, f"{above or spot.path}.{name}", spot.unknown)
    params = declared(setting.plugins.record(kind, name).params)
    own = _for_plugin(setting, kind, name)
    given = inner.entries(tuple(p.name for p in params), own.hint)
    values = read_values(inner, given, params, own)
    return PluginUse(name, kind, values.fixed, values.searched, spot.node.mark.line)


def read_flat(
    spot: Spot, key: str, kind: RecordKind, engine: type[Params], setting: Setting
) -> tuple[PluginUse, Mapping[str, Any]]:
    """A section that names a plugin under `key` beside its parameters and the engine's.

    Returns the plugin and the values of the engine's declaration, without `channels` where that is
    a parameter of the plugin.
    """
    named = _named(spot, key, kind)
    name = _name(named, kind, setting)
    _check(named, name, kind, setting)
    params = declared(setting.plugins.record(kind, name).params)
    ours = engine_keys(engine, [p.name for p in params])
    _refuse_clash(named, name, params, ours)
    own = _for_plugin(setting, kind, name)
    given = spot.entries((key, *(p.name for p in (*params, *ours))), own.hint)
    values = read_values(spot, given, params, own)
    engines = read_values(spot, given, ours, replace(own, hint=""))
    use = PluginUse(name, kind, values.fixed, line=spot.node.mark.line)
    return use, engines.fixed


def _named(spot: Spot, key: str, kind: RecordKind) -> Spot:
    if not isinstance(spot.node, Table):
        raise spot.error(f"expected {{{key}: NAME, ...}}, got {shown(spot.node)}")
    if key not in spot.node.entries:
        close = nearest(key, spot.node.entries).replace("did you mean", "is it").rstrip("?")
        fact = f"missing; expected the name of a {_word(kind)}{close and close + '?'}"
        raise spot.under(key, spot.node).error(fact)
    return spot.under(key, spot.node.entries[key])


def _refuse_clash(
    spot: Spot, name: str, params: tuple[Param, ...], ours: tuple[Param, ...]
) -> None:
    if clash := {p.name for p in params} & {p.name for p in ours}:
        keys = ", ".join(sorted(clash))
        raise spot.error(
            f"'{name}' declares {keys}, which the engine reads here; it cannot be used"
        )


def _one_entry(spot: Spot, table: Table, kind: RecordKind) -> tuple[str, Scalar | Items | Table]:
    if len(table.entries) != 1:
        got = " and ".join(unknown_word(key) for key in list(table.entries)[:2]) or "nothing"
        hint = "; indent the parameters below the name" if table.entries else ""
        raise spot.error(f"expected one {_word(kind)}, NAME or NAME: {{...}}; got {got}{hint}")
    return next(iter(table.entries.items()))


def _name(spot: Spot, kind: RecordKind, setting: Setting) -> str:
    if isinstance(spot.node, Scalar) and isinstance(spot.node.value, str):
        return spot.node.value
    known = ", ".join(setting.plugins.names(kind)) or "none is installed"
    fact = f"expected the name of a {_word(kind)} ({known}), got {shown(spot.node)}"
    raise spot.error(f"{fact} (stillhouse plugins)")


def _check(spot: Spot, name: str, kind: RecordKind, setting: Setting) -> None:
    known = setting.plugins.names(kind)
    if name not in known:
        close = nearest(name, known) or f"; known: {', '.join(known) or 'none'}"
        fact = f"unknown {_word(kind)} {unknown_word(name)}{close}"
        raise spot.error(f"{fact} (stillhouse plugins)")


def _word(kind: RecordKind) -> str:
    return _WORDS.get(kind, kind)


def _for_plugin(setting: Setting, kind: RecordKind, name: str) -> Setting:
    reason = "" if kind == "method" else "only parameters of the recipe's methods can be searched"
    reason = setting.unsearchable or reason
    return replace(setting, hint=f" (stillhouse plugins show {name})", unsearchable=reason)
