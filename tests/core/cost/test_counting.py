"""Networks counted on the meta device, against torch's own counts and a family's sheet."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from stillhouse.core.cost import terms
from stillhouse.core.cost.counting import module_sheet, regrouped
from stillhouse.core.cost.sheet import GROUPS, Operator, OperatorSheet
from stillhouse.plugins.models.info import KeywordTransformerParams
from stillhouse.plugins.models.keyword_transformer import KeywordTransformerFamily

FAMILY = KeywordTransformerFamily()
PARAMS = KeywordTransformerParams(width=24, depth=3, heads=4, head_dim=4, ffn_ratio=2.0)
FULL = FAMILY.structure(PARAMS, (7, 5), 3)


class Apply(nn.Module):
    """A function of the input and of modules."""

    def __init__(self, forward: Callable[..., Tensor], **modules: nn.Module) -> None:
        super().__init__()
        self.function = forward
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def weights(module: nn.Module) -> int:
    return sum(w.numel() for w in module.parameters())


def multiply_accumulates(module: nn.Module, x: Tensor) -> float:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module.to("meta")(x.to("meta"))
    return counter.get_total_flops() / 2


def kinds(sheet: OperatorSheet) -> dict[str, str]:
    return {row.name: row.kind for row in sheet.rows}


FRAMES, IMAGE = torch.zeros(1, 9, 6), torch.zeros(1, 3, 12, 10)
TOKENS = torch.zeros(1, 9, dtype=torch.int64)
SEQUENCE = torch.zeros(1, 6, 9)


def recurrent(rnn: nn.Module) -> nn.Module:
    return Apply(lambda module, x: module.rnn(x)[0], rnn=rnn)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Tensor]] = {
    "linear": (
        lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2, bias=False)),
        FRAMES,
    ),
    "convolutions": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.Conv2d(8, 8, (1, 3), groups=8, bias=False),
            nn.GroupNorm(2, 8),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 2),
        ),
        IMAGE,
    ),
    "strided sequence": (lambda: nn.Conv1d(6, 4, 3, stride=2, groups=2), SEQUENCE),
    "lstm": (lambda: recurrent(nn.LSTM(6, 5, 2, batch_first=True)), FRAMES),
    "gru": (lambda: recurrent(nn.GRU(6, 5, 2, batch_first=True, bidirectional=True)), FRAMES),
    "gru without bias": (lambda: recurrent(nn.GRU(6, 5, bias=False)), FRAMES),
    "embedding": (
        lambda: nn.Sequential(nn.Embedding(20, 6), nn.RMSNorm(6), nn.Linear(6, 3)),
        TOKENS,
    ),
    "torch's transformer": (
        lambda: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(6, 2, 10, batch_first=True), 2, enable_nested_tensor=False
        ),
        FRAMES,
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_counts_as_torch_counts_it(name: str) -> None:
    make, example = NETWORKS[name]
    module = make()
    sheet = module_sheet([module], example)
    assert terms.parameters(sheet) == weights(module)
    assert terms.weight_bytes(sheet) == 4 * weights(module)
    assert terms.macs(sheet) == multiply_accumulates(module.eval(), example) > 0
    assert {row.group for row in sheet.rows} <= set(GROUPS)


def test_the_keyword_transformer_counts_as_its_family_says() -> None:
    rng = np.random.default_rng(0)
    structures = [
        FAMILY.subnet(
            FULL,
            {
                "width": int(rng.integers(2, 25)),
                "depth": depth,
                "heads": [int(h) for h in rng.integers(1, 5, depth)],
            },
        )
        for depth in (1, 3, 2, 3, 1, 2)
    ]
    networks = [FAMILY.build(structure, torch.Generator()) for structure in structures]
    counted = module_sheet(networks, torch.zeros(1, 7, 5))
    written = FAMILY.sheet(FULL, FAMILY.columns(structures))
    for name, values in terms.totals(counted).items():
        assert np.array_equal(values, terms.totals(written)[name]), name


def test_counting_leaves_the_network_as_it_is() -> None:
    module = nn.Sequential(nn.Linear(6, 4), nn.Dropout()).train()
    before = [weight.clone() for weight in module.parameters()]
    module_sheet([module], FRAMES)
    assert module.training
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
    for weight, kept in zip(module.parameters(), before, strict=True):
        assert weight.device.type == "cpu"
        assert torch.equal(weight, kept)


def test_rows_are_called_like_their_modules_and_say_what_they_are_for() -> None:
    encoder = nn.TransformerEncoderLayer(6, 2, 10, batch_first=True)
    sheet = module_sheet([encoder], FRAMES)
    groups = {row.name: row.group for row in sheet.rows}
    assert groups["self_attn"] == groups["self_attn.out_proj"] == "attention_projections"
    assert groups["linear1"] == groups["linear2"] == "linear"
    assert groups["norm1"] == "norm"
    assert set(kinds(sheet).values()) == {"linear", "matmul", "norm", "elementwise"}


def test_tied_weights_are_stored_once_and_multiplied_twice() -> None:
    def forward(module: nn.Module, x: Tensor) -> Tensor:
        return functional.linear(module.table(x), module.table.weight)  # type: ignore[no-any-return, operator]

    module = Apply(forward, table=nn.Embedding(20, 6))
    sheet = module_sheet([module], TOKENS)
    assert terms.parameters(sheet) == 20 * 6
    assert terms.macs(sheet) == 9 * 20 * 6
    assert terms.bytes_touched(sheet) == 4 * (9 * 6 * 2 + 9 * 6 + 20 * 6 + 9 * 20)


def test_a_layer_applied_twice_runs_twice_and_is_stored_once() -> None:
    module = Apply(lambda m, x: m.layer(m.layer(x)), layer=nn.Linear(6, 6))
    sheet = module_sheet([module], FRAMES)
    assert kinds(sheet) == {"layer": "linear", "layer.linear": "linear"}
    assert terms.parameters(sheet) == 42
    assert terms.macs(sheet) == 2 * 9 * 36
    assert terms.peak_activation_bytes(sheet) == 4 * 2 * 54


def test_weights_worked_out_from_parameters_multiply_and_parameters_count_once() -> None:
    class LowRank(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Parameter(torch.zeros(6, 2)), nn.Parameter(torch.zeros(2, 4))

        def forward(self, x: Tensor) -> Tensor:
            return x @ (self.left.sign() * 0.5 @ self.right)

    module = LowRank()
    sheet = module_sheet([module], FRAMES)
    assert terms.parameters(sheet) == 12 + 8
    assert terms.macs(sheet) == 9 * 6 * 4


def test_what_waits_for_a_residual_is_held() -> None:
    module = Apply(
        lambda m, x: x + m.down(m.up(x)), up=nn.Linear(6, 50), down=nn.Linear(50, 6)
    )  # fmt: skip
    rows = {row.name: row for row in module_sheet([module], FRAMES).rows}
    assert [rows[name]["held"] for name in ("up", "down", "elementwise")] == [0, 54, 0]
    assert terms.peak_activation_bytes(OperatorSheet(1, tuple(rows.values()))) == 4 * 9 * (
        6 + 50 + 6
    )


def test_types_set_the_bits() -> None:
    sheet = module_sheet([nn.Linear(6, 4).half()], FRAMES.half())
    assert terms.weight_bytes(sheet) == 2 * 28
    assert terms.peak_activation_bytes(sheet) == 2 * 9 * (6 + 4)
    assert list(terms.macs_by_bits(sheet)) == [16]


def test_candidates_lack_the_rows_that_only_others_have() -> None:
    short = nn.Sequential(nn.Linear(6, 4))
    long = nn.Sequential(nn.Linear(6, 3), nn.Conv1d(9, 9, 1), nn.Linear(3, 2))
    sheet = module_sheet([short, long, short], FRAMES)
    assert list(kinds(sheet)) == ["0", "1", "2"]
    assert terms.parameters(sheet).tolist() == [28, weights(long), 28]
    assert terms.operators(sheet).tolist() == [1, 3, 1]


def test_rows_of_one_name_and_another_kind_stay_apart() -> None:
    sheet = module_sheet([nn.Sequential(nn.LayerNorm(6)), nn.Sequential(nn.Linear(6, 4))], FRAMES)
    assert [(row.name, row.kind) for row in sheet.rows] == [("0", "linear"), ("0", "norm")]
    assert terms.parameters(sheet).tolist() == [12, 28]


def test_new_parts_keep_the_group_of_the_module_they_replace() -> None:
    factored = nn.Sequential(nn.Linear(6, 2, bias=False), nn.Linear(2, 4))
    sheet = module_sheet([Apply(lambda m, x: m.up(x), up=factored)], FRAMES)
    earlier = OperatorSheet(1, (Operator("up", "linear", "feed_forward"),))
    groups = {row.name: row.group for row in regrouped(sheet, earlier).rows}
    assert groups == {"up.0": "feed_forward", "up.1": "feed_forward"}


@pytest.mark.parametrize("around", ["block", "network"])
def test_what_a_module_is_put_around_keeps_its_groups(around: str) -> None:
    inner = Apply(lambda m, x: m.up(x), up=nn.Linear(6, 4))
    wrapped = Apply(lambda m, x: m.inner(x), inner=inner)
    block = Apply(lambda m, x: m.block(x), block=inner if around == "network" else wrapped)
    module = Apply(lambda m, x: m.inner(x), inner=block) if around == "network" else block
    earlier = OperatorSheet(1, (Operator("block.up", "linear", "feed_forward"),))
    (row,) = regrouped(module_sheet([module], FRAMES), earlier).rows
    assert row.group == "feed_forward"
    assert row.name != "block.up"


@pytest.mark.parametrize(
    ("forward", "reason"),
    [
        (lambda m, x: x * float(x.sum()), "item"),
        (lambda m, x: functional.conv_transpose1d(x, x.new_zeros(9, 2, 3)), "transposed"),
    ],
)
def test_what_cannot_be_counted_is_refused(
    forward: Callable[[nn.Module, Tensor], Tensor], reason: str
) -> None:
    with pytest.raises(ValueError, match=rf"cannot count Apply on torch's meta device: .*{reason}"):
        module_sheet([Apply(forward)], FRAMES)


def test_projected_and_packed_recurrences_are_refused() -> None:
    with pytest.raises(ValueError, match="lstm with projections"):
        module_sheet([recurrent(nn.LSTM(6, 5, proj_size=2))], FRAMES)

    def packed(module: nn.Module, x: Tensor) -> Tensor:
        lengths = torch.tensor([5], device="cpu")
        sequence = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
        return module.rnn(sequence)[0].data  # type: ignore[no-any-return, operator]

    with pytest.raises(ValueError, match="packed sequence"):
        module_sheet([Apply(packed, rnn=nn.LSTM(6, 5, batch_first=True))], FRAMES)
