"""Any network as a supernet: its own forward over slices of its own weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.elastic import Supernet, convert
from stillhouse.core.errors import UserError
from stillhouse.core.plugin import Catalogue
from stillhouse.core.space import load_space

NO_FAMILIES = Catalogue.discover({}, [])


class Residual(nn.Module):
    """A ResNet's basic block."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.short = nn.Sequential()
        if inputs != outputs:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.short = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += self.short(x)
        return functional.relu(y)


class ResNet(nn.Module):
    """Two stages, written as everybody writes them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 5, padding=2)
        self.bn1 = nn.BatchNorm2d(8)
        self.layer1 = nn.Sequential(Residual(8, 8), Residual(8, 8))
        self.layer2 = nn.Sequential(Residual(8, 16, 2), Residual(16, 16), Residual(16, 16))
        self.fc = nn.Linear(16 * 4, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 2)
        x = functional.adaptive_avg_pool2d(self.layer2(self.layer1(x)), 2)
        return self.fc(x.view(x.size(0), -1))


class Excite(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(channels, 6), nn.Linear(6, channels)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, _ = x.shape
        gate = torch.sigmoid(self.up(functional.relu(self.down(x.mean(2)))))
        return x * gate.view(batch, channels, 1)


class Block(nn.Module):
    """A transformer's layer with four heads, which a mask may be given to by name."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        batch, positions, _ = x.shape
        qkv = self.qkv(self.norm1(x)).view(batch, positions, 3, 4, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, mask)
        x = x + self.dropout(self.out(mixed.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.down(functional.gelu(self.up(self.norm2(x)))))


class Vision(nn.Module):
    """Patches, a class token, learned and fixed positions, and a matrix of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 16, 4, 4)
        self.token, self.positions = (nn.Parameter(torch.randn(1, n, 16)) for n in (1, 10))
        self.register_buffer("fixed", torch.randn(10, 16))
        self.blocks = nn.ModuleList(Block(16) for _ in range(3))
        self.matrix, self.idle = nn.Parameter(torch.randn(16, 12)), nn.Parameter(torch.ones(4))
        self.head = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.patches(x).flatten(2).transpose(1, 2)
        token = self.token.expand(len(x), -1, -1)
        x = torch.cat([token, x], 1) + self.positions + self.fixed
        for block in self.blocks:
            x = block(x, mask=None)
        return {"logits": self.head(x[:, 0] @ self.matrix)}


def plain_1d() -> nn.Module:
    """Dense, depthwise and grouped convolutions, excitation, flattening, a small perceptron."""
    return nn.Sequential(
        nn.Conv1d(4, 16, 5, padding=2), nn.BatchNorm1d(16), nn.ReLU(inplace=True),
        nn.Conv1d(16, 16, 7, padding=3, groups=16), nn.Conv1d(16, 24, 1), Excite(24),
        nn.MaxPool1d(2), nn.Conv1d(24, 24, 3, padding="same", groups=4), nn.Hardswish(),
        nn.Flatten(), nn.Linear(24 * 6, 32), nn.Tanh(), nn.Dropout(0.2), nn.Linear(32, 5),
    )  # fmt: skip


def lived_in(model: nn.Module, seed: int = 0) -> nn.Module:
    """All weights and running statistics random, in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator), alpha=0.1)
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(generator=generator)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5, generator=generator)
    return model.eval()


