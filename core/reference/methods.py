"""The page of methods: what each changes, needs, leaves and spends, and what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stillhouse.core.plugin.catalogue import Catalogue
from stillhouse.core.plugin.listing import gain
from stillhouse.core.plugin.records import Gain, MethodInfo
from stillhouse.core.reference.markdown import code, documentation, listed, page, table
from stillhouse.core.reference.parameters import parameters

_ABOUT = (
    "A method is named in the `recipe:` of a run file. The plan orders a recipe by what its "
    "methods need, leave and spend, or refuses it with the reason; what every two of them make "
    "together is in [](composition.md). *Speeds up* says what was measured of the exported file: "
    "the largest gain on each target, that there is none, or that nobody looked. To add a method, "
    "see [](../add-a-method.md)."
)


def methods_page(catalogue: Catalogue) -> str:
    """Raises PluginError where a method cannot describe itself."""
    records = [catalogue.method(name) for name in catalogue.names("method")]
    capabilities = "## Capabilities\n\n" + _capabilities(records)
    return page("Methods", _ABOUT, _overview(records), capabilities, *map(_detail, records))


def _overview(records: Sequence[MethodInfo]) -> str:
    header = ("name", "what it does", "changes", "speeds up")
    rows = ((f"[{r.name}](#{r.name})", r.summary, r.changes, gain(r)) for r in records)
    return table(header, rows)


def _capabilities(records: Sequence[MethodInfo]) -> str:
    known = sorted({name for r in records for name in (*r.needs, *r.leaves, *r.spends)})
    rows = (
        (
            name,
            listed(r.name for r in records if name in r.leaves),
            listed(r.name for r in records if name in r.needs),
            listed(r.name for r in records if name in r.spends),
        )
        for name in known
    )
    return table(("capability", "left by", "needed by", "spent by"), rows)


def _detail(record: MethodInfo) -> str:
    told = parameters(record.params, phases=True) or "No parameters."
    parts = [f"## {record.name}", f"{record.summary}.", _facts(record), told, _gains(record)]
    return "\n\n".join(part for part in parts if part)


def _facts(record: MethodInfo) -> str:
    return "\n".join(f"- {fact}: {value}" for fact, value in _facts_of(record) if value)


def _facts_of(record: MethodInfo) -> Iterator[tuple[str, str]]:
    yield "changes", record.changes
    yield "needs", ", ".join(sorted(record.needs))
    yield "leaves", ", ".join(sorted(record.leaves))
    yield "spends", ", ".join(sorted(record.spends))
    yield "prepares", "once for each value of what its `prepare` phase reads" * record.prepares
    yield "trains", "a share of its budget for each candidate" * record.takes_budget
    yield "speeds up", gain(record)
    yield "needs the extra", code(record.extra or "")


def _gains(record: MethodInfo) -> str:
    if not record.measured:
        return ""
    header = ("target", "network", "setting", "times as fast", "bytes left", "machine")
    rows = (
        (code(g.target), g.network, g.setting, _times(g), f"{g.size:.0%}", g.machine)
        for g in record.measured
    )
    return f"Measured ({documentation(Gain).split(chr(10))[0].lower()}):\n\n{table(header, rows)}"


def _times(measured: Gain) -> str:
    return f"{measured.speed_up:.2f} ({measured.low:.2f} to {measured.high:.2f})"
