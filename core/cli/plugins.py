"""`stillhouse plugins`: what is installed, who supplies it, how it fares, what it can be told."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from stillhouse.core.cli import plugins_check, plugins_new
from stillhouse.core.cli.columns import Row, columns, wrapped

if TYPE_CHECKING:
    from stillhouse.core.plugin import Catalogue, Param, PluginStatus, Record, RecordKind

# Spelt out here, so that building the parser imports no plugin machinery; a test compares.
KINDS: Final = (
    "method",
    "model",
    "task",
    "space",
    "target",
    "sampler",
    "reporter",
    "loss",
    "similarity",
)
_HEADER: Final = ("KIND", "NAME", "SUPPLIED BY", "STATUS", "SPEEDS UP")
_PARAMETERS: Final = ("PARAMETER", "TYPE", "DEFAULT", "BOUNDS", "SEARCH", "PHASE")
_WIDEST: Final = 24
"""Characters of bounds that fit in the table; longer ones join the help below it."""
_JSON: Final = "print JSON"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `plugins` and the commands below it."""
    what = "list methods, models, tasks, search spaces, targets, samplers and reporters"
    parser = subparsers.add_parser("plugins", help=what, description=what)
    parser.add_argument("--json", action="store_true", help=_JSON)
    parser.set_defaults(run=run, show=None, kind=None)
    about = "describe one plugin and its parameters"
    commands = parser.add_subparsers(metavar="[COMMAND]")
    show = commands.add_parser("show", help=about, description=about)
    show.add_argument("show", metavar="NAME", help="a name from `stillhouse plugins`")
    show.add_argument("--kind", choices=KINDS, help="where one name is of several kinds")
    show.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=_JSON)
    plugins_new.add_parser(commands)
    plugins_check.add_parser(commands)


def run(args: argparse.Namespace) -> int:
    """Print the list, or one plugin when `args.show` names it.

    Raises UserError for an unknown name, PluginError for a plugin that fails when shown.
    """
    from stillhouse.core.plugin import Catalogue

    catalogue = Catalogue.discover()
    if args.show is None:
        _list(catalogue.statuses(), as_json=args.json)
    else:
        _show(catalogue, args.show, args.kind, as_json=args.json)
    return 0


def _list(statuses: Iterable[PluginStatus], *, as_json: bool) -> None:
    if as_json:
        from dataclasses import asdict

        print(json.dumps([asdict(status) for status in statuses], indent=2))
    else:
        rows = [_status_row(status) for status in statuses]
        print("\n".join(columns(_HEADER, rows, width=_width())))


def _status_row(status: PluginStatus) -> Row:
    word, _, why = status.status.partition(": ")
    supplier = f"{status.distribution} {status.version}"
    gain, opened, where = status.gain.partition(" (")
    note = f"{status.summary}{opened}{where}" if status.summary else why
    return Row((status.kind, status.name, supplier, word, gain), note)


def _show(catalogue: Catalogue, name: str, kind: RecordKind | None, *, as_json: bool) -> None:
    kinds = catalogue.kinds_of(name) if kind is None else (kind,)
    found = [_described(catalogue, k, name) for k in kinds]
    if as_json:
        print(json.dumps(found, indent=2, default=str))
    else:
        print("\n\n".join("\n".join(_page(description)) for description in found))


def _described(catalogue: Catalogue, kind: RecordKind, name: str) -> dict[str, Any]:
    from stillhouse.core.plugin import declared

    record, supplier = catalogue.record(kind, name), catalogue.provenance(kind, name)
    return {
        "kind": kind,
        "name": name,
        "summary": record.summary,
        "supplied by": str(supplier),
        "entry point": supplier.entry_point,
        "code": record.build,
        **_particulars(record),
        "parameters": [_parameter(param) for param in declared(record.params)],
    }


def _particulars(record: Record) -> dict[str, Any]:
    """The fields that only this kind of record has, and the extra where one is needed."""
    from dataclasses import fields

    from stillhouse.core.plugin import Record

    shared = {field.name for field in fields(Record)} - ({"extra"} if record.extra else set())
    own = {f.name: getattr(record, f.name) for f in fields(record) if f.name not in shared}
    return {name.replace("_", " "): _plain(value) for name, value in own.items()}


def _plain(value: Any) -> Any:
    """Sets as sorted lists, and records within records as mappings."""
    from dataclasses import asdict, is_dataclass

    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def _parameter(param: Param) -> dict[str, Any]:
    return {
        "name": param.name,
        "type": param.kind,
        "required": param.required,
        "default": param.default,
        "bounds": param.bounds(),
        "searchable": param.searchable,
        "log": param.log,
        "phase": param.phase,
        "help": param.help,
        **({"networks": _networks()} if param.kind == "models" else {}),
    }


def _networks() -> list[dict[str, Any]]:
    """What the engine reads in each section of a list of networks, beside the model's own."""
    from stillhouse.core.config.teacher import NetworkTraining
    from stillhouse.core.plugin import declared

    return [_parameter(param) for param in declared(NetworkTraining)]


def _page(description: Mapping[str, Any]) -> Iterator[str]:
    facts = {k: v for k, v in description.items() if k not in ("kind", "name", "parameters")}
    yield f"{description['kind']} {description['name']}"
    for label, value in facts.items():
        for text in _lines(value):
            yield from wrapped(f"{label:<14}{text or '-'}", width=_width(), indent=2, hang=16)
            label = ""
    yield ""
    rows = list(_rows(description["parameters"], description["kind"]))
    yield from columns(_PARAMETERS, rows, width=_width()) if rows else ["No parameters."]


def _lines(value: Any) -> list[str]:
    """A line for every gain; anything else in one."""
    if not isinstance(value, list):
        return [str(value)]
    if value and all(isinstance(item, Mapping) and "speed_up" in item for item in value):
        return [_gain(item) for item in value]
    return [", ".join(str(item["name"]) if isinstance(item, Mapping) else item for item in value)]


def _gain(gain: Mapping[str, Any]) -> str:
    spread = f" ({gain['low']:.2f} to {gain['high']:.2f})" if gain["low"] < gain["high"] else ""
    return (
        f"{gain['speed_up']:.2f}x{spread}, {gain['size']:.0%} of the bytes: {gain['network']}, "
        f"{gain['setting']}; {gain['target']}, {gain['machine']}"
    )


def _rows(params: Iterable[Mapping[str, Any]], kind: str) -> Iterator[Row]:
    """A row a parameter; of networks also what each of them may say."""
    for param in params:
        yield _parameter_row(param, kind)
        for inner in param.get("networks", ()):
            yield _parameter_row({**inner, "name": f"{param['name']}.N.{inner['name']}"}, "model")


def _parameter_row(param: Mapping[str, Any], kind: str) -> Row:
    search = ("log" if param["log"] else "yes") if param["searchable"] else "no"
    phase = param["phase"] if kind == "method" else "-"
    bounds, note = param["bounds"] or "-", param["help"]
    if len(bounds) > _WIDEST:
        bounds, note = "see below", f"{note}; {bounds}"
    return Row((param["name"], param["type"], _default(param), bounds, search, phase), note)


def _default(param: Mapping[str, Any]) -> str:
    value = param["default"]
    if param["required"]:
        return "required"
    if isinstance(value, bool):
        return str(value).lower()
    return "-" if value is None or value in ("", ()) else str(value)


def _width() -> int:
    return min(max(shutil.get_terminal_size().columns, 40), 100)
