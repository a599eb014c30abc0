"""HuBERT and LightHuBERT: published sizes, spaces, what they refuse."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import stillhouse.search_spaces
from stillhouse.core.cost import terms
from stillhouse.core.distill.paths import Uniform
from stillhouse.core.errors import UserError
from stillhouse.core.plugin import Catalogue
from stillhouse.core.space import Space, load_space
from stillhouse.plugins.models.encoder.hubert import HubertFamily, published_parameters
from stillhouse.plugins.models.encoder.network import skeleton
from stillhouse.plugins.models.info import HubertParams

FAMILY = HubertFamily()
BASE = FAMILY.structure(HubertParams(), (16_000,), 0)
SPACES = ("base", "small", "small-front-end")
RELEASED = {
    "base": {"width": 640, "depth": 12, "heads": [10] * 12, "ffn_ratio": [4.0] * 12},
    "small": {"width": 384, "depth": 12, "heads": [6] * 12, "ffn_ratio": [4.0] * 12},
}
PUBLISHED_M = {"base": (41.24, 66.89, 94.37), "small": (11.44, 26.87, 44.39)}


def space(name: str) -> Space:
    folder = Path(next(iter(stillhouse.search_spaces.__path__)))
    return load_space(folder / f"lighthubert-{name}.yaml")


def formula(genes: dict[str, Any]) -> int:
    """As the released code counts: with a mask vector of 768, without the prediction head."""
    width = genes["width"]
    total = 4_199_424 + 1024 + 1024 + 768 + 513 * width + 8 * width**2 + width + 2 * width
    for heads, ratio in zip(genes["heads"], genes["ffn_ratio"], strict=True):
        inner, hidden = 64 * heads, int(ratio * width)
        total += 4 * width * inner + 3 * inner + 2 * width * hidden + hidden + 6 * width
    return total


@pytest.mark.parametrize("name", ["base", "small"])
def test_published_sizes_are_met_to_the_digit(name: str) -> None:
    known = space(name)
    smallest, _, largest = known.corners()
    codes = np.stack([smallest, known.encode(RELEASED[name]), largest])
    sizes = published_parameters(BASE, known.columns(codes))
    assert [round(size / 1e6, 2) for size in sizes] == list(PUBLISHED_M[name])


@pytest.mark.parametrize("name", ["base", "small"])
def test_sizes_of_the_whole_space_follow_the_formula(name: str) -> None:
    known = space(name)
    codes = known.sample(200, np.random.default_rng(0))
    sizes = published_parameters(BASE, known.columns(codes))
    assert sizes.tolist() == [formula(known.decode(row)) for row in codes]


@pytest.mark.parametrize("name", ["base", "small"])
def test_built_networks_lack_only_the_mask_vector(name: str) -> None:
    known = space(name)
    for row in (*known.corners()[[0, 2]], *known.sample(2, np.random.default_rng(1))):
        genes = known.decode(row)
        module = skeleton(FAMILY.subnet(BASE, genes))
        assert sum(w.numel() for w in module.parameters()) == formula(genes) - 768


def test_hubert_base_has_the_size_of_the_original() -> None:
    """transformers' HubertModel has 94,371,712: 128 more for the weight norm of a kernel."""
    assert published_parameters(BASE, FAMILY.columns([BASE])) == 94_371_712 - 128


def test_the_front_end_works_for_two_and_a_half_billion_macs_a_second() -> None:
    groups = terms.macs_by_group(FAMILY.sheet(BASE, {}))
    assert round(float(groups["front_end"][0]) / 1e9, 2) == 2.45 + 0.02  # and the projection


def test_filter_banks_cost_a_tenth_of_the_waveform_front_end() -> None:
    full = FAMILY.structure(HubertParams(front_end="both"), (16_000,), 0)
    columns = {"front_end": np.array(["waveform", "fbank"], dtype=object)}
    sheet = FAMILY.sheet(full, columns)
    waveform, fbank = terms.macs_by_group(sheet)["front_end"]
    assert fbank < waveform / 10
    waveform, fbank = terms.parameters_by_group(sheet)["front_end"]
    assert fbank < waveform / 3


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("base", 6_530_347_008),
        ("small", 951_892_141_473),
        ("small-front-end", 2 * 951_892_141_473),
    ],
)
def test_spaces_have_as_many_subnets_as_were_logged(name: str, count: int) -> None:
    assert space(name).size() == count


def test_a_published_subnet_outside_the_named_space_is_refused() -> None:
    with pytest.raises(UserError, match=r"width.*384"):
        space("base").encode(RELEASED["small"])
    with pytest.raises(UserError, match=r"heads.*10"):
        space("small").encode({**RELEASED["small"], "heads": [10] * 12})


def test_every_subnet_of_the_shipped_spaces_lies_in_the_full_network() -> None:
    full = FAMILY.structure(HubertParams(front_end="both"), (16_000,), 3)
    for name in SPACES:
        known = space(name)
        for row in (*known.corners(), *known.sample(10, np.random.default_rng(2))):
            structure = FAMILY.subnet(full, known.decode(row))
            assert structure["width"] <= full["width"]
            assert structure["front_end"]["kind"] in ("waveform", "fbank")


