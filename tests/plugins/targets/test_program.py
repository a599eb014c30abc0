"""Programs: captured, stored as data, read back without running anything, built to run."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from stillhouse.core.errors import UserError
from stillhouse.core.measure import ExportError
from stillhouse.plugins.targets.capture import captured
from stillhouse.plugins.targets.program import Program, operation
from stillhouse.plugins.targets.program_file import read_program, stored, write_program
from stillhouse.plugins.targets.program_module import built

CPU = torch.device("cpu")


def _seeded(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.1)
    return module


class _Apply(nn.Module):
    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


class _Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 6, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.lstm(x)[0]
        return outputs[:, -1]


class _Tied(nn.Module):
    """One matrix that embeds and unembeds, and a mask that is filled in place."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(7, 5), nn.Linear(5, 7)
        self.head.weight = self.embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        mask = torch.zeros(3)
        mask += x[0, :3]
        scores: Tensor = self.head(self.embedding(x))
        return (scores * mask[:, None]).masked_fill(mask[:, None] == 0, -torch.inf).amax(1)


NETWORKS = {
    "convolutional": (
        nn.Sequential(
            nn.Conv1d(4, 8, 3, padding=1), nn.BatchNorm1d(8), nn.ReLU(inplace=True),
            nn.Dropout(0.5), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 3),
        ),
        torch.randn(2, 4, 9, generator=torch.Generator().manual_seed(1)),
    ),
    "recurrent": (_Recurrent(), torch.randn(1, 5, 4, generator=torch.Generator().manual_seed(1))),
    "transformer": (
        nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
        torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(1)),
    ),
    "tied": (_Tied(), torch.tensor([[0, 3, 6]])),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("bound", [True, False])
def test_a_program_read_from_its_file_answers_as_the_network(
    tmp_path: Path, name: str, bound: bool
) -> None:
    network, example = NETWORKS[name]
    write_program(captured(_seeded(network), example), tmp_path / "net.aten")
    module = built(read_program(tmp_path / "net.aten"), CPU, bound=bound)
    inputs = example.flip(1)
    with torch.no_grad():
        expected = network.eval()(inputs)
        for _ in range(2):
            torch.testing.assert_close(module(inputs), expected, rtol=1e-5, atol=1e-5)


def test_a_file_holds_the_weights_under_their_own_names_each_once(tmp_path: Path) -> None:
    network, example = NETWORKS["tied"]
    write_program(captured(_seeded(network), example), tmp_path / "net.aten")
    weights, state = load_file(tmp_path / "net.aten"), network.state_dict()
    assert sorted(weights) == ["embedding.weight", "head.bias"]
    assert all(torch.equal(state[name], tensor) for name, tensor in weights.items())


def test_the_same_network_gives_the_same_bytes_little_more_than_its_weights() -> None:
    network, example = (
        nn.Sequential(nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 3)),
        torch.ones(1, 64),
    )
    once = stored(captured(_seeded(network), example))
    assert once == stored(captured(network, example))
    weights = 4 * sum(p.numel() for p in network.parameters())
    assert weights < len(once) < weights + 1_000


def test_what_depends_on_weights_alone_is_computed_once(tmp_path: Path) -> None:
    class Folded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.eye(4))

        def forward(self, x: Tensor) -> Tensor:
            return x @ (2 * self.weight.reshape(4, 4)).softmax(0)

    program = captured(Folded(), torch.ones(1, 4))
    module = built(program, CPU, bound=False)
    calls = [node.target for node in module.graph.nodes if node.op == "call_function"]
    assert len(program.steps) == 4
    assert calls == [torch.ops.aten.matmul.default]


def test_capturing_leaves_the_network_and_the_generator_as_they_were() -> None:
    network, example = NETWORKS["convolutional"]
    network.train()
    before, state = torch.get_rng_state(), {k: v.clone() for k, v in network.state_dict().items()}
    captured(network, example)
    assert network.training
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(state[name], tensor) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: x if x.sum() > 0 else -x, "cannot export _Apply .* no branch"),
        (lambda x: (x, x), "expected a network with one output tensor"),
        (lambda x: torch.ops.quantized.relu6(x), "cannot export _Apply"),
    ],
)
def test_a_network_that_is_no_program_is_refused(
    function: Callable[[Tensor], Any], said: str
) -> None:
    with pytest.raises(ExportError, match=said):
        captured(_Apply(function), torch.ones(1, 3))


@pytest.mark.parametrize(
    "name",
    [
        "from_file.default",
        "from_file",
        "save.default",
        "__class__",
        "_nope.default",
        "os.system",
        "",
    ],
)
def test_an_operator_that_does_not_compute_tensors_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no ATen operator that computes"):
        operation(name)


def _edited(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """A program's file with its header changed."""
    write_program(captured(nn.Linear(3, 2), torch.ones(1, 3)), path)
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["stillhouse.program"])
    change(header)
    save_file(load_file(path), path, {"stillhouse.program": json.dumps(header)})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda h: h.update(format=9), "its format is 9, this version reads 1"),
        (lambda h: h.pop("steps"), "it lacks 'steps'"),
        (lambda h: h.update(input=[[1, 3], "object"]), "it lacks 'object'"),
        (lambda h: h.update(output="%7"), "refers to '%7', which comes later or never"),
        (lambda h: h["steps"][0].__setitem__(0, "from_file"), "no ATen operator"),
        (lambda h: h["steps"][0].__setitem__(1, ["x", "@9"]), "refers to '@9'"),
        (lambda h: h["steps"][0].__setitem__(1, [{"pickle": "x"}]), "it lacks 'pickle'"),
        (lambda h: h.update(steps=[["relu.default"]]), "cannot load"),
    ],
)
def test_a_file_with_foreign_content_is_refused_by_name(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    path = tmp_path / "net.aten"
    _edited(path, change)
    with pytest.raises(UserError, match=r"cannot load .*net\.aten") as refused:
        read_program(path)
    assert said in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"not a program", pickle.dumps({"weights": 1})])
def test_a_file_that_is_no_program_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net.aten").write_bytes(content)
    with pytest.raises(UserError, match="expected a file that stillhouse exported"):
        read_program(tmp_path / "net.aten")


def test_plain_weights_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    save_file({"weight": torch.ones(2)}, tmp_path / "weights.safetensors")
    with pytest.raises(UserError, match=r"it lacks 'stillhouse\.program'"):
        read_program(tmp_path / "weights.safetensors")
    with pytest.raises(UserError, match=r"none\.aten .*there is no such file"):
        read_program(tmp_path / "none.aten")


def test_numbers_that_json_lacks_survive(tmp_path: Path) -> None:
    program: Program = captured(_Apply(lambda x: x.clamp(min=-torch.inf)), torch.ones(1, 2))
    write_program(program, tmp_path / "net.aten")
    assert read_program(tmp_path / "net.aten").steps == program.steps
    assert program.steps[0].args[1] == {"float": "-inf"}
