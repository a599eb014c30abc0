"""The sheet's counts against random networks: every equality is exact."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from stillhouse.core.cost import terms
from stillhouse.core.cost.sheet import GROUPS, OperatorSheet
from stillhouse.plugins.models.info import KeywordTransformerParams
from stillhouse.plugins.models.keyword_transformer import KeywordTransformerFamily
from stillhouse.plugins.models.keyword_transformer.network import KeywordTransformer, skeleton

FAMILY = KeywordTransformerFamily()


def full(head_dim: int, frames: int) -> Any:
    params = KeywordTransformerParams(width=24, depth=3, heads=4, head_dim=head_dim, ffn_ratio=2.0)
    return FAMILY.structure(params, (frames, 5), 3)


LONG, SHORT = full(head_dim=4, frames=7), full(head_dim=12, frames=5)
"""Where attention is widest at its scores, and where at its values."""


def structures(count: int, seed: int = 0, whole: Any = LONG) -> list[Any]:
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(count):
        depth = int(rng.integers(1, 4))
        configuration = {
            "width": int(rng.integers(2, 25)),
            "depth": depth,
            "heads": [int(h) for h in rng.integers(1, 5, depth)],
            "ffn_ratio": [float(r) for r in rng.choice([0.25, 0.7, 1.0, 1.3, 2.0], depth)],
        }
        drawn.append(FAMILY.subnet(whole, configuration))
    return drawn


def network(structure: Any) -> KeywordTransformer:
    return skeleton(structure).to_empty(device="cpu").eval()


def tensor_bytes(module: nn.Module) -> int:
    """Bytes of the tensors in a safetensors file, from its header."""
    file = safetensors.torch.save(module.state_dict())
    length = int.from_bytes(file[:8], "little")
    header = json.loads(file[8 : 8 + length])
    held = sum(end - begin for begin, end in (entry["data_offsets"] for entry in header.values()))
    assert 8 + length + held == len(file)
    return held


def by_group(counter: FlopCounterMode) -> dict[str, float]:
    """torch's own count, split by the modules that the network is made of."""
    found = dict.fromkeys(("attention_projections", "attention_scores", "feed_forward"), 0.0)
    for module, counts in counter.get_flop_counts().items():
        products = counts.get(torch.ops.aten.bmm, 0) / 2
        multiplied = sum(counts.values()) / 2
        match module.split(".")[1:]:
            case ["blocks", _, "attention"]:
                found["attention_scores"] += products
                found["attention_projections"] += multiplied - products
            case ["blocks", _, "feed_forward"]:
                found["feed_forward"] += multiplied
            case ["frames"]:
                found["front_end"] = multiplied
            case ["head"]:
                found["head"] = multiplied
    return found


def ran(structure: Any, lives: Any) -> tuple[FlopCounterMode, Any]:
    module, example = network(structure), torch.zeros(1, *structure["input_shape"])
    life = lives(module, example)
    with torch.no_grad(), FlopCounterMode(display=False) as counter, life:
        module(example)
    return counter, life


def at(counts: dict[str, Any], place: int) -> dict[str, float]:
    return {name: values[place] for name, values in counts.items() if values[place]}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((LONG, 25), id="long"),
        pytest.param((SHORT, 25), id="short"),
        pytest.param((LONG, 100), id="long, many", marks=pytest.mark.slow),
        pytest.param((SHORT, 100), id="short, many", marks=pytest.mark.slow),
    ],
)
def drawn(request: pytest.FixtureRequest) -> list[Any]:
    whole, count = request.param
    return structures(count, whole=whole)


@pytest.fixture(scope="module")
def sheet(drawn: list[Any]) -> OperatorSheet:
    return FAMILY.sheet(drawn[0], FAMILY.columns(drawn))


def test_what_is_stored_is_what_the_built_networks_hold(
    drawn: list[Any], sheet: OperatorSheet
) -> None:
    parameters, stored = terms.parameters(sheet), terms.weight_bytes(sheet)
    for place, structure in enumerate(drawn):
        module = network(structure)
        assert parameters[place] == sum(w.numel() for w in module.parameters())
        assert stored[place] == tensor_bytes(module)


def test_half_precision_halves_the_file(drawn: list[Any], sheet: OperatorSheet) -> None:
    stored = terms.weight_bytes(sheet.map(lambda row: {"weight_bits": 16}))
    for place in range(20):
        assert stored[place] == tensor_bytes(network(drawn[place]).half())


@pytest.mark.usefixtures("attention_in_three")
def test_what_runs_is_what_torch_runs(drawn: list[Any], sheet: OperatorSheet, lives: Any) -> None:
    macs, groups = terms.macs(sheet), terms.macs_by_group(sheet)
    touched, peak = terms.bytes_touched(sheet), terms.peak_activation_bytes(sheet)
    for place, structure in enumerate(drawn):
        counter, life = ran(structure, lives)
        assert macs[place] == counter.get_total_flops() / 2
        assert at(groups, place) == by_group(counter)
        assert touched[place] == life.touched
        assert peak[place] == life.peak()


def test_parameters_split_into_the_modules_they_belong_to(
    drawn: list[Any], sheet: OperatorSheet
) -> None:
    groups = terms.parameters_by_group(sheet)
    for place in range(20):
        module = network(drawn[place])
        parts = {
            "front_end": [module.frames],
            "embedding": [module.positions],
            "norm": [module.norm, *(n for b in module.blocks for n in (b.norm1, b.norm2))],
            "attention_projections": [b.attention for b in module.blocks],
            "feed_forward": [b.feed_forward for b in module.blocks],
            "head": [module.head],
        }
        held = {
            group: sum(w.numel() for part in modules for w in part.parameters())
            for group, modules in parts.items()
        }
        assert at(groups, place) == held


def test_groups_are_the_vocabulary_of_all_sheets(sheet: OperatorSheet) -> None:
    assert {row.group for row in sheet.rows} <= set(GROUPS)


def test_the_exported_file_holds_the_weights_and_32_bytes_of_shapes() -> None:
    onnx = pytest.importorskip("onnx")
    from stillhouse.plugins.targets.exporters import exported_graph
    from stillhouse.plugins.targets.tidy import tidied

    drawn, example = structures(6, seed=3), torch.zeros(1, 7, 5)
    stored = terms.weight_bytes(FAMILY.sheet(LONG, FAMILY.columns(drawn)))
    for place, structure in enumerate(drawn):
        module = FAMILY.build(structure, torch.Generator().manual_seed(0)).eval()
        for seed, weight in enumerate(module.parameters()):
            # Equal tensors would be stored once.
            nn.init.normal_(weight, generator=torch.Generator().manual_seed(seed))
        graph = tidied(exported_graph(module, example, "auto", 23)[0], 23).graph
        arrays = [onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer]
        assert stored[place] == sum(a.nbytes for a in arrays if a.dtype == np.float32)
        # Three sizes of a reshape and the axis of the mean.
        assert sum(a.nbytes for a in arrays if a.dtype != np.float32) == 32
