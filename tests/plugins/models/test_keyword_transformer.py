"""The Keyword Transformer: plain network, elastic twin, costs and family."""

from __future__ import annotations

import io
import json
import math
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from stillhouse.core.cost import terms
from stillhouse.core.distill.taps import tapped
from stillhouse.core.errors import UserError
from stillhouse.plugins.models.info import KeywordTransformerParams
from stillhouse.plugins.models.keyword_transformer import (
    KeywordTransformer,
    KeywordTransformerFamily,
)

FAMILY = KeywordTransformerFamily()
PARAMS = KeywordTransformerParams(width=24, depth=3, heads=4, head_dim=4, ffn_ratio=2.0)
FULL = FAMILY.structure(PARAMS, (7, 5), 3)
MIDDLE = {"width": 16, "depth": 2, "heads": [3, 1], "ffn_ratio": [1.5, 0.5]}
SMALLEST = {"width": 4, "depth": 1, "heads": [1], "ffn_ratio": [0.25]}


def network(seed: int = 0) -> KeywordTransformer:
    """The full network with every weight random, biases and norms too."""
    generator = torch.Generator().manual_seed(seed)
    module = FAMILY.build(FULL, generator)
    for weight in module.parameters():
        nn.init.normal_(weight, std=0.3, generator=generator)
    return module.eval()


def batch(samples: int = 2) -> Tensor:
    return torch.randn(samples, 7, 5, generator=torch.Generator().manual_seed(1))


def weights(module: nn.Module) -> int:
    return sum(w.numel() for w in module.parameters())


def configurations(count: int, seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(count):
        depth = int(rng.integers(1, 4))
        drawn.append(
            {
                "width": int(rng.integers(2, 25)),
                "depth": depth,
                "heads": [int(h) for h in rng.integers(1, 5, depth)],
                "ffn_ratio": [float(r) for r in rng.choice([0.25, 0.7, 1.0, 1.3, 2.0], depth)],
            }
        )
    return drawn


def as_columns(drawn: list[dict[str, Any]], layers: int = 3) -> dict[str, np.ndarray[Any, Any]]:
    columns = {n: np.array([c[n] for c in drawn], float) for n in ("width", "depth")}
    for name in ("heads", "ffn_ratio"):
        rows = [c[name] + [np.nan] * (layers - c["depth"]) for c in drawn]
        columns[name] = np.array(rows, float)
    return columns


def test_structure_is_plain_json() -> None:
    assert json.loads(json.dumps(FULL)) == FULL
    assert FULL == {
        "input_shape": [7, 5], "outputs": 3, "width": 24, "depth": 3, "heads": [4, 4, 4],
        "hidden": [48, 48, 48], "head_dim": 4, "activation": "gelu",
    }  # fmt: skip


def test_input_without_frames_is_refused() -> None:
    with pytest.raises(UserError, match=r"\(frames, features\), the task gives \(5,\)"):
        FAMILY.structure(PARAMS, (5,), 3)


def test_same_seed_gives_the_same_weights_and_leaves_the_global_generator() -> None:
    state = torch.get_rng_state()
    first, second, other = (
        FAMILY.build(FULL, torch.Generator().manual_seed(seed)).state_dict() for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])
    assert all(w.isfinite().all() for w in first.values())


def test_samples_of_a_batch_are_independent() -> None:
    module, x = network(), batch(3)
    alone = torch.cat([module(sample[None]) for sample in x])
    torch.testing.assert_close(module(x), alone, rtol=1e-5, atol=1e-5)


def test_full_configuration_equals_the_plain_network_bit_for_bit() -> None:
    module, x = network(), batch()
    elastic = FAMILY.elastic(module)
    assert torch.equal(elastic(x), module(x))
    elastic.set_active(elastic.full)
    assert torch.equal(elastic(x), module(x))


def test_extraction_equals_the_sliced_forward_bit_for_bit() -> None:
    elastic, x = FAMILY.elastic(network()), batch()
    for configuration in configurations(40):
        elastic.set_active(configuration)
        extracted = elastic.extract()
        assert torch.equal(extracted(x), elastic(x))
        assert extracted.structure == elastic.structure(configuration)


def test_extracted_network_loads_into_a_skeleton_of_its_structure() -> None:
    elastic = FAMILY.elastic(network())
    elastic.set_active(MIDDLE)
    extracted = elastic.extract()
    rebuilt = FAMILY.build(json.loads(json.dumps(extracted.structure)), torch.Generator())
    rebuilt.load_state_dict(extracted.state_dict(), strict=True)
    assert torch.equal(rebuilt.eval()(batch()), elastic(batch()))


