"""Operators beside ATen's: those that are listed, by name, and none that a file makes up."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from stillhouse.core.errors import UserError
from stillhouse.core.measure import ExportError
from stillhouse.plugins.binary.geometry import Geometry
from stillhouse.plugins.binary.layer import BinaryLayer
from stillhouse.plugins.targets.capture import captured
from stillhouse.plugins.targets.program import operation
from stillhouse.plugins.targets.program_file import read_program, write_program
from stillhouse.plugins.targets.program_module import built
from stillhouse.plugins.targets.supplied import SUPPLIED

CPU = torch.device("cpu")


@pytest.fixture
def layer() -> BinaryLayer:
    generator = torch.Generator().manual_seed(0)
    latent, threshold = torch.randn(6 * 20, generator=generator), torch.zeros(20)
    return BinaryLayer(Geometry(20, 6), latent, threshold, torch.ones(6), 1.25, True).eval()


def test_exactly_the_operators_of_binary_layers_are_listed() -> None:
    assert sorted(SUPPLIED) == [
        "stillhouse.binary_layout.default", "stillhouse.binary_product.default",
    ]  # fmt: skip
    assert all(str(operation(name)) == name for name in SUPPLIED)


@pytest.mark.parametrize("bound", [True, False])
def test_a_program_of_binary_layers_answers_bit_for_bit(
    layer: BinaryLayer, tmp_path: Path, bound: bool
) -> None:
    x = torch.randn(3, 20, generator=torch.Generator().manual_seed(1))
    write_program(captured(torch.nn.Sequential(layer), x), tmp_path / "net.aten")
    program = read_program(tmp_path / "net.aten")
    assert {"stillhouse.binary_layout.default", "stillhouse.binary_product.default"} <= {
        step.operator for step in program.steps
    }
    assert sorted(program.weights) == ["0.bias", "0.scale", "0.signs", "0.threshold"]
    module = built(program, CPU, bound=bound)
    with torch.no_grad():
        assert torch.equal(module(x), layer(x))
    called = [node.target for node in module.graph.nodes if node.op == "call_function"]
    assert len(called) == 1  # weights are laid out when the program is loaded


def test_a_file_may_name_no_other_operator_of_any_package(tmp_path: Path) -> None:
    torch.library.define("stillhouse_other::opened", "(Tensor x) -> Tensor")
    others = ("stillhouse_other.opened.default", "os.system.default", "stillhouse.binary_product")
    for name in (*others, "stillhouse.binary_layout.default.default"):
        with pytest.raises(UserError, match="is no ATen operator"):
            read_program(_naming(name, tmp_path))


def _naming(operator: str, folder: Path) -> Path:
    header = {
        "format": 1, "torch": "2", "input": [[1, 2], "float32"], "steps": [[operator, ["x"], {}]],
        "output": "%0",
    }  # fmt: skip
    path = folder / "net.aten"
    save_file({"w": torch.ones(1)}, path, {"stillhouse.program": json.dumps(header)})
    return path


def test_sizes_of_a_file_that_do_not_fit_are_refused_when_it_is_run(
    layer: BinaryLayer, tmp_path: Path
) -> None:
    x = torch.randn(3, 20)
    write_program(captured(layer, x), tmp_path / "net.aten")
    program = read_program(tmp_path / "net.aten")
    larger = json.loads(json.dumps([list(step.args) for step in program.steps]).replace("6", "600"))
    steps = [
        type(step)(step.operator, tuple(args), step.kwargs)
        for step, args in zip(program.steps, larger, strict=True)
    ]
    changed = type(program)(
        program.shape, program.dtype, tuple(steps), program.output, program.weights
    )
    with pytest.raises(ValueError, match="binary product: expected"):
        built(changed, CPU, bound=True)


class Foreign(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> Any:
        return torch.ops.stillhouse_other.kept(x)


def test_a_network_of_foreign_operators_is_not_exported() -> None:
    torch.library.define("stillhouse_other::kept", "(Tensor x) -> Tensor")
    torch.library.impl("stillhouse_other::kept", "CompositeExplicitAutograd", torch.clone)
    with pytest.raises(ExportError, match="no operator of torch's own"):
        captured(Foreign(), torch.ones(1))


def test_operators_are_registered_when_a_program_first_names_them() -> None:
    code = (
        "import sys; import stillhouse.plugins.targets.program as p;"
        "assert 'stillhouse.plugins.binary.operator' not in sys.modules;"
        "p.operation('stillhouse.binary_product.default');"
        "assert 'stillhouse.plugins.binary.operator' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
