"""What is expected of a model family."""

from __future__ import annotations

import json
from typing import Any, cast

import torch
from torch import nn

from stillhouse.core.cost import terms
from stillhouse.core.cost.counting import module_sheet
from stillhouse.core.evaluate import ModelFamily
from stillhouse.core.plugin.catalogue import Catalogue
from stillhouse.core.plugin.conformance.check import Setup, unmet
from stillhouse.core.plugin.conformance.code import final_subclass
from stillhouse.core.plugin.conformance.info import ConformanceParams
from stillhouse.core.plugin.conformance.snapshots import same_weights, seeded, unmoved
from stillhouse.core.plugin.conformance.waves import LABELS, conformance_task
from stillhouse.core.plugin.records import Record


def check_code(record: Record, setup: Setup, catalogue: Catalogue) -> None:
    """A final subclass of `ModelFamily`, built without arguments, of the record's name."""
    family = final_subclass(catalogue.resolve(record), ModelFamily)()  # type: ignore[type-abstract]
    if family.name != record.name:
        unmet(f"the family's name to be '{record.name}'", f"'{family.name}'", "give it that name")


def check_behaviour(record: Record, setup: Setup, catalogue: Catalogue) -> None:
    """Networks are a function of structure and generator, of the costs that the sheet says."""
    family = cast("type[ModelFamily]", catalogue.resolve(record))()
    structure = family.structure(record.params(**setup.params), setup.shape, len(LABELS))
    if json.loads(json.dumps(structure)) != dict(structure):
        unmet("a structure that JSON gives back", repr(structure), "use lists, not tuples")
    with unmoved("build"):
        module = _built(family, structure, 1)
    same_weights(
        module, _built(family, structure, 2), "equal networks from equal generators",
        "draw every weight from the generator given",
    )  # fmt: skip
    example = conformance_task(
        ConformanceParams(shape=list(setup.shape), tokens=setup.tokens)
    ).example(2)
    _check_answers(family, structure, module, example)
    _check_sheet(family, structure, module, example[:1])


def _built(family: ModelFamily, structure: Any, seed: int) -> nn.Module:
    with seeded(seed):
        return family.build(structure, torch.Generator().manual_seed(0)).eval()


def _check_answers(
    family: ModelFamily, structure: Any, module: nn.Module, example: torch.Tensor
) -> None:
    with torch.inference_mode():
        answers = module(example)
    if tuple(answers.shape) != (2, len(LABELS)) or not torch.isfinite(answers).all():
        expected = f"finite answers (2, {len(LABELS)}) for two inputs"
        unmet(expected, f"{tuple(answers.shape)}: {answers}", "answer (batch, outputs)")
    named = dict(module.named_modules())
    for tap in family.taps(structure):
        if tap not in named:
            unmet("taps to be names of modules", f"'{tap}'", "name what named_modules() lists")


def _check_sheet(
    family: ModelFamily, structure: Any, module: nn.Module, example: torch.Tensor
) -> None:
    sheet = family.sheet(structure, family.columns([structure]))
    count = sum(parameter.numel() for parameter in module.parameters())
    ours = terms.parameters(sheet).tolist()
    if ours != [count]:
        unmet(f"a sheet of {count} parameters, as the network has", ours, "correct the rows")
    ours, theirs = (
        terms.totals(one, ("macs",))["macs"].tolist()
        for one in (sheet, module_sheet([module], example))
    )
    if ours != theirs:
        unmet(f"a sheet of the MACs that are counted, {theirs}", ours, "correct the rows")