def test_smallest_and_back_leaves_the_weights_untouched() -> None:
    module, x = network(), batch()
    elastic = FAMILY.elastic(module)
    elastic.set_active(SMALLEST)
    elastic(x)
    elastic.extract()
    elastic.set_active(elastic.full)
    for name, weight in module.state_dict().items():
        assert torch.equal(elastic.state_dict()[name], weight), name
    assert torch.equal(elastic(x), module(x))


def test_gradients_reach_exactly_the_active_slices() -> None:
    elastic = FAMILY.elastic(network())
    elastic.set_active(MIDDLE)
    extracted = elastic.extract()
    elastic(batch()).square().sum().backward()
    extracted(batch()).square().sum().backward()
    own = dict(extracted.named_parameters())
    for name, weight in elastic.named_parameters():
        if name.startswith("blocks.2"):
            assert weight.grad is None
            continue
        place = torch.zeros_like(weight)
        place[tuple(slice(size) for size in own[name].shape)] = own[name].grad
        assert torch.equal(weight.grad, place), name


def test_twin_takes_the_state_of_a_plain_network_and_shares_nothing_with_it() -> None:
    module = network()
    elastic = FAMILY.elastic(network(seed=9))
    elastic.load_state_dict(module.state_dict(), strict=True)
    assert torch.equal(elastic(batch()), module(batch()))
    owned = {w.data_ptr() for w in module.parameters()}
    assert owned.isdisjoint(w.data_ptr() for w in FAMILY.elastic(module).parameters())


def test_active_configuration_is_what_was_set() -> None:
    elastic = FAMILY.elastic(network())
    assert elastic.active() == elastic.full
    for configuration in configurations(5):
        elastic.set_active(configuration)
        assert elastic.active() == configuration


def test_absent_genes_keep_the_full_networks_values() -> None:
    elastic = FAMILY.elastic(network())
    elastic.set_active({"depth": 2, "heads": 3})
    assert elastic.active() == {
        "width": 24, "depth": 2, "heads": [3, 3], "ffn_ratio": [2.0, 2.0],
    }  # fmt: skip
    assert torch.equal(elastic.extract()(batch()), elastic(batch()))


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ({**MIDDLE, "width": 25}, "width expected 1 to 24 .* came 25"),
        ({**MIDDLE, "depth": 4}, "depth expected 1 to 3 .* came 4"),
        ({**MIDDLE, "heads": [3, 5]}, "heads of layer 1 expected 1 to 4 .* came 5"),
        ({**MIDDLE, "ffn_ratio": [9, 1]}, "hidden width of layer 0 expected 1 to 48 .* came 144"),
        ({**MIDDLE, "heads": [3]}, r"heads: expected one value for each of 2 layers, came \[3\]"),
        ({**MIDDLE, "widht": 8}, "no gene 'widht'; did you mean 'width'"),
    ],
)
def test_configurations_outside_the_weights_are_refused(
    configuration: dict[str, Any], message: str
) -> None:
    elastic, x = FAMILY.elastic(network()), batch()
    elastic.set_active(SMALLEST)
    before = elastic(x)
    with pytest.raises(UserError, match=message):
        elastic.set_active(configuration)
    with pytest.raises(UserError, match=message):
        elastic.structure(configuration)
    assert elastic.active() == SMALLEST
    assert torch.equal(elastic(x), before)


def test_a_space_may_be_larger_than_the_structure_it_starts_from() -> None:
    larger = {"width": 64, "depth": 5, "heads": [3] * 5, "ffn_ratio": [2.0] * 5}
    found = FAMILY.subnet(FULL, larger)
    assert (found["width"], found["depth"], found["hidden"]) == (64, 5, [128] * 5)
    assert found["input_shape"] == FULL["input_shape"]


def test_choosing_a_subnet_takes_under_a_millisecond() -> None:
    structure = FAMILY.structure(KeywordTransformerParams(width=16, depth=6), (7, 5), 3)
    elastic = FAMILY.elastic(FAMILY.build(structure, torch.Generator()))
    times = []
    for _ in range(20):
        start = time.perf_counter()
        elastic.set_active(elastic.full)
        times.append(time.perf_counter() - start)
    assert min(times) < 1e-3