def test_the_same_seed_draws_the_same_subnets() -> None:
    sampler = Uniform(space("small-front-end"))
    drawn = [
        [sampler.draw(step, np.random.default_rng([5, step])) for step in range(20)]
        for _ in range(2)
    ]
    assert drawn[0] == drawn[1]
    assert {genes["front_end"] for (genes,) in drawn[0]} == {"waveform", "fbank"}
    assert {genes["depth"] for (genes,) in drawn[0]} == {10, 11, 12}


def test_the_supernet_of_a_choice_holds_every_front_end() -> None:
    full = FAMILY.structure(HubertParams(front_end="both"), (16_000,), 3)
    known = space("small-front-end")
    largest = known.decode(known.corners()[2])
    whole = FAMILY.whole(full, largest)
    assert whole["front_end"]["use"] == "fbank"
    assert set(whole["front_end"]["options"]) == {"waveform", "fbank"}
    assert (whole["width"], whole["chunk"], whole["hidden"][0]) == (512, 512, 2048)
    assert FAMILY.subnet(full, largest)["front_end"]["kind"] == "fbank"


def test_scaled_networks_fit_and_keep_the_groups_whole(tiny: Callable[..., Any]) -> None:
    full = FAMILY.structure(HubertParams(front_end="both"), (16_000,), 3)
    scaled = FAMILY.scaled(full, 30_000_000)
    size = terms.parameters(FAMILY.sheet(scaled, {}))
    assert 27e6 < size[0] <= 30e6
    assert scaled["width"] % 16 == 0
    assert scaled["chunk"] == scaled["width"]
    assert scaled["front_end"]["kind"] == "waveform"
    small = FAMILY.scaled(tiny(), 5_000)
    built = FAMILY.build(small, torch.Generator())
    assert sum(w.numel() for w in built.parameters()) <= 5_000
    with pytest.raises(UserError, match="at most 10 parameters"):
        FAMILY.scaled(tiny(), 10)


def test_the_automatic_space_fits_the_network() -> None:
    from stillhouse.plugins.models.encoder.spaces import hubert

    dimensions = hubert(HubertParams(front_end="both"))
    assert all(width % 16 == 0 for width in dimensions["width"]["choices"])
    assert max(dimensions["width"]["choices"]) == 768
    assert dimensions["heads"]["per"] == dimensions["ffn_ratio"]["per"] == "depth"
    assert dimensions["front_end"]["choices"] == ["waveform", "fbank"]
    assert "front_end" not in hubert(HubertParams())


def test_the_record_and_its_space_need_no_torch() -> None:
    code = (
        "import sys\n"
        "from stillhouse.plugins.models.info import HubertParams, stillhouse_models\n"
        "from stillhouse.plugins.models.encoder.spaces import hubert\n"
        "hubert(HubertParams()); list(stillhouse_models())\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_catalogue_knows_the_family() -> None:
    catalogue = Catalogue.discover()
    record = catalogue.model("hubert")
    assert catalogue.resolve(record) is HubertFamily
    assert "transformers.models.hubert.modeling_hubert.HubertModel" in record.converts


def test_heads_and_masks_have_their_places(tiny: Callable[..., Any]) -> None:
    assert FAMILY.head(tiny()) == "head"
    assert FAMILY.head(tiny(outputs=0)) is None
    module = FAMILY.build(tiny(), torch.Generator())
    point = FAMILY.masking_point(tiny())
    assert point is not None
    assert module.get_submodule(point)(torch.zeros(2, 40)).shape == (2, 9, 16)


def test_weights_come_from_a_folder_of_transformers(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    shape = {"width": 32, "depth": 2, "heads": 2, "head_dim": 16, "channels": 8}
    small = HubertParams(**shape, position_kernel=8, position_groups=4)
    full = FAMILY.structure(small, (1600,), 0)
    network = FAMILY.build(full, torch.Generator().manual_seed(0)).eval()
    folder = tmp_path / "hubert"
    FAMILY.save_foreign(network, folder)
    params = HubertParams(**shape, position_kernel=8, position_groups=4, folder=str(folder))
    found = FAMILY.pretrained(params, full)
    assert found is not None
    again = FAMILY.build(full, torch.Generator().manual_seed(1)).eval()
    again.load_state_dict(dict(found))
    x = torch.randn(2, 1600, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(again(x), network(x), rtol=1e-4, atol=1e-4)
    assert FAMILY.pretrained(small, full) is None
    assert len(FAMILY.weights_source(params)) == 64
    assert FAMILY.weights_source(small) == ""
    with pytest.raises(UserError, match="width 16, they are of one with width 32"):
        FAMILY.pretrained(params, {**full, "width": 16})
    fbank = HubertParams(**shape, front_end="fbank", folder=str(folder))
    other = FAMILY.structure(fbank, (1600,), 0)
    with pytest.raises(UserError, match="need front_end: waveform, came fbank"):
        FAMILY.pretrained(fbank, other)
    with pytest.raises(UserError, match="expected a file of a transformers model"):
        FAMILY.weights_source(HubertParams(folder=str(tmp_path / "none")))
