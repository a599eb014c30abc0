"""What is expected of a target."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from stillhouse.core.errors import UserError
from stillhouse.core.measure import Target
from stillhouse.core.plugin.catalogue import Catalogue
from stillhouse.core.plugin.conformance.check import Setup, unmet
from stillhouse.core.plugin.conformance.snapshots import unmoved
from stillhouse.core.plugin.records import Record

_CLOSE = 1e-3


def check_code(record: Record, setup: Setup, catalogue: Catalogue) -> None:
    """Called with its parameters, the code gives a `Target`, or refuses this machine in words."""
    made = _built(record, setup, catalogue)
    if made is not None and not isinstance(made, Target):
        unmet("build(params) to give a core.measure.Target", repr(made), "derive from Target")


def check_behaviour(record: Record, setup: Setup, catalogue: Catalogue) -> None:
    """A small network is exported and answers as in torch; the identity is plain data."""
    target = _built(record, setup, catalogue)
    if target is None:
        return
    try:
        identity = dict(target.identity())
    except UserError:
        return
    if json.loads(json.dumps(identity)) != identity:
        unmet("an identity that JSON gives back", repr(identity), "use text and numbers")
    generator = torch.Generator().manual_seed(0)
    module, example = _network(generator), torch.randn(1, 6, generator=generator)
    with tempfile.TemporaryDirectory(prefix="stillhouse-") as folder, unmoved("export"):
        exported = target.export(module, example, Path(folder, f"small{target.suffix}"))
        theirs = torch.from_numpy(target.run(exported.path, example))
    with torch.inference_mode():
        difference = float((module(example) - theirs).abs().max())
    if not difference <= _CLOSE:
        unmet("answers as torch gives them", f"{difference:g} away", "mend export or run")


def _built(record: Record, setup: Setup, catalogue: Catalogue) -> Target | None:
    """The target; None where it says that this machine has not got what it needs."""
    build = cast("Callable[[Any], Target]", catalogue.resolve(record))
    try:
        return build(record.params(**setup.params))
    except UserError:
        return None


def _network(generator: torch.Generator) -> nn.Module:
    layers = [nn.Linear(6, 5, device="meta"), nn.Linear(5, 3, device="meta")]
    for layer in layers:
        layer.weight = nn.Parameter(torch.randn(layer.weight.shape, generator=generator))
        layer.bias = nn.Parameter(torch.randn(layer.bias.shape, generator=generator))
    return nn.Sequential(layers[0], nn.ReLU(), layers[1]).eval()
