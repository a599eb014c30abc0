"""The elastic encoder: slices, extraction, nestedness, taps."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stillhouse.core.distill.taps import tapped
from stillhouse.core.errors import UserError
from stillhouse.plugins.models.encoder.elastic import ElasticEncoder
from stillhouse.plugins.models.encoder.hubert import HubertFamily
from stillhouse.plugins.models.encoder.network import Encoder
from stillhouse.plugins.models.encoder.structure import kept_layers

Structure = dict[str, Any]
Built = Callable[..., Encoder]
Inputs = Callable[..., Tensor]
Drawn = Callable[..., list[dict[str, Any]]]
Tiny = Callable[..., Structure]

FAMILY = HubertFamily()
SMALLEST = {"width": 4, "depth": 1, "heads": [1], "ffn_ratio": [0.25]}


def elastic(module: Encoder) -> ElasticEncoder:
    return FAMILY.elastic(module)


def test_the_full_configuration_is_the_plain_network_bit_for_bit(
    kind: Structure, built: Built, inputs: Inputs
) -> None:
    module, x = built(kind), inputs(kind)
    twin = elastic(module)
    assert torch.equal(twin(x), module(x))
    assert {n: t.shape for n, t in twin.state_dict().items()} == {
        n: t.shape for n, t in module.state_dict().items()
    }
    twin.set_active(SMALLEST)
    twin(x)
    twin.extract()
    twin.set_active(twin.full)
    assert torch.equal(twin(x), module(x))
    for name, weight in module.state_dict().items():
        assert torch.equal(twin.state_dict()[name], weight), name


def test_an_extracted_subnet_answers_as_its_slice_bit_for_bit(
    kind: Structure, built: Built, inputs: Inputs, configurations: Drawn
) -> None:
    twin, x = elastic(built(kind)), inputs(kind)
    for genes in configurations(12, kind):
        twin.set_active(genes)
        assert twin.active() == genes
        extracted = twin.extract()
        assert torch.equal(extracted(x), twin(x))
        assert extracted.structure == twin.structure(genes) == FAMILY.subnet(kind, genes)
        rebuilt = FAMILY.build(json.loads(json.dumps(extracted.structure)), torch.Generator())
        rebuilt.load_state_dict(extracted.state_dict(), strict=True)
        assert torch.equal(rebuilt.eval()(x), twin(x))
        again = FAMILY.elastic(extracted)
        assert torch.equal(again(x), twin(x))


def test_a_choice_runs_one_front_end_and_extracts_to_it_alone(
    tiny: Tiny, built: Built, inputs: Inputs, configurations: Drawn
) -> None:
    full = tiny(front_end="both")
    module, x = built(full), inputs(full)
    twin = elastic(module)
    assert twin.full["front_end"] == "waveform"
    assert torch.equal(twin(x), module(x))
    alone = {name: tiny(front_end=name) for name in ("waveform", "fbank")}
    for genes in configurations(8, full):
        twin.set_active(genes)
        extracted = twin.extract()
        assert torch.equal(extracted(x), twin(x))
        rest = {name: value for name, value in genes.items() if name != "front_end"}
        expected = FAMILY.subnet(alone[genes["front_end"]], rest)
        assert extracted.structure["front_end"].pop("option") == genes["front_end"]
        assert extracted.structure == expected
    assert not torch.equal(*(_answer(twin, name, x) for name in alone))


def _answer(twin: ElasticEncoder, front_end: str, x: Tensor) -> Tensor:
    twin.set_active({"front_end": front_end})
    return twin(x)


def test_smaller_subnets_use_only_weights_that_larger_ones_use(tiny: Tiny) -> None:
    """Every weight is the place it lies at in storage."""
    module = FAMILY.build(tiny(), torch.Generator())
    places = 0
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.arange(places, places + weight.numel()).view_as(weight))
            places += weight.numel()
    assert places < 2**24, "float32 tells the places apart"
    twin = elastic(module)
    for ratio in (1.0, 3.0, 3.5, 4.0):
        found = []
        for width in (4, 8, 12, 16):
            twin.set_active({"width": width, "depth": 4, "heads": 3, "ffn_ratio": ratio})
            weights = {n: set(w.flatten().tolist()) for n, w in twin.extract().named_parameters()}
            found.append(weights)
        for small, large in itertools.pairwise(found):
            assert small.keys() == large.keys()
            assert all(small[name] <= large[name] for name in small)


def test_a_narrower_feed_forward_takes_the_first_rows_of_every_chunk(tiny: Tiny) -> None:
    """LightHuBERT's released code: of four chunks of 16 rows, 8 each; of 3.5, the last cut."""
    module = FAMILY.build(tiny(), torch.Generator())
    up = module.layers[0].feed_forward.up
    with torch.no_grad():
        up.bias.copy_(torch.arange(64))
    twin = elastic(module)
    for ratio, rows in (
        (4.0, [*range(8), *range(16, 24), *range(32, 40), *range(48, 56)]),
        (3.5, [*range(8), *range(16, 24), *range(32, 40), *range(48, 52)]),
    ):
        twin.set_active({"width": 8, "ffn_ratio": ratio})
        assert twin.extract().layers[0].feed_forward.up.bias.tolist() == rows