def image(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


MODELS: Mapping[str, tuple[Any, Tensor]] = {
    "resnet": (ResNet, image(2, 1, 12, 12)),
    "1-d": (plain_1d, image(3, 4, 12)),
    "vision": (Vision, image(2, 1, 12, 12)),
}
each_model = pytest.mark.parametrize("name", list(MODELS))


def converted(name: str) -> tuple[nn.Module, Supernet, Tensor]:
    make, x = MODELS[name]
    model = lived_in(make())
    return model, convert(model, x, catalogue=NO_FAMILIES), x


def answer(model: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        out = model(x)
    return out["logits"] if isinstance(out, dict) else out


@each_model
def test_full_configuration_equals_the_model_bit_for_bit(name: str) -> None:
    model, supernet, x = converted(name)
    assert torch.equal(answer(supernet, x), answer(model, x))
    assert supernet.active() == supernet.full == supernet.largest()


@pytest.mark.parametrize(
    ("name", "subnets"),
    [
        ("resnet", 50),
        ("1-d", 50),
        ("vision", 50),
        pytest.param("resnet", 200, marks=pytest.mark.slow),
        pytest.param("1-d", 200, marks=pytest.mark.slow),
    ],
)
def test_random_subnets_equal_what_is_extracted_from_them(name: str, subnets: int) -> None:
    model, supernet, x = converted(name)
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    rng, sizes = np.random.default_rng(0), set()
    for _ in range(subnets):
        configuration = supernet.sample_active_subnet(rng)
        assert supernet.active() == configuration
        plain = supernet.get_active_subnet()
        assert torch.equal(answer(plain, x), answer(supernet, x))
        sizes.add(sum(weight.numel() for weight in plain.parameters()))
    assert len(sizes) > 20
    supernet.set_active(supernet.full)
    assert torch.equal(answer(supernet, x), answer(model, x))
    own = supernet.twin.get_submodule("model").state_dict()
    assert list(own) == list(weights)
    assert all(torch.equal(own[key], value) for key, value in weights.items())


@each_model
def test_the_model_itself_stays_as_it_was(name: str) -> None:
    make, x = MODELS[name]
    model = lived_in(make())
    before, listed = answer(model, x), repr(model)
    model.train()
    supernet = convert(model, x, catalogue=NO_FAMILIES)
    assert repr(model) == listed
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())
    with torch.no_grad():
        for weight in supernet.parameters():
            weight.zero_()
    assert torch.equal(answer(model.eval(), x), before)


@each_model
def test_conversion_leaves_the_global_generator_alone(name: str) -> None:
    make, x = MODELS[name]
    model = make()
    state = torch.get_rng_state()
    convert(model, x, catalogue=NO_FAMILIES).random(np.random.default_rng(0))
    assert torch.equal(torch.get_rng_state(), state)


@each_model
def test_every_weight_of_a_smaller_subnet_is_one_of_a_larger(name: str) -> None:
    model, x = MODELS[name][0]().double(), MODELS[name][1].double()
    start = 0
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.arange(start, start + weight.numel()).view(weight.shape))
            start += weight.numel()
    supernet = convert(model, x, catalogue=NO_FAMILIES)
    entries = []
    for configuration in (supernet.smallest(), supernet.largest()):
        supernet.set_active_subnet(**configuration)
        named = supernet.extract().named_parameters()
        entries.append({key: set(weight.flatten().tolist()) for key, weight in named})
    small, large = entries
    assert all(small[key] <= large[key] for key in small)
    assert sum(map(len, small.values())) < sum(map(len, large.values()))


def test_a_resnet_has_these_genes_and_rigid_parts() -> None:
    _, supernet, _ = converted("resnet")
    choices = {d.name: d.expected for d in supernet.space.dimensions}
    assert choices["layer1.depth"] == "one of 1, 2"
    assert choices["layer2.depth"] == "one of 1, 2"
    assert choices["conv1.channels"] == "one of 4, 6, 8"
    assert choices["conv1.kernel"] == "one of 3, 5"
    assert choices["layer2.0.conv2.channels"] == "one of 8, 10, 14, 16"
    assert "layer2.1.conv2.channels" not in choices
    rigid = {one.part: one.why for one in supernet.rigid}
    assert rigid == {
        "conv1.inputs": "they come from the model's input, or from what splits or mixes channels",
        "fc.channels": "they are the model's output",
    }


def test_genes_of_a_dropped_block_are_not_there() -> None:
    _, supernet, x = converted("resnet")
    chosen = supernet.set_active_subnet(**{"layer1.depth": 1, "conv1.channels": 4})
    assert "layer1.1.conv1.channels" not in chosen
    assert "layer1.1.conv1.kernel" not in chosen
    assert chosen["layer2.depth"] == 2
    plain = supernet.get_active_subnet()
    assert isinstance(plain, ResNet)
    assert isinstance(plain.layer1[1], nn.Identity)
    assert plain.layer1[0].conv1.weight.shape == (8, 4, 3, 3)
    assert plain.fc.in_features == 16 * 4
    assert torch.equal(answer(plain, x), answer(supernet, x))


