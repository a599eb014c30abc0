"""`stillhouse taps`: the layers of a network that a student can learn from."""

from __future__ import annotations

import argparse
import shutil
from typing import TYPE_CHECKING, Final

from stillhouse.core.cli.columns import Row, columns
from stillhouse.core.cli.plugin_file import add_plugins_argument, catalogue_with
from stillhouse.core.errors import UserError

if TYPE_CHECKING:
    from stillhouse.core.run.tapped import Tapped

_HEADER: Final = ("NUMBER", "TAP", "WIDTH", "STAGE", "CLASS")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "taps",
        help="list a network's layers to distil from",
        description="List the blocks of a network by number, name, width, stage and class: of a "
        "run file's teacher and student, of a model family, of a finished run, or of a folder with "
        "a config.json of transformers, which needs no weights.",
    )
    parser.add_argument("model", metavar="MODEL", help="a run file, a folder, or a model family")
    parser.add_argument(
        "--input", metavar="SHAPE", dest="shape",
        help="an input's shape, the batch first, as in 1x16000; for a model family or config.json",
    )  # fmt: skip
    add_plugins_argument(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print a table for each network. Raises UserError for what is no network or has no taps."""
    shape = None if args.shape is None else _shape(args.shape)
    from stillhouse.core.run.tapped import tapped

    found = tapped(args.model, shape, catalogue_with(args.plugins))
    print("\n\n".join("\n".join(_page(network)) for network in found))
    return 0


def _shape(text: str) -> tuple[int, ...]:
    """The shape without the batch. Raises UserError for anything but whole numbers above 0."""
    sizes = text.lower().split("x")
    if len(sizes) < 2 or not all(size.isdecimal() and int(size) for size in sizes):
        raise UserError(
            "--input: expected the batch and the sizes of an input with x between them, as in "
            f"1x16000 or 1x3x32x32, got '{text}'"
        )
    return tuple(map(int, sizes[1:]))


def _page(network: Tapped) -> list[str]:
    stages = f"{network.stages} stage{'s' if network.stages > 1 else ''}"
    shape = "x".join(map(str, (1, *network.input_shape)))
    rows = [
        Row((str(number), tap.name, str(tap.width), str(tap.stage), tap.kind))
        for number, tap in enumerate(network.taps)
    ]
    title = f"{network.what}: {len(rows)} taps in {stages}, input {shape}"
    return [title, *columns(_HEADER, rows, width=shutil.get_terminal_size().columns)]