def test_positions_keep_the_first_channels_of_every_group(tiny: Tiny, built: Built) -> None:
    module = built(tiny())
    twin = elastic(module)
    twin.set_active({"width": 8})
    whole = module.positions.conv.weight
    assert torch.equal(twin.extract().positions.conv.weight, whole[:8, : 8 // 4])


def test_depths_keep_the_layers_that_lighthubert_keeps() -> None:
    published = {
        12: range(1, 13),
        11: range(1, 12),
        10: [1, 2, 3, 4, 5, 6, 7, 9, 10, 11],
        9: [1, 2, 3, 5, 6, 7, 9, 10, 11],
        8: [1, 2, 3, 5, 6, 7, 9, 10],
        7: [1, 2, 3, 5, 6, 9, 10],
        6: [1, 2, 5, 6, 9, 10],
    }
    for depth, layers in published.items():
        assert [place + 1 for place in kept_layers(12, depth, thirds=True)] == list(layers)
    assert kept_layers(12, 6, thirds=False) == tuple(range(6))


def test_layer_genes_go_by_position_among_the_kept_layers(
    tiny: Tiny, built: Built, inputs: Inputs
) -> None:
    module, x = built(tiny()), inputs(tiny())
    twin = elastic(module)
    twin.set_active({"depth": 4, "heads": [1, 2, 3, 4]})
    kept = kept_layers(6, 4, thirds=True)
    assert kept == (0, 1, 2, 4)
    state = twin.extract().state_dict()
    for position, place in enumerate(kept):
        inner = 4 * (position + 1)
        own = module.layers[place].attention.qkv_weight
        assert torch.equal(state[f"layers.{position}.attention.qkv_weight"], own[:, :inner])
    assert twin(x).shape == (2, 3)


def test_absent_layer_genes_are_those_of_the_kept_layers(tiny: Tiny, built: Built) -> None:
    full = {**tiny(), "heads": [1, 2, 3, 4, 3, 2]}
    twin = elastic(built(full))
    twin.set_active({"depth": 4})
    assert twin.active()["heads"] == [1, 2, 3, 3]
    assert FAMILY.subnet(full, {"depth": 4})["heads"] == [1, 2, 3, 3]


@pytest.mark.parametrize("inside", ["", ".feed_forward"])
def test_taps_find_a_subnets_layers_in_the_supernet(
    kind: Structure, built: Built, inputs: Inputs, inside: str
) -> None:
    twin, x = elastic(built(kind)), inputs(kind)
    genes = {"width": 8, "depth": 4}
    twin.set_active(genes)
    taps = FAMILY.taps(twin.structure(genes))
    assert taps == {f"layers.{place}": 8 for place in range(4)}
    names = [f"{tap}{inside}" for tap in taps]
    there = [twin.tap(name, genes) for name in names]
    last = 4 if kind["thirds"] else 3
    assert there[-1] == f"layers.{last}{inside}"
    _, sliced = tapped(twin, x, tuple(there))
    _, plain = tapped(twin.extract(), x, tuple(names))
    for name, place in zip(names, there, strict=True):
        assert torch.equal(sliced[place], plain[name])
    assert twin.tap("front_end", genes) == "front_end"


def test_gradients_reach_exactly_the_slices_in_use(
    tiny: Tiny, built: Built, inputs: Inputs
) -> None:
    full = tiny()
    twin, x = elastic(built(full)), inputs(full)
    twin.set_active({"width": 8, "depth": 4, "heads": 2, "ffn_ratio": 3.5})
    extracted = twin.extract()
    twin(x).square().sum().backward()
    extracted(x).square().sum().backward()
    used = {n: w for n, w in twin.named_parameters() if w.grad is not None}
    assert not [n for n in used if n.startswith(("layers.3.", "layers.5."))]
    nonzero = sum(int(w.grad.count_nonzero()) for w in used.values())
    own = sum(int(w.grad.count_nonzero()) for w in extracted.parameters())
    assert nonzero == own > 0


def test_sorting_puts_the_heads_and_features_that_matter_first(
    tiny: Tiny, built: Built, inputs: Inputs
) -> None:
    module, x = built(tiny()), inputs(tiny())
    twin = elastic(module)
    twin.sort_by_importance()
    torch.testing.assert_close(twin(x), module(x), rtol=1e-4, atol=1e-4)
    for layer in twin.extract().layers:
        heads = layer.attention.out.weight.abs().view(16, 4, 4).sum((0, 2))
        assert torch.equal(heads, heads.sort(descending=True).values)
    twin.set_active({"ffn_ratio": 1.0, "width": 4})
    kept = twin.extract().layers[0].feed_forward.down.weight.shape
    assert kept == (4, 4)
    norms = twin.state_dict()["layers.0.feed_forward.down.weight"].abs().sum(0)
    first = norms.view(4, 16)[:, :4]
    assert first.min() >= norms.view(4, 16)[:, 4:].max()


@pytest.mark.parametrize(
    ("genes", "message"),
    [
        ({"width": 20}, "width expected 1 to 16 .* came 20"),
        ({"width": 6}, "width expected a multiple of 4, the groups .* came 6"),
        ({"depth": 7}, "depth expected 1 to 6 .* came 7"),
        ({"depth": 2, "heads": [2, 5]}, "heads of layer 1 expected 1 to 4 .* came 5"),
        ({"width": 8, "ffn_ratio": 5}, "hidden width of layer 0 expected 1 to 32 .* came 40"),
        ({"depth": 2, "heads": [2]}, r"heads: expected one value for each of 2 layers, came \[2\]"),
        ({"widht": 8}, "no gene 'widht'; did you mean 'width'"),
        ({"front_end": "fbank"}, "no gene 'front_end'"),
    ],
)
def test_configurations_outside_the_weights_are_refused(
    tiny: Tiny, built: Built, inputs: Inputs, genes: dict[str, Any], message: str
) -> None:
    twin, x = elastic(built(tiny())), inputs(tiny())
    twin.set_active(SMALLEST)
    before = twin(x)
    with pytest.raises(UserError, match=message):
        twin.set_active(genes)
    with pytest.raises(UserError, match=message):
        twin.structure(genes)
    assert twin.active() == SMALLEST
    assert torch.equal(twin(x), before)


def test_a_front_end_that_the_network_has_not_is_refused(tiny: Tiny, built: Built) -> None:
    twin = elastic(built(tiny(front_end="both")))
    with pytest.raises(UserError, match=r"expected one of waveform, fbank .* came 'mfcc'"):
        twin.set_active({"front_end": "mfcc"})


def test_twins_share_nothing_and_keep_the_mode(tiny: Tiny, built: Built) -> None:
    module = built(tiny(front_end="both"))
    twin = elastic(module)
    owned = {w.data_ptr() for w in (*module.parameters(), *module.buffers())}
    assert owned.isdisjoint(w.data_ptr() for w in (*twin.parameters(), *twin.buffers()))
    extracted = twin.extract()
    mine = {w.data_ptr() for w in (*twin.parameters(), *twin.buffers())}
    assert mine.isdisjoint(w.data_ptr() for w in (*extracted.parameters(), *extracted.buffers()))
    assert not twin.training
    assert elastic(module.train()).extract().training


def test_only_encoders_have_this_twin() -> None:
    with pytest.raises(TypeError, match="expected an Encoder, came Linear"):
        FAMILY.elastic(nn.Linear(1, 1))


def test_switching_takes_under_a_millisecond(tiny: Tiny, built: Built) -> None:
    twin = elastic(built(tiny(depth=12)))
    times = []
    for _ in range(20):
        start = time.perf_counter()
        twin.set_active(twin.full)
        times.append(time.perf_counter() - start)
    assert min(times) < 1e-3