def test_channels_behind_a_flatten_take_their_positions_along() -> None:
    _, supernet, _ = converted("resnet")
    supernet.set_active_subnet(**{"layer2.0.conv2.channels": 8})
    assert supernet.extract().fc.in_features == 8 * 4


def test_a_vision_transformer_shrinks_with_its_token_and_positions() -> None:
    model, supernet, x = converted("vision")
    assert set(supernet.space.names) == {
        "blocks.depth", "patches.channels", "matrix.channels",
        *(f"blocks.{i}.up.channels" for i in range(3)),
    }  # fmt: skip
    rigid = {one.part: one.why for one in supernet.rigid}
    assert rigid["blocks.0.qkv.channels"] == "view splits or mixes them"
    assert rigid["patches.kernel"] == "4 x 4 is not odd and square"
    assert rigid["idle"] == "the example's forward does not use it"
    supernet.set_active_subnet(**supernet.smallest())
    plain = supernet.get_active_subnet()
    assert (plain.positions.shape, plain.fixed.shape) == ((1, 10, 8), (10, 8))
    assert plain.matrix.shape == (8, 6)
    assert isinstance(plain.positions, nn.Parameter)
    assert torch.equal(supernet.extract().fixed, model.fixed[:, :8])
    supernet(x)["logits"].sum().backward()
    gradient = supernet.twin.get_parameter("model.positions").grad
    assert gradient[..., :8].all()
    assert not gradient[..., 8:].any()


def test_gradients_reach_the_slice_in_use_alone() -> None:
    _, supernet, x = converted("resnet")
    supernet.set_active_subnet(**supernet.smallest())
    supernet(x).square().sum().backward()
    first = supernet.twin.get_parameter("model.conv1.weight").grad
    assert first[:4, :, 1:4, 1:4].any()
    assert not first[4:].any()
    assert not first[:, :, 0].any()
    assert supernet.twin.get_parameter("model.layer1.1.conv1.weight").grad is None


def test_a_supernet_moves_and_changes_precision_as_any_module() -> None:
    _, supernet, x = converted("vision")
    supernet.double().set_active_subnet(**supernet.smallest())
    assert answer(supernet, x.double()).dtype == torch.float64
    assert torch.equal(answer(supernet.extract(), x.double()), answer(supernet, x.double()))


class Stubborn(nn.Module):
    """A forward that computes with numpy and a constant of the full width."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        scaled = self.a(x).detach().numpy() * np.ones(8, np.float32)
        return self.c(functional.relu(self.b(torch.from_numpy(scaled))))


class Various(nn.Module):
    """What no rule covers, each in its own way."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.out = nn.Embedding(20, 8), nn.Linear(8, 20, bias=False)
        self.out.weight = self.embedding.weight
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))
        self.rnn = nn.GRU(8, 8, batch_first=True)
        self.layers = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 3, enable_nested_tensor=False
        )
        self.oblong, self.normed = nn.Conv1d(8, 8, 4), nn.Conv1d(8, 8, 1)
        nn.utils.parametrizations.weight_norm(self.normed)
        self.spare = nn.Linear(3, 3)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids)
        x = self.layers(self.rnn(x + self.mlp(x))[0])
        y = self.normed(self.oblong(x.transpose(1, 2)))
        return self.out(torch.cat([y, y], 2).mean(2))


def test_what_is_left_rigid_is_named_with_the_reason() -> None:
    model = lived_in(Various())
    ids = torch.arange(18).view(2, 9)
    supernet = convert(model, ids, catalogue=NO_FAMILIES)
    assert set(supernet.space.names) == {"layers.layers.depth", "mlp.0.channels"}
    rigid = {one.part: one.why for one in supernet.rigid}
    assert rigid["embedding"] == rigid["out"] == "it shares weights with another layer"
    assert rigid["rnn"] == "GRU has no elastic twin (see register_twin)"
    assert rigid["layers.layers.1"].startswith("TransformerEncoderLayer has no elastic twin")
    assert rigid["mlp.2.channels"] == "they meet something that is no layer's output in add"
    assert rigid["oblong.kernel"] == "4 is not odd and square"
    assert rigid["oblong.channels"] == "they go through conv1d, which has no rule"
    assert rigid["normed.bias"] == "they go through conv1d, which has no rule"
    assert rigid["spare"] == "the example's forward does not call it"
    report = supernet.report()
    assert report.splitlines()[0] == "12 subnets"
    assert "  layers.layers.depth: one of 1, 2, 3" in report
    assert all(f"  {one}" in report.splitlines() for one in supernet.rigid)
    for depth in (1, 2, 3):
        supernet.set_active_subnet(**{"layers.layers.depth": depth})
        assert torch.equal(answer(supernet.extract(), ids), answer(supernet, ids))