def test_taps_name_the_same_blocks_in_supernet_and_subnet() -> None:
    elastic, x = FAMILY.elastic(network()), batch()
    elastic.set_active(MIDDLE)
    taps = FAMILY.taps(elastic.structure(MIDDLE))
    assert taps == {"blocks.0": 16, "blocks.1": 16}
    _, sliced = tapped(elastic, x, tuple(taps))
    _, plain = tapped(elastic.extract(), x, tuple(taps))
    for name, width in taps.items():
        assert torch.equal(sliced[name], plain[name])
        assert sliced[name].shape == (2, 7, width)


def test_only_keyword_transformers_have_this_elastic_twin() -> None:
    with pytest.raises(TypeError, match="expected a KeywordTransformer, came Linear"):
        FAMILY.elastic(nn.Linear(1, 1))


def test_twin_is_in_the_mode_of_the_plain_network() -> None:
    module = network()
    assert not FAMILY.elastic(module).training
    assert FAMILY.elastic(module.train()).extract().training


def test_parameters_and_macs_of_random_subnets_are_exact() -> None:
    elastic, drawn = FAMILY.elastic(network()), configurations(50, seed=3)
    sheet = FAMILY.sheet(FULL, as_columns(drawn))
    stored, multiplied = [], [0.0]
    # Fused attention is opaque to torch's counter, its maths is not.
    counter = FlopCounterMode(display=False)
    with sdpa_kernel(SDPBackend.MATH), counter, torch.no_grad():
        for configuration in drawn:
            elastic.set_active(configuration)
            stored.append(weights(elastic.extract()))
            elastic(batch(1))
            multiplied.append(counter.get_total_flops() / 2)
    assert np.array_equal(terms.parameters(sheet), stored)
    assert np.array_equal(terms.weight_bytes(sheet), 4 * np.array(stored))
    assert np.array_equal(terms.macs(sheet), np.diff(multiplied))


def test_columns_of_plain_structures_give_the_same_sheet() -> None:
    drawn = configurations(30, seed=4)
    structures = [FAMILY.subnet(FULL, configuration) for configuration in drawn]
    plain = FAMILY.sheet(FULL, FAMILY.columns(structures))
    genes = FAMILY.sheet(FULL, as_columns(drawn))
    for term in (terms.parameters, terms.macs, terms.peak_activation_bytes, terms.operators):
        assert np.array_equal(term(plain), term(genes))


def test_hidden_width_survives_the_way_through_the_ratio() -> None:
    for hidden in range(1, 200):
        structure = {**FULL, "width": 49, "hidden": [hidden] * 3}
        ratio = FAMILY.columns([structure])["ffn_ratio"][0, 0]
        big = {**FULL, "width": 49, "hidden": [200] * 3}
        assert FAMILY.subnet(big, {"ffn_ratio": ratio})["hidden"] == [hidden] * 3


def test_columns_mark_missing_layers() -> None:
    structures = [FULL, FAMILY.subnet(FULL, MIDDLE)]
    columns = FAMILY.columns(structures)
    assert np.array_equal(columns["width"], [24, 16])
    expected = [[4, 4, 4], [3, 1, np.nan]]
    assert np.array_equal(columns["heads"], expected, equal_nan=True)
    assert columns["ffn_ratio"].shape == (2, 3)


def test_genes_without_a_column_come_from_the_full_structure() -> None:
    widths = {"width": np.array([8.0, 24.0])}
    sheet = FAMILY.sheet(FULL, widths)
    structures = [FAMILY.subnet(FULL, {"width": width}) for width in (8, 24)]
    expected = FAMILY.sheet(FULL, FAMILY.columns(structures))
    assert np.array_equal(terms.parameters(sheet), terms.parameters(expected))
    uniform = FAMILY.sheet(FULL, {"depth": np.array([1.0, 3.0]), "heads": np.array([2.0, 4.0])})
    structures = [FAMILY.subnet(FULL, {"depth": d, "heads": h}) for d, h in ((1, 2), (3, 4))]
    expected = FAMILY.sheet(FULL, FAMILY.columns(structures))
    assert np.array_equal(terms.macs(uniform), terms.macs(expected))


def test_columns_that_describe_no_network_are_refused() -> None:
    with pytest.raises(UserError, match="no gene 'head'; did you mean 'heads'"):
        FAMILY.sheet(FULL, {"head": np.array([1.0])})
    with pytest.raises(UserError, match=r"depth expected 1 to 3 .* came 5"):
        FAMILY.sheet(FULL, {"depth": np.array([5.0])})


