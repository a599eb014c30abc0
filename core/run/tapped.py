"""The taps of a network, wherever it is described: a run file, a family, a run, a configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast, final

import torch
from torch import nn

from stillhouse.core.config.records import PluginUse
from stillhouse.core.config.runfile import load_with_plugins
from stillhouse.core.distill.blocks import Block
from stillhouse.core.distill.from_config import CONFIG, configured_blocks
from stillhouse.core.errors import UserError, nearest
from stillhouse.core.evaluate import ModelFamily, Task
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.loading import described, load
from stillhouse.core.run.opened import built

Shape = tuple[int, ...]

RUN_FILES: Final = (".yaml", ".yml")
USUAL: Final[tuple[Shape, ...]] = ((128,), (16_000,), (32, 32), (3, 32, 32))
"""Inputs that a family is asked about where none is given: tokens, a second at 16 kHz, an image."""


@final
@dataclass(frozen=True)
class Tapped:
    """A network's taps in order of depth; `input_shape` is without the batch."""

    what: str
    input_shape: Shape
    taps: tuple[Block, ...]

    @property
    def stages(self) -> int:
        return self.taps[-1].stage + 1


def tapped(model: str, input_shape: Shape | None, catalogue: Catalogue) -> Iterator[Tapped]:
    """The networks that `model` describes, with their taps.

    It is a run file (its teacher and its student), the name of a model family (of its default
    shape), the folder of a run or its `best/`, or one with a `config.json` of transformers.
    `input_shape` is without the batch; by default the first of `USUAL` that a family takes.

    Raises:
        UserError: it is none of these, cannot be built, or has no taps; or an input shape is given
            where the run has one.
    """
    place = Path(model)
    if place.suffix not in RUN_FILES and model in catalogue.names("model"):
        yield _of_family(model, input_shape, catalogue)
    elif place.is_dir() and (place / CONFIG).is_file():
        yield _of_config(place, input_shape)
    elif input_shape is not None:
        raise UserError(f"{model}: --input is for a model family or a {CONFIG}, leave it out here")
    elif place.suffix in RUN_FILES:
        yield from _of_run_file(place, catalogue)
    elif any((place / one).is_file() for one in ("model.json", "best/model.json")):
        yield _of_run(place, catalogue)
    elif place.is_dir():
        raise UserError(
            f"{place}: expected a finished run (with model.json) or a model of transformers (with "
            f"{CONFIG}), found neither; name such a folder"
        )
    else:
        families = catalogue.names("model")
        raise UserError(
            f"expected a run file, a folder, or a model family ({', '.join(families)}), got "
            f"'{model}'{nearest(model, families)}"
        )


def _of_run_file(path: Path, catalogue: Catalogue) -> Iterator[Tapped]:
    run, catalogue = load_with_plugins(path, catalogue)
    task = cast(Task, built(catalogue, catalogue.task(run.task.name), run.task.fixed))
    seen = task.viewed(run.teacher.training.channels), task.viewed(run.student_channels)
    yield _of_use("teacher", run.teacher.model, seen[0], catalogue)
    yield _of_use("student", run.student, seen[1], catalogue)


def _of_use(role: str, use: PluginUse, task: Task, catalogue: Catalogue) -> Tapped:
    family = _family(use.name, catalogue)
    params = catalogue.model(use.name).params(**use.fixed)
    structure = family.structure(params, task.input_shape, task.outputs)
    return _of_structure(f"{role} {use.name}", family, structure)


def _of_family(name: str, shape: Shape | None, catalogue: Catalogue) -> Tapped:
    family, params = _family(name, catalogue), catalogue.model(name).params()
    refused: list[str] = []
    for candidate in USUAL if shape is None else (shape,):
        try:
            structure = family.structure(params, candidate, 2)
        except UserError as error:
            refused.append(str(error))
        else:
            return _of_structure(f"model {name}", family, structure)
    raise UserError(f"{refused[-1]}; say the shape of an input with --input, as in 1x16000")


def _of_run(folder: Path, catalogue: Catalogue) -> Tapped:
    record = described(folder)
    family = _family(record["family"], catalogue)
    module = load(folder, catalogue)
    return _named(f"run {folder}, {family.name}", family, record["structure"], module)


def _of_config(folder: Path, shape: Shape | None) -> Tapped:
    found = configured_blocks(folder, None if shape is None else (1, *shape))
    return Tapped(f"folder {folder}, {found.kind}", found.input_shape[1:], found.blocks)


def _of_structure(what: str, family: ModelFamily, structure: Mapping[str, Any]) -> Tapped:
    module = family.build(structure, torch.Generator().manual_seed(0))
    return _named(what, family, structure, module)


def _named(
    what: str, family: ModelFamily, structure: Mapping[str, Any], module: nn.Module
) -> Tapped:
    """The taps that a family names in a network of its own."""
    named = zip(family.taps(structure).items(), family.stages(structure), strict=True)
    taps = tuple(Block(tap, _kind(module, tap), stage, width) for (tap, width), stage in named)
    return Tapped(what, tuple(structure["input_shape"]), taps)


def _kind(module: nn.Module, tap: str) -> str:
    """The class of the block that a tap shows: the tap itself, or what holds it, with weights."""
    try:
        part = module.get_submodule(tap)
    except AttributeError:
        raise UserError(
            f"tap '{tap}' of the model family is no layer of this network any more: a method "
            "changed its form"
        ) from None
    if next(part.parameters(), None) is None and "." in tap:
        return _kind(module, tap.rpartition(".")[0])
    return type(part).__name__


def _family(name: str, catalogue: Catalogue) -> ModelFamily:
    return cast("type[ModelFamily]", catalogue.resolve(catalogue.model(name)))()