def test_rigid_parts_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    _, supernet, _ = converted("resnet")
    supernet.print_rigid()
    assert "fc.channels: they are the model's output" in capsys.readouterr().out


def test_a_gene_that_the_forward_does_not_survive_is_taken_away() -> None:
    supernet = convert(Stubborn(), torch.randn(3, 4), catalogue=NO_FAMILIES)
    assert supernet.space.names == ("b.channels",)
    (why,) = (one.why for one in supernet.rigid if one.part == "a.channels")
    assert why.startswith("the forward fails without the rest: operands could not be broadcast")


def test_fresh_weights_come_from_a_generator_alone() -> None:
    _, supernet, x = converted("resnet")
    supernet.set_active_subnet(**supernet.smallest())
    state = torch.get_rng_state()
    seeds = (3, 3, 4)
    drawn = [
        supernet.get_active_subnet(
            preserve_weight=False, generator=torch.Generator().manual_seed(seed)
        )
        for seed in seeds
    ]
    assert torch.equal(torch.get_rng_state(), state)
    outputs = [answer(model, x) for model in drawn]
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])
    assert not torch.equal(outputs[0], answer(supernet.get_active_subnet(), x))


def test_layers_without_a_rule_reset_themselves() -> None:
    model = nn.Sequential(
        nn.Linear(4, 8), nn.Linear(8, 8), nn.TransformerEncoderLayer(8, 2, 16), nn.GRU(8, 3)
    )
    supernet = convert(model, torch.randn(2, 3, 4), catalogue=NO_FAMILIES)
    state = torch.get_rng_state()
    first, second = (
        supernet.get_active_subnet(False, torch.Generator().manual_seed(1)) for _ in range(2)
    )
    assert torch.equal(torch.get_rng_state(), state)
    for key, weight in first.named_parameters():
        assert torch.equal(weight, second.get_parameter(key))
        fixed = "norm" in key or "bias" in key
        assert fixed or not torch.equal(weight, supernet.extract().get_parameter(key)), key


def test_weights_that_nobody_can_draw_are_named() -> None:
    _, supernet, _ = converted("vision")
    with pytest.raises(UserError, match="no rule for fresh weights of Vision: give it reset_par"):
        supernet.get_active_subnet(preserve_weight=False)


def test_a_subnet_outside_the_space_is_refused_and_changes_nothing() -> None:
    _, supernet, _ = converted("resnet")
    before = supernet.set_active_subnet(**{"conv1.channels": 6})
    refused: Sequence[tuple[dict[str, Any], str]] = [
        ({"conv1.channels": 5}, r"conv1\.channels"),
        ({"conv1.chanels": 4}, r"no gene 'conv1\.chanels'; did you mean 'conv1\.channels'"),
        ({"layer1.depth": 0}, r"layer1\.depth"),
        ({"layer1.depth": 1, "layer1.1.conv1.channels": 4}, r"layer1\.1\.conv1\.channels"),
    ]
    for configuration, message in refused:
        with pytest.raises(UserError, match=message):
            supernet.set_active_subnet(**configuration)
        assert supernet.active() == before


def test_within_the_weights_any_slice_can_be_set() -> None:
    _, supernet, x = converted("resnet")
    supernet.set_active({"conv1.channels": 5, "layer1.depth": 0})
    assert supernet.active()["conv1.channels"] == 5
    assert torch.equal(answer(supernet.extract(), x), answer(supernet, x))
    with pytest.raises(UserError, match=r"conv1\.channels: expected 1 to 8 in steps of 1, came 9"):
        supernet.set_active({"conv1.channels": 9})
    with pytest.raises(UserError, match=r"conv1\.kernel: expected 1, 3, 5, came 4"):
        supernet.set_active({"conv1.kernel": 4})


