"""`stillhouse profile`: measure a device, here or through a bundle, into a device file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from stillhouse.core.errors import UserError

if TYPE_CHECKING:
    from stillhouse.core.config.records import TargetSection
    from stillhouse.core.measure.bundle import Bundle
    from stillhouse.core.measure.device import DeviceFile
    from stillhouse.core.plugin import Catalogue
    from stillhouse.core.run.opened import Opened

_TARGET = "onnxruntime-cpu"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "profile",
        help="measure a device into a file that runs can name",
        description="Measure operators, and with --run a run's networks, on this machine; or write "
        "a folder that measures them on another device, and read back what it found.",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="device file to write or continue")
    parser.add_argument(
        "--bundle", type=Path, metavar="DIR", help="folder to carry to a device and measure there"
    )
    parser.add_argument(
        "--from-result", type=Path, metavar="RESULT",
        help="result.json of the bundle --bundle, to turn into the device file --out",
    )  # fmt: skip
    parser.add_argument("--target", metavar="NAME", help=f"default: {_TARGET}")
    parser.add_argument(
        "--run", type=Path, metavar="RUN_FILE", dest="run_file",
        help="measure this run's networks and operators too, on its target",
    )  # fmt: skip
    parser.add_argument(
        "--networks", type=int, metavar="N",
        help="with --run: how many networks (the run's target.profile, with --adapt 10)",
    )  # fmt: skip
    parser.add_argument(
        "--adapt", type=Path, metavar="DEVICE",
        help="with --run: take another device's latency model along, to be adapted to this one",
    )  # fmt: skip
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="sets",
        help="a setting of the target, e.g. batch=4; with --run a key of the run file",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure, write a bundle, or read its result."""
    _check(args)
    if args.bundle and not args.from_result:
        return _bundle(args)
    try:
        device = _result(args) if args.from_result else _measure(args)
    except KeyboardInterrupt:
        print(
            f"\nstopped; what was measured is kept in {args.out}, and the same command goes on",
            file=sys.stderr,
        )
        return 130
    print(f"{args.out}: {device.describe()}")
    print(f"name it in a run file: target: {{device: {args.out}}}")
    return 0


def _check(args: argparse.Namespace) -> None:
    problems = {
        "expected --out FILE for the measurements, or --bundle DIR to measure elsewhere": not (
            args.out or args.bundle
        ),
        "--from-result needs the bundle's folder, --bundle DIR, and --out FILE": args.from_result
        and not (args.bundle and args.out),
        "--bundle DIR writes a folder and measures nothing; --out FILE goes with --from-result": (
            args.bundle and args.out and not args.from_result
        ),
        "--adapt and --networks are about a run's networks: add --run RUN_FILE": (
            not args.run_file and (args.adapt or args.networks is not None)
        ),
        "--run RUN_FILE names the target; leave --target out, or use --set target.runtime=NAME": (
            args.run_file and args.target
        ),
        "--networks: expected at least 1": args.networks is not None and args.networks < 1,
        "--from-result reads what the bundle fixed: --target, --set and --networks have no place "
        "there": args.from_result
        and (args.target or args.networks is not None or (args.sets and not args.run_file)),
        "--from-result takes --run only together with --adapt": (
            args.from_result and args.run_file and not args.adapt
        ),
        "--bundle DIR measures nothing yet; give --adapt with --from-result": (
            args.bundle and args.adapt and not args.from_result
        ),
    }
    for problem, met in problems.items():
        if met:
            raise UserError(f"{problem} (stillhouse profile --help)")


def _measure(args: argparse.Namespace) -> DeviceFile:
    from stillhouse.core.cli.progress import bars
    from stillhouse.core.run import device_profile

    if args.run_file:
        with _opened(args) as opened:
            adapt = _adapting(args, opened)
            count = args.networks or (device_profile.ADAPTING if args.adapt else None)
            found = device_profile.profile_run(opened, args.out, count, blocks=not args.adapt)
            adapt(found.device)
    else:
        section, catalogue = _alone(args)
        with bars() as progress:
            found = device_profile.profile_target(section, catalogue, args.out, progress)
    _note(*found.notes)
    return found.device


def _bundle(args: argparse.Namespace) -> int:
    from stillhouse.core.cli.progress import bars
    from stillhouse.core.run import device_profile

    if args.run_file:
        with _opened(args) as opened:
            written = device_profile.bundle_run(opened, args.bundle, args.networks)
    else:
        section, catalogue = _alone(args)
        with bars() as progress:
            written = device_profile.bundle_target(section, catalogue, args.bundle, progress)
    _tell(written)
    return 0


def _tell(written: Bundle) -> None:
    print(
        f"{written.folder}: {written.networks} networks, {written.blocks} operators, "
        f"{written.size_bytes / 1e6:.1f} MB"
    )
    print(f"copy it to the device and run there: python {written.folder.name}/measure.py")


def _result(args: argparse.Namespace) -> DeviceFile:
    from stillhouse.core.measure.bundle_result import device_file_of, runtime_note

    with _opened(args) if args.run_file else nullcontext() as opened:
        adapt = _adapting(args, opened)
        device = device_file_of(args.from_result, args.bundle, args.out)
        adapt(device)
    _note(runtime_note(args.bundle, device))
    return device


def _note(*notes: str | None) -> None:
    for note in filter(None, notes):
        print(f"note: {note}", file=sys.stderr)


def _adapting(args: argparse.Namespace, opened: Opened | None) -> Callable[[DeviceFile], None]:
    """What takes the other device's model along; made before anything is measured."""
    if opened is None or not args.adapt:
        return lambda device: None
    from stillhouse.core.measure.device import DeviceFile
    from stillhouse.core.run.device_models import choice_from

    other = DeviceFile.read(args.adapt)
    model = choice_from(opened, other).model.to_json()
    return lambda device: device.set_adapted_from(other, model)


def _alone(args: argparse.Namespace) -> tuple[TargetSection, Catalogue]:
    from stillhouse.core.config.target_alone import target_alone
    from stillhouse.core.plugin import Catalogue

    catalogue = Catalogue.discover()
    return target_alone(args.target or _TARGET, args.sets, catalogue), catalogue


@contextmanager
def _opened(args: argparse.Namespace) -> Iterator[Opened]:
    from stillhouse.core.cli.progress import bars
    from stillhouse.core.config.runfile import load_with_plugins
    from stillhouse.core.plan import make_plan
    from stillhouse.core.plugin import Catalogue
    from stillhouse.core.run.device_profile import opened_for_profile

    run_file, catalogue = load_with_plugins(args.run_file, Catalogue.discover(), args.sets)
    plan = make_plan(run_file, catalogue)
    with bars() as progress, opened_for_profile(plan, catalogue, progress) as opened:
        yield opened
