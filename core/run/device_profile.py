"""Devices profiled: here, or elsewhere through a bundle; alone, or for the networks of a run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from stillhouse.core.config.records import TargetSection
from stillhouse.core.cost.latency.shapes import Shape
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Progress
from stillhouse.core.evaluate.skeletons import skeleton
from stillhouse.core.measure import DeviceFile, Exported, Target
from stillhouse.core.measure.bench import export_untrained
from stillhouse.core.measure.blocks import wanted_shapes
from stillhouse.core.measure.bundle import Bundle, Networks, write_bundle
from stillhouse.core.measure.identity import without_export
from stillhouse.core.measure.profile import profile, shapes_of_interest, writes_blocks
from stillhouse.core.plan import Plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.examples import example_of
from stillhouse.core.run.opened import Opened, built, open_run
from stillhouse.core.run.predictor import measure
from stillhouse.core.run.profiled import (
    RunProfile,
    plain,
    run_identity,
    run_profile,
)

ADAPTING: Final = 10
"""Networks measured to adapt another device's model."""


@dataclass(frozen=True, eq=False)
class Profiled:
    """A device file with what was measured, and what is to be said about it."""

    device: DeviceFile
    notes: tuple[str, ...] = ()


def profile_target(
    section: TargetSection, catalogue: Catalogue, out: Path, progress: Progress
) -> Profiled:
    """Measure operators of general sizes on a target into the device file `out`.

    Raises `UserError` when the target measures no single operators, or when `out` holds another
    device or setting.
    """
    target = _target(section, catalogue)
    _refuse_without_blocks(target)
    device = own_file(out, without_export(target.identity()))
    refused = profile(target, device, shapes_of_interest(), progress, section.repeats)
    return Profiled(device, _refusals(refused))


def profile_run(
    opened: Opened, out: Path, count: int | None = None, *, blocks: bool = True
) -> Profiled:
    """Measure a run's networks, `count` or as many as it says, and its operators into `out`."""
    device = own_file(out, run_identity(opened))
    wanted = run_profile(opened, count)
    measure_networks(opened, device, wanted)
    if not blocks:
        return Profiled(device)
    target = opened.target
    if not writes_blocks(target):
        note = f"target {target.name} measures no single operators: no table, no roofline"
        return Profiled(device, (note,))
    shapes = shapes_of_interest(wanted_shapes(wanted.sheet))
    repeats = opened.plan.run.target.repeats
    refused = profile(target, device, shapes, opened.context.progress, repeats)
    return Profiled(device, _refusals(refused))


def measure_networks(opened: Opened, device: DeviceFile, wanted: RunProfile) -> None:
    """Measure networks with random weights, and keep their structures beside their latencies."""
    described = [plain(structure) for structure in wanted.structures.values()]
    measure(opened, device, described)
    device.put_structures(wanted.family, wanted.structures)


def bundle_target(
    section: TargetSection, catalogue: Catalogue, folder: Path, progress: Progress
) -> Bundle:
    """Write a bundle of operators of general sizes."""
    target = _target(section, catalogue)
    identity = without_export(target.identity())
    return write_bundle(
        folder, target, identity, shapes_of_interest(), None, progress, section.repeats
    )


def bundle_run(opened: Opened, folder: Path, count: int | None = None) -> Bundle:
    """Write a bundle of a run's networks, `count` or as many as it says, and its operators."""
    wanted = run_profile(opened, count)

    def export(structure: Mapping[str, Any], path: Path) -> Exported:
        return export_untrained(
            plain(structure),
            lambda described, generator: skeleton(described, generator, opened.catalogue),
            opened.target,
            example_of(opened, structure),
            path,
            opened.context.root_seed,
        )

    shapes = shapes_of_interest(wanted_shapes(wanted.sheet)) if writes_blocks(opened.target) else []
    return write_bundle(
        folder,
        opened.target,
        run_identity(opened),
        shapes,
        Networks(wanted.family, wanted.structures, export),
        opened.context.progress,
        opened.plan.run.target.repeats,
    )


def own_file(out: Path, identity: Mapping[str, Any]) -> DeviceFile:
    """A device file to add to. Raises `UserError` when it is another device's."""
    device = DeviceFile.open(out, identity)
    if device.foreign:
        raise UserError(
            f"{out} holds another device's measurements ({device.describe()}); name a new file "
            "with --out"
        )
    return device


@contextmanager
def opened_for_profile(plan: Plan, catalogue: Catalogue, progress: Progress) -> Iterator[Opened]:
    """A plan brought to life without a run directory: nothing of it is kept."""
    with tempfile.TemporaryDirectory(prefix="stillhouse-") as folder:
        yield open_run(plan, catalogue, RunDirectory(Path(folder)), progress)


def _target(section: TargetSection, catalogue: Catalogue) -> Target:
    runtime = section.runtime
    return cast(Target, built(catalogue, catalogue.target(runtime.name), runtime.fixed))


def _refuse_without_blocks(target: Target) -> None:
    if not writes_blocks(target):
        raise UserError(
            f"target {target.name} cannot measure single operators, and without --run there is "
            "nothing else to measure; name a run file with --run"
        )


def _refusals(shapes: Sequence[Shape]) -> tuple[str, ...]:
    if not shapes:
        return ()
    kinds = ", ".join(sorted({shape.layout for shape in shapes}))
    return (f"{len(shapes)} operators cannot be measured on this target: {kinds}",)