def test_no_candidates_give_an_empty_cost() -> None:
    assert terms.macs(FAMILY.sheet(FULL, {"width": np.empty(0)})).shape == (0,)


def test_shallower_subnets_run_fewer_operators() -> None:
    sheet = FAMILY.sheet(FULL, {"depth": np.array([1.0, 2.0, 3.0])})
    count = terms.operators(sheet)
    assert count[1] - count[0] == count[2] - count[1] == 12


def test_macs_are_grouped_by_what_they_are_spent_on() -> None:
    groups = terms.macs_by_group(FAMILY.sheet(FULL, FAMILY.columns([FULL])))
    assert groups["feed_forward"] == 3 * 7 * 2 * 24 * 48
    assert groups["attention_projections"] == 3 * 7 * 4 * 24 * 16
    assert groups["attention_scores"] == 3 * 2 * 4 * 7 * 7 * 4
    assert groups["front_end"] == 7 * 5 * 24
    assert groups["head"] == 24 * 3
    assert groups["norm"] == 0


def test_peak_activations_by_hand() -> None:
    sheet = FAMILY.sheet(FULL, FAMILY.columns([FULL]))
    residual = 7 * 24
    scores = residual + 7 * 16 + 4 * (7 * 4 + 4 * 7 + 7 * 7)
    qkv = residual + residual + 7 * 48
    hidden = residual + 2 * 7 * 48
    softmax = residual + 7 * 48 + 2 * 4 * 7 * 7
    assert terms.peak_activation_bytes(sheet) == 4 * max(scores, qkv, hidden, softmax)


def test_ten_thousand_candidates_are_costed_in_half_a_second() -> None:
    columns = as_columns(configurations(50) * 200)
    start = time.perf_counter()
    sheet = FAMILY.sheet(FULL, columns)
    for term in (
        terms.parameters, terms.macs, terms.weight_bytes, terms.operators,
        terms.bytes_touched, terms.peak_activation_bytes, terms.macs_by_group,
    ):  # fmt: skip
        term(sheet)
    assert sheet.candidates == 10_000
    assert time.perf_counter() - start < 0.5


def test_scaled_network_is_the_largest_that_fits() -> None:
    built = weights(FAMILY.build(FAMILY.scaled(FULL, 5000), torch.Generator()))
    assert built <= 5000
    assert FAMILY.scaled(FULL, 10**9) == FULL
    for width in range(4, 25, 2):
        for heads in {math.floor(4 * width / 24), math.ceil(4 * width / 24)} - {0}:
            other = {**FULL, "width": width, "heads": [heads] * 3, "hidden": [2 * width] * 3}
            size = weights(FAMILY.build(other, torch.Generator()))
            assert size > 5000 or size <= built


def test_scaled_network_keeps_depth_and_proportions() -> None:
    scaled = FAMILY.scaled(FULL, 3000)
    assert scaled["width"] % 2 == 0
    assert scaled["hidden"] == [2 * scaled["width"]] * 3
    share = 4 * scaled["width"] / 24
    assert scaled["heads"][0] in {math.floor(share), math.ceil(share)}
    assert len(set(scaled["heads"])) == 1
    assert (scaled["depth"], scaled["head_dim"], scaled["outputs"]) == (3, 4, 3)


def test_scaling_to_exactly_its_own_size_returns_the_network() -> None:
    assert FAMILY.scaled(FULL, weights(network())) == FULL


def test_scaling_below_the_narrowest_network_is_refused_with_its_size() -> None:
    with pytest.raises(UserError, match=r"at most 10 parameters, .* has \d+"):
        FAMILY.scaled(FULL, 10)


@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_extracted_network_agrees_in_onnx_runtime(activation: str) -> None:
    import onnxruntime

    structure = FAMILY.structure(replace(PARAMS, activation=activation), (7, 5), 3)  # type: ignore[type-var]
    elastic = FAMILY.elastic(FAMILY.build(structure, torch.Generator().manual_seed(0)).eval())
    elastic.set_active(MIDDLE)
    file, x = io.BytesIO(), batch(1)
    torch.onnx.export(elastic.extract(), (x,), file, dynamo=False, opset_version=17)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    came = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
    assert np.abs(came - elastic(x).detach().numpy()).max() < 1e-5
