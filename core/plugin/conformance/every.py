"""All checks of a plugin, and of everything that a distribution supplies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from stillhouse.core.errors import UserError, nearest
from stillhouse.core.plugin.catalogue import Catalogue
from stillhouse.core.plugin.check import problems_of
from stillhouse.core.plugin.conformance.check import Check, Setup, run_all, unmet
from stillhouse.core.plugin.conformance.info import TASK, discover
from stillhouse.core.plugin.entries import canonical
from stillhouse.core.plugin.kinds import KINDS, RecordKind
from stillhouse.core.plugin.records import MethodInfo, Record

Named = tuple[str, Callable[[], None]]
_PLAIN: Final = Setup()


def check_plugin(distribution: str, setups: Mapping[str, Setup] | None = None) -> None:
    """Check everything that an installed distribution supplies.

    `setups` say by name how to try plugins out that cannot work with their defaults.

    Raises:
        ConformanceError: the contract is broken; lists every check that failed.
        UserError: no such distribution supplies plugins, or it has none of a name in `setups`.
    """
    run_all(checks(distribution, setups))


def checks(distribution: str, setups: Mapping[str, Setup] | None = None) -> list[Check]:
    """Every check of a distribution's plugins, not yet run; raises UserError as `check_plugin`."""
    catalogue, setups = discover(), setups or {}
    supplied = [(kind, name) for kind, name in _names(catalogue, distribution) if name != TASK]
    if not supplied:
        raise UserError(_unknown(catalogue, distribution))
    return _checks(supplied, setups, catalogue)


def checks_of_file(path: Path, setups: Mapping[str, Setup] | None = None) -> list[Check]:
    """Every check of the plugins in a file that is not packaged, whose code this runs.

    It may import what it likes: nothing but a run that names it waits for it. Raises as
    `Catalogue.beside` does, and UserError for a name in `setups` that it does not supply.
    """
    catalogue, setups = discover(path), setups or {}
    named = ((kind, name) for kind in KINDS for name in catalogue.names(kind))
    return _checks([one for one in named if catalogue.code_of(*one)], setups, catalogue)


def _checks(
    supplied: Sequence[tuple[RecordKind, str]], setups: Mapping[str, Setup], catalogue: Catalogue
) -> list[Check]:
    for name in setups:
        if name not in {n for _, n in supplied}:
            supplier = catalogue.suppliers(*supplied[0])[0].distribution
            hint = nearest(name, [known for _, known in supplied])
            raise UserError(f"setups: {supplier} supplies no plugin '{name}'{hint}")
    return [
        check
        for kind, name in supplied
        for check in checks_of(kind, name, setups.get(name, _PLAIN), catalogue)
    ]


def checks_of(
    kind: RecordKind, name: str, setup: Setup = _PLAIN, catalogue: Catalogue | None = None
) -> list[Check]:
    """Every check of one plugin, not yet run. Raises UserError for an unknown name.

    A plugin that cannot describe itself, or whose name another one has too, has one check, which
    says so.
    """
    catalogue = catalogue or discover()
    suppliers = catalogue.suppliers(kind, name) or (catalogue.provenance(kind, name),)
    supplier = " and ".join(map(str, suppliers))
    made = partial(Check, kind, name, supplier=supplier)
    found = [made(title="record", body=lambda: _check_record(kind, name, catalogue))]
    try:
        record = catalogue.record(kind, name)
    except UserError:
        raise
    except Exception:
        return found
    found += [made(title=t, body=b) for t, b in _shared(kind, record, setup, catalogue)]
    return found + [made(title=t, body=b) for t, b in _own(kind, record, setup, catalogue)]


def check_named(kind: RecordKind, name: str, setup: Setup = _PLAIN) -> None:
    """Check one plugin of any kind; raises ConformanceError, UserError for an unknown name."""
    run_all(checks_of(kind, name, setup))


check_method = partial(check_named, "method")
check_model = partial(check_named, "model")
check_task = partial(check_named, "task")
check_space = partial(check_named, "space")
check_target = partial(check_named, "target")
check_sampler = partial(check_named, "sampler")
check_reporter = partial(check_named, "reporter")
check_loss = partial(check_named, "loss")
check_similarity = partial(check_named, "similarity")


def _unknown(catalogue: Catalogue, distribution: str) -> str:
    named = (one for kind in KINDS for one in catalogue.suppliers(kind, distribution))
    if supplier := next(named, None):
        return f"'{distribution}' is a plugin: check the distribution, '{supplier.distribution}'"
    return (
        f"no distribution '{distribution}' supplies plugins; install it here first "
        "(pip install -e .), and see: stillhouse plugins"
    )


def _names(catalogue: Catalogue, distribution: str) -> Iterator[tuple[RecordKind, str]]:
    for kind in KINDS:
        for name in catalogue.names(kind):
            suppliers = catalogue.suppliers(kind, name)
            if any(canonical(one.distribution) == canonical(distribution) for one in suppliers):
                yield kind, name


def _check_record(kind: RecordKind, name: str, catalogue: Catalogue) -> None:
    """It can be imported, registered and read, and says nothing that the host does not accept."""
    problems = list(problems_of(catalogue.record(kind, name)))
    if problems:
        unmet("a sound record", "; ".join(problems), "correct it")


def _shared(
    kind: RecordKind, record: Record, setup: Setup, catalogue: Catalogue
) -> Iterator[Named]:
    from stillhouse.core.plugin.conformance.light import check_light
    from stillhouse.core.plugin.conformance.parameters import check_parameters
    from stillhouse.core.plugin.conformance.runs import run_text

    origin = catalogue.provenance(kind, record.name).entry_point
    module = origin.partition("=")[2].strip()

    def light() -> None:
        text = run_text(kind, record.name, setup, catalogue) if kind == "method" else ""
        check_light(kind, record.name, module, text)

    if catalogue.code_of(kind, record.name) is None:
        yield "light import", light
    yield "parameters", lambda: check_parameters(kind, record, setup, catalogue)


def _own(kind: RecordKind, record: Record, setup: Setup, catalogue: Catalogue) -> Iterator[Named]:
    if isinstance(record, MethodInfo):
        from stillhouse.core.plugin.conformance.methods import MethodChecks

        yield from MethodChecks(record, setup, catalogue).each()
    else:
        from stillhouse.core.plugin.conformance.kinds import others

        yield from others(kind, record, setup, catalogue)