def test_groups_of_a_convolution_divide_what_it_may_have() -> None:
    _, supernet, _ = converted("1-d")
    assert "model.7.channels: one of 12, 16, 20, 24" in supernet.report()
    with pytest.raises(UserError, match="expected 4 to 24 in steps of 4, came 6"):
        supernet.set_active({"model.7.channels": 6})


@pytest.mark.parametrize("as_mapping", [False, True])
def test_a_space_of_one_s_own_replaces_the_automatic_one(as_mapping: bool) -> None:
    dimensions = {"conv1.channels": {"choices": [3, 5, 8]}}
    given = (
        dimensions if as_mapping else load_space("dimensions: {conv1.channels: {choices: [3]}}\n")
    )
    model, x = lived_in(ResNet()), MODELS["resnet"][1]
    supernet = convert(model, x, space=given, catalogue=NO_FAMILIES)
    assert supernet.space.size() == (3 if as_mapping else 1)
    supernet.set_active_subnet(**{"conv1.channels": 3})
    assert supernet.active()["layer1.depth"] == 2
    assert torch.equal(answer(supernet.extract(), x), answer(supernet, x))


def test_a_space_beyond_the_weights_is_refused() -> None:
    for dimensions, message in (
        ({"conv1.channels": {"choices": [4, 16]}}, "does not fit the network: conv1.channels: exp"),
        ({"conv.channels": {"choices": [4]}}, "has no gene 'conv.channels'; did you mean 'conv1"),
    ):
        with pytest.raises(UserError, match=message):
            convert(ResNet(), MODELS["resnet"][1], space=dimensions, catalogue=NO_FAMILIES)


def test_without_an_example_the_error_asks_for_one() -> None:
    with pytest.raises(UserError, match=r"give an example of its input, convert\(model, example\)"):
        convert(ResNet(), catalogue=NO_FAMILIES)


def test_an_example_that_does_not_fit_is_named_with_its_shape() -> None:
    with pytest.raises(UserError, match=r"ResNet fails on the example \(\(2, 3, 8, 8\) float32\)"):
        convert(ResNet(), torch.zeros(2, 3, 8, 8), catalogue=NO_FAMILIES)


def test_what_is_no_network_or_cannot_change_is_refused() -> None:
    with pytest.raises(UserError, match=r"expected a torch\.nn\.Module, came int"):
        convert(3, catalogue=NO_FAMILIES)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="found nothing that can change; left rigid:\n  weight"):
        convert(nn.Linear(3, 3), torch.zeros(1, 3), catalogue=NO_FAMILIES)


class Reading(nn.Module):
    """A forward that reads its layers' attributes, as other libraries' do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv1d(3, 8, 3, padding=1, stride=2), nn.LayerNorm(8)
        self.out = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[2] % self.conv.stride[0] == 0
        assert self.conv.padding[0] == self.conv.dilation[0] * (self.conv.kernel_size[0] // 2)
        assert x.dtype == self.conv.weight.dtype
        x = self.conv(x).transpose(1, 2)
        assert x.shape[2:] == tuple(self.norm.normalized_shape) == (self.out.in_features,)
        return self.out(self.norm(x))


def test_a_forward_may_read_its_layers_attributes() -> None:
    x = image(2, 3, 8)
    supernet = convert(Reading(), x, catalogue=NO_FAMILIES)
    supernet.set_active_subnet(**supernet.smallest())
    assert torch.equal(answer(supernet.extract(), x), answer(supernet, x))


class Private(nn.Module):
    """A forward that looks into a layer's type."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        if not isinstance(self.a, nn.Linear):
            raise TypeError("a is no Linear")
        return self.b(self.a(x))


def test_a_forward_that_refuses_elastic_layers_is_named() -> None:
    with pytest.raises(UserError, match=r"Private fails with elastic layers in place: a is no Lin"):
        convert(Private(), torch.randn(1, 3), catalogue=NO_FAMILIES)
