"""A finished run's models measured again, on another day or machine, and what has changed."""

from __future__ import annotations

import datetime
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stillhouse.core.errors import RunDirectoryError, UserError
from stillhouse.core.evaluate import Silent
from stillhouse.core.jsonlines import Appending, LinesFile
from stillhouse.core.measure import Exported
from stillhouse.core.measure.bundle import Bundle, Networks, write_bundle
from stillhouse.core.measure.bundle_result import artefact_hashes, device_file_of
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.exported_model import (
    MODEL,
    ExportedModel,
    Recertified,
    moved,
)
from stillhouse.core.run.opened import Opened, open_run
from stillhouse.core.run.profiled import run_identity
from stillhouse.core.run.saving import sha256
from stillhouse.core.run.summary import RunSummary
from stillhouse.core.run.ways import Ways


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def recertify(
    folder: Path, catalogue: Catalogue, now: Callable[[], str] = _now
) -> list[Recertified]:
    """Measure `best/` and `front/*` of a finished run again; add the outcome to the run.

    The artefacts are run in fresh processes. On the run's own hardware, with its settings, they
    are timed beside the run's anchors, so that both days compare; elsewhere the times are what
    they are.

    Raises:
        RunDirectoryError: the run is not finished, or a file of it is missing or damaged.
        UserError: the target cannot measure here.
    """
    with _finished(folder, catalogue) as (opened, summary):
        models = [ExportedModel.of(opened, place, summary) for place in _models(opened.directory)]
        found = [model.judged(opened, *model.timed(opened), now()) for model in models]
        _keep(opened.directory, found)
    return found


def write_certifying_bundle(folder: Path, out: Path, catalogue: Catalogue) -> Bundle:
    """A bundle (see `core.measure.bundle`) of a finished run's models, for another device.

    Raises as `recertify` and `write_bundle` do.
    """
    with _finished(folder, catalogue) as (opened, summary):
        models = [ExportedModel.of(opened, place, summary) for place in _models(opened.directory)]
        artefacts = {model.shape[MODEL]: model.artefact for model in models}
        _refuse_dynamic(opened, artefacts.values())

        def export(structure: Mapping[str, Any], path: Path) -> Exported:
            source = artefacts[structure[MODEL]]
            shutil.copyfile(source, path)
            return Exported(path, source.stat().st_size, "copied", 0.0)

        shapes = {model.key: model.shape for model in models}
        networks = Networks(opened.family.name, shapes, export, pooled=False, certifies=folder)
        repeats, progress = opened.plan.run.target.repeats, opened.context.progress
        identity = run_identity(opened)
        return write_bundle(out, opened.target, identity, [], networks, progress, repeats)


def recertify_from(
    folder: Path,
    bundle: Path,
    result: Path,
    catalogue: Catalogue,
    now: Callable[[], str] = _now,
) -> list[Recertified]:
    """As `recertify`, by what another device measured of `write_certifying_bundle`'s bundle.

    Raises `UserError` for a result of another bundle besides.
    """
    with _finished(folder, catalogue) as (opened, summary), _scratch() as place:
        written_by = f"stillhouse certify {folder} --bundle DIR"
        device = device_file_of(result, bundle, place / "device.json", written_by=written_by)
        hashes = artefact_hashes(bundle, written_by=written_by)
        found = []
        for model in (ExportedModel.of(opened, p, summary) for p in _models(opened.directory)):
            known = device.get(model.key)
            if known is None or hashes.get(model.key) != sha256(model.artefact):
                raise UserError(
                    f"{bundle}: holds no measurement of {model.artefact} as it is; write the "
                    f"bundle anew with: {written_by}"
                )
            differing = moved(model.machine, device.identity)
            found.append(model.judged(opened, known.latency, differing, now()))
        _keep(opened.directory, found)
    return found


def _refuse_dynamic(opened: Opened, artefacts: Iterable[Path]) -> None:
    """A bundle holds no data, and how long such a model takes depends on them."""
    for artefact in artefacts:
        with _scratch() as folder:
            if Ways.of(opened.target, artefact, None, folder).paths[-1] != artefact:
                raise UserError(
                    f"{artefact}: stops early where it is sure, so that its latency depends on "
                    "data, which a bundle does not hold; certify it on a machine that has the "
                    "task's data, or profile the run's networks there: stillhouse profile --bundle"
                )


@contextmanager
def _finished(folder: Path, catalogue: Catalogue) -> Iterator[tuple[Opened, Mapping[str, Any]]]:
    """A finished run, held and opened, and its summary."""
    directory = RunDirectory.existing(folder)
    _models(directory)
    summary = _summary(directory.summary)
    plan = make_plan(_run_file(directory, catalogue), catalogue)
    with directory:
        yield open_run(plan, catalogue, directory, Silent()), summary


def _summary(path: Path) -> Mapping[str, Any]:
    """What was certified, on what limits and with what versions."""
    try:
        found = RunSummary.read(path)
    except FileNotFoundError:
        raise RunDirectoryError(
            f"{path}: expected the summary of a finished run, found none; finish it with: "
            f"stillhouse search --resume {path.parent}"
        ) from None
    limits = [asdict(line) for line in found.limits]
    return {"certificate": asdict(found.certificate), "limits": limits, "versions": found.versions}


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="stillhouse-") as folder:
        yield Path(folder)


def _keep(directory: RunDirectory, found: Sequence[Recertified]) -> None:
    advice = "move it aside; nothing else depends on it"
    lines = Appending(LinesFile(directory.certificates, RunDirectoryError, advice))
    try:
        lines.append(*({**asdict(one), "holds": one.holds} for one in found))
    finally:
        lines.close()


def _run_file(directory: RunDirectory, catalogue: Catalogue) -> Any:
    from stillhouse.core.config.runfile import load

    return load(directory.run_file, catalogue)


def _models(directory: RunDirectory) -> list[Path]:
    found = [p for p in (directory.folder / "front").glob("[0-9]*") if p.name.isdecimal()]
    others = sorted(found, key=lambda path: int(path.name))
    places = [path for path in (directory.best, *others) if (path / "model.json").is_file()]
    if directory.best not in places:
        raise RunDirectoryError(
            f"{directory.folder}: expected a finished run with {directory.best.name}/model.json, "
            f"found none; finish it with: stillhouse search --resume {directory.folder}"
        )
    return places
