"""Blocks of networks that nobody described, found by their lists of modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stillhouse.core.distill.blocks import Block, blocks
from stillhouse.core.errors import UserError
from stillhouse.core.torchaudio_shim import torchaudio

Make = Callable[..., nn.Module]
SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


@pytest.fixture(autouse=True)
def own_randomness() -> Iterator[None]:
    """Weights of these networks are whatever torch draws: only shapes count."""
    with torch.random.fork_rng():
        yield


@pytest.fixture(scope="module")
def tiny() -> Make:
    """A network of transformers without weights, by the names of its class and configuration."""
    if find_spec("torchaudio") is not None:
        torchaudio()
    transformers = pytest.importorskip("transformers")

    def make(model: str, config: str, **sizes: Any) -> nn.Module:
        with torch.device("meta"):
            made: nn.Module = getattr(transformers, model)(getattr(transformers, config)(**sizes))
        return made

    return make


def empty(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.zeros(shape, dtype=dtype, device="meta")


def convolution(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv1d(inputs, outputs, 3), nn.BatchNorm1d(outputs), nn.ReLU())


class Residual(nn.Module):
    """Two convolutions and a shortcut; its inner list is of layers, not of blocks."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride))
        self.layers = nn.Sequential(
            nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs)),
            nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1), nn.BatchNorm2d(outputs)),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.shortcut(x) + self.layers(x)
        return out


def test_hubert_has_its_transformer_layers_and_not_its_front_end(tiny: Make) -> None:
    for norm in ("group", "layer"):
        front = {"conv_dim": (8,) * 3, "conv_kernel": (10, 3, 3), "conv_stride": (5, 2, 2)}
        hubert = tiny("HubertModel", "HubertConfig", **SMALL, **front, feat_extract_norm=norm)
        assert blocks(hubert, empty(1, 4000)) == tuple(
            Block(f"encoder.layers.{i}", "HubertEncoderLayer", 0, 16, (1, 199, 16))
            for i in range(3)
        )


def test_bert_has_its_layers_whose_channels_are_last(tiny: Make) -> None:
    bert = tiny("BertModel", "BertConfig", **SMALL, vocab_size=50)
    found = blocks(bert, empty(2, 7, dtype=torch.int64))
    assert found == tuple(
        Block(f"encoder.layer.{i}", "BertLayer", 0, 16, (2, 7, 16)) for i in range(3)
    )


def test_whispers_encoder_has_its_layers_and_the_whole_its_decoders_too(tiny: Make) -> None:
    sizes = {
        "d_model": 16,
        "encoder_layers": 3,
        "decoder_layers": 2,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 32,
        "decoder_ffn_dim": 32,
        "num_mel_bins": 8,
        "max_source_positions": 20,
    }
    whole: Any = tiny("WhisperModel", "WhisperConfig", **sizes)
    found = blocks(whole.get_encoder(), empty(1, 8, 40))
    assert [one.name for one in found] == ["layers.0", "layers.1", "layers.2"]
    assert {(one.width, one.shape) for one in found} == {(16, (1, 20, 16))}
    assert [(one.name, one.stage) for one in blocks(whole)] == [
        *((f"encoder.layers.{i}", 0) for i in range(3)),
        *((f"decoder.layers.{i}", 1) for i in range(2)),
    ]


@pytest.mark.parametrize(
    ("layer", "kind"), [("basic", "ResNetBasicLayer"), ("bottleneck", "ResNetBottleNeckLayer")]
)
def test_resnet_has_the_blocks_of_its_stages_with_channels_first(
    layer: str, kind: str, tiny: Make
) -> None:
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 16, 32], "depths": [2, 1, 3]}
    resnet = tiny("ResNetModel", "ResNetConfig", **sizes, layer_type=layer)
    found = blocks(resnet, empty(1, 3, 32, 32))
    assert [(one.name, one.stage) for one in found] == [
        (f"encoder.stages.{stage}.layers.{i}", stage)
        for stage, depth in enumerate((2, 1, 3))
        for i in range(depth)
    ]
    assert {one.kind for one in found} == {kind}
    assert [one.shape for one in found[1:4]] == [(1, 8, 8, 8), (1, 16, 4, 4), (1, 32, 2, 2)]
    assert [one.width for one in found] == [8, 8, 16, 32, 32, 32]


def test_convnext_has_channels_first_for_all_its_linear_layers(tiny: Make) -> None:
    sizes = {"hidden_sizes": [8, 16], "depths": [1, 2], "num_stages": 2}
    found = blocks(tiny("ConvNextModel", "ConvNextConfig", **sizes), empty(1, 3, 32, 32))
    assert [(one.stage, one.width, one.shape) for one in found] == [
        (0, 8, (1, 8, 8, 8)),
        (1, 16, (1, 16, 4, 4)),
        (1, 16, (1, 16, 4, 4)),
    ]


