"""An encoder's counts against networks that were built: every equality is exact."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from stillhouse.core.cost import terms
from stillhouse.core.cost.sheet import GROUPS
from stillhouse.core.errors import UserError
from stillhouse.plugins.models.encoder.hubert import HubertFamily
from stillhouse.plugins.models.encoder.network import skeleton

Structure = dict[str, Any]
Tiny = Callable[..., Structure]
Drawn = Callable[..., list[dict[str, Any]]]

FAMILY = HubertFamily()


def tensor_bytes(module: nn.Module) -> int:
    """Bytes of the tensors in a safetensors file, from its header."""
    file = safetensors.torch.save(module.state_dict())
    header = json.loads(file[8 : 8 + int.from_bytes(file[:8], "little")])
    return sum(end - begin for begin, end in (entry["data_offsets"] for entry in header.values()))


def check(full: Structure, drawn: list[dict[str, Any]], lives: Any) -> None:
    structures = [FAMILY.subnet(full, genes) for genes in drawn]
    sheet = FAMILY.sheet(full, FAMILY.columns(structures))
    assert {row.group for row in sheet.rows} <= set(GROUPS)
    found = terms.totals(sheet)
    for place, structure in enumerate(structures):
        module = skeleton(structure).to_empty(device="cpu").eval()
        assert found["parameters"][place] == sum(w.numel() for w in module.parameters())
        assert found["weight_bytes"][place] == tensor_bytes(module)
        example = torch.zeros(1, *structure["input_shape"])
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            module(example)
        assert found["macs"][place] == counter.get_total_flops() / 2
        if place % 4 == 0:
            life = lives(module, example)
            with torch.no_grad(), life:
                module(example)
            assert found["bytes_touched"][place] == life.touched
            assert found["peak_activation_bytes"][place] == life.peak()


@pytest.mark.usefixtures("attention_in_three")
@pytest.mark.parametrize("count", [40, pytest.param(200, marks=pytest.mark.slow)])
def test_random_networks_are_counted_exactly(
    tiny: Tiny, configurations: Drawn, lives: Any, count: int
) -> None:
    full = tiny(front_end="both", conv_bias=True, depth=3)
    check(full, configurations(count, full), lives)


@pytest.mark.usefixtures("attention_in_three")
def test_every_kind_is_counted_exactly(kind: Structure, configurations: Drawn, lives: Any) -> None:
    check(kind, configurations(10, kind), lives)


@pytest.mark.usefixtures("attention_in_three")
def test_long_clips_are_counted_exactly_where_the_front_end_needs_most(
    tiny: Tiny, lives: Any
) -> None:
    for front_end in ("waveform", "fbank"):
        full = tiny(samples=2000, front_end=front_end, width=4, head_dim=1)
        check(full, [{"depth": 1, "heads": [1], "ffn_ratio": [0.25]}], lives)


def test_columns_of_genes_and_of_structures_give_the_same_sheet(
    tiny: Tiny, configurations: Drawn
) -> None:
    full = tiny(front_end="both")
    drawn = configurations(20, full)
    plain = FAMILY.sheet(full, FAMILY.columns([FAMILY.subnet(full, genes) for genes in drawn]))
    genes: dict[str, Any] = {
        name: np.array([one[name] for one in drawn]) for name in ("width", "depth", "front_end")
    }
    for name in ("heads", "ffn_ratio"):
        genes[name] = np.full((20, 6), np.nan)
        for row, one in zip(genes[name], drawn, strict=True):
            row[: one["depth"]] = one[name]
    other = FAMILY.sheet(full, genes)
    for name, values in terms.totals(plain).items():
        assert np.array_equal(values, terms.totals(other, (name,))[name]), name


def test_genes_without_a_column_are_those_of_the_kept_layers(tiny: Tiny) -> None:
    full = {**tiny(), "heads": [1, 2, 3, 4, 3, 2], "hidden": [64, 32, 16, 8, 4, 2]}
    depths = np.array([6.0, 4.0, 1.0])
    structures = [FAMILY.subnet(full, {"depth": int(depth)}) for depth in depths]
    expected = FAMILY.sheet(full, FAMILY.columns(structures))
    found = FAMILY.sheet(full, {"depth": depths})
    assert np.array_equal(terms.parameters(found), terms.parameters(expected))
    assert np.array_equal(terms.macs(found), terms.macs(expected))


def test_a_network_with_several_front_ends_costs_what_it_runs(tiny: Tiny) -> None:
    both, alone = tiny(front_end="both"), tiny()
    found, expected = (FAMILY.sheet(full, FAMILY.columns([full])) for full in (both, alone))
    for name, values in terms.totals(found).items():
        assert np.array_equal(values, terms.totals(expected, (name,))[name]), name


def test_a_front_end_that_the_network_has_not_is_refused(tiny: Tiny) -> None:
    columns = {"front_end": np.array(["waveform", "mfcc"], dtype=object)}
    with pytest.raises(UserError, match="expected one of waveform, fbank, came 'mfcc'"):
        FAMILY.sheet(tiny(front_end="both"), columns)
    with pytest.raises(UserError, match="expected one of waveform, came 'mfcc'"):
        FAMILY.sheet(tiny(), columns)


def test_fixed_matrices_are_stored_but_no_parameters(tiny: Tiny) -> None:
    full = tiny(front_end="fbank")
    sheet = FAMILY.sheet(full, {})
    fixed = 2 * 5 * 8 + 5 * 8 + 2 * 8  # Fourier, mel, scale and shift
    found = terms.totals(sheet, ("parameters", "weight_bytes"))
    assert found["weight_bytes"] == 4 * (found["parameters"] + fixed)


def test_work_is_split_by_what_it_is_for(tiny: Tiny) -> None:
    groups = terms.macs_by_group(FAMILY.sheet(tiny(), {}))
    positions = 9
    assert groups["front_end"] == 19 * 6 * 4 + 9 * 6 * 6 * 3 + positions * 6 * 16
    assert groups["convolution"] == (positions + 1) * 16 * 4 * 4
    assert groups["attention_projections"] == 6 * positions * 4 * 16 * 16
    assert groups["attention_scores"] == 6 * 2 * positions * positions * 16
    assert groups["feed_forward"] == 6 * positions * 2 * 16 * 64
    assert groups["head"] == 16 * 3


def test_ten_thousand_candidates_are_costed_in_a_second(tiny: Tiny, configurations: Drawn) -> None:
    full = tiny(depth=12)
    drawn = [FAMILY.subnet(full, genes) for genes in configurations(50, full)]
    columns = {name: np.repeat(v, 200, axis=0) for name, v in FAMILY.columns(drawn).items()}
    start = time.perf_counter()
    table = terms.totals(FAMILY.sheet(full, columns))
    assert len(table["macs"]) == 10_000
    assert time.perf_counter() - start < 1