def test_a_block_of_t5_is_one_for_all_its_inner_lists(tiny: Make) -> None:
    t5 = tiny("T5Model", "T5Config", d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
    assert [one.name for one in blocks(t5)] == [
        *("encoder.block.0", "encoder.block.1"),
        *("decoder.block.0", "decoder.block.1"),
    ]


def test_a_sequential_cnn_has_its_blocks_in_stages_of_one_shape() -> None:
    cnn = nn.Sequential(
        convolution(3, 8), convolution(8, 8), nn.MaxPool1d(2), convolution(8, 16),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Sequential(nn.Linear(16, 4), nn.Linear(4, 2)),
    )  # fmt: skip
    assert blocks(cnn, torch.zeros(2, 3, 20)) == (
        Block("0", "Sequential", 0, 8, (2, 8, 18)),
        Block("1", "Sequential", 1, 8, (2, 8, 16)),
        Block("3", "Sequential", 2, 16, (2, 16, 6)),
    )
    assert [(one.name, one.stage) for one in blocks(cnn)] == [("0", 0), ("1", 0), ("3", 0)]


def test_convolutions_in_a_row_count_where_nothing_larger_is_repeated() -> None:
    flat = nn.Sequential(nn.Conv1d(3, 8, 3), nn.ReLU(), nn.Conv1d(8, 4, 3), nn.Flatten())
    assert blocks(flat, torch.zeros(1, 3, 9)) == (
        Block("0", "Conv1d", 0, 8, (1, 8, 7)),
        Block("2", "Conv1d", 1, 4, (1, 4, 5)),
    )


def test_lists_side_by_side_are_stages_also_one_of_a_single_block() -> None:
    class Sided(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer1 = nn.Sequential(Residual(3, 8), Residual(8, 8))
            self.layer2 = nn.Sequential(Residual(8, 16, 2))

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.layer2(self.layer1(x))
            return out

    found = blocks(Sided(), torch.zeros(1, 3, 8, 8))
    assert [(one.name, one.stage, one.width) for one in found] == [
        ("layer1.0", 0, 8),
        ("layer1.1", 0, 8),
        ("layer2.0", 1, 16),
    ]


def test_depth_is_the_order_in_which_blocks_run() -> None:
    class Upward(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.late = nn.ModuleList([convolution(8, 8), convolution(8, 8)])
            self.early = nn.ModuleList([convolution(8, 8), convolution(3, 8)])

        def forward(self, x: Tensor) -> Tensor:
            for part in (*reversed(self.early), *self.late):
                x = part(x)
            return x

    names = [one.name for one in blocks(Upward(), torch.zeros(1, 3, 16))]
    assert names == ["early.1", "early.0", "late.0", "late.1"]
    assert [one.name for one in blocks(Upward())] == ["late.0", "late.1", "early.0", "early.1"]


@dataclass
class Answer:
    """What some libraries' blocks return."""

    count: int
    parts: dict[str, tuple[Tensor, ...]]


def test_the_first_tensor_counts_of_whatever_a_block_returns() -> None:
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

        def forward(self, x: Tensor) -> Answer:
            return Answer(1, {"hidden": (self.inner(x), x[..., :3])})

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([Wrapped(), Wrapped()])

        def forward(self, x: Tensor) -> Tensor:
            for layer in self.layers:
                x = layer(x).parts["hidden"][0]
            return x

    found = blocks(Network(), torch.zeros(2, 5, 8))
    assert [(one.kind, one.shape) for one in found] == [("Wrapped", (2, 5, 8))] * 2


def test_running_leaves_modes_statistics_hooks_and_gradients_as_they_were() -> None:
    first, second = convolution(3, 8), convolution(8, 8)
    cnn = nn.Sequential(first.eval(), second)
    before = {name: tensor.clone() for name, tensor in cnn.state_dict().items()}
    blocks(cnn, torch.ones(1, 3, 9))
    assert (cnn.training, first[1].training, second[1].training) == (True, False, True)
    assert all(torch.equal(before[name], tensor) for name, tensor in cnn.state_dict().items())
    assert all(not part._forward_hooks for part in cnn.modules())
    assert all(weight.grad is None for weight in cnn.parameters())


def test_networks_without_repeated_blocks_say_what_to_name() -> None:
    with pytest.raises(UserError, match=r"Sequential: found no blocks .* for example 2, 0"):
        blocks(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 30)))
    with pytest.raises(UserError, match=r"LSTM: found no blocks .* name modules$"):
        blocks(nn.LSTM(3, 4))


def test_layers_that_share_their_weights_are_no_two_blocks() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16)
    with pytest.raises(UserError, match="found no blocks"):
        blocks(nn.ModuleList([layer, layer, layer]))


def test_a_block_that_the_example_does_not_reach_is_named() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleList([convolution(3, 8), convolution(3, 8)])

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.parts[0](x)
            return out

    with pytest.raises(UserError, match=r"parts\.1: the example input does not reach"):
        blocks(Half(), torch.zeros(1, 3, 9))
