"""A network that is a graph: its bytes are data, and are looked at before anything runs them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from stillhouse.core.cost.tracing import traced
from stillhouse.plugins.quantize.network import GraphNetwork


def model(
    domain: str = "", change: Callable[[onnx.ModelProto], None] | None = None
) -> onnx.ModelProto:
    value = helper.make_tensor_value_info
    weight = numpy_helper.from_array(np.eye(2, dtype=np.float32), "w")
    node = helper.make_node("MatMul", ["input", "w"], ["logits"], domain=domain)
    graph = helper.make_graph(
        [node],
        "g",
        [value("input", TensorProto.FLOAT, [1, 2])],
        [value("logits", TensorProto.FLOAT, [1, 2])],
        [weight],
    )
    imports = [helper.make_opsetid(name, 21) for name in dict.fromkeys(("", domain))]
    made = helper.make_model(graph, opset_imports=imports, ir_version=10)
    if change:
        change(made)
    return made


def data(made: onnx.ModelProto) -> torch.Tensor:
    return torch.from_numpy(np.frombuffer(made.SerializeToString(), np.uint8).copy())


def loaded(held: torch.Tensor) -> GraphNetwork:
    network = GraphNetwork(None)
    network.load_state_dict({"graph": held}, strict=True)
    return network


def elsewhere(made: onnx.ModelProto) -> None:
    weight = made.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="/etc/hostname")


def test_it_answers_for_any_number_of_inputs() -> None:
    network = loaded(data(model()))
    inputs = torch.arange(6.0).reshape(3, 2)
    assert torch.equal(network(inputs), inputs)


def test_copies_and_their_files_hold_the_graph_and_no_session() -> None:
    network = loaded(data(model()))
    inputs = torch.ones(1, 2)
    network(inputs)
    again = copy.deepcopy(network)
    assert again._session is None
    assert torch.equal(again(inputs), network(inputs))
    assert list(again.state_dict()) == ["graph"]


def test_it_is_not_counted_on_shapes_alone() -> None:
    with pytest.raises(ValueError, match="runs in ONNX Runtime alone"):
        traced(loaded(data(model())), torch.ones(1, 2))


@pytest.mark.parametrize(
    ("held", "reason"),
    [
        (torch.zeros(9, dtype=torch.uint8), "expected an ONNX model, got 9 bytes"),
        (data(model())[:-9], "expected an ONNX model"),
        (data(model("com.evil")), "com.evil::MatMul is no operator of ONNX"),
        (data(model(change=elsewhere)), "lie in another place, '/etc/hostname'"),
        (torch.zeros(3), r"\(bytes,\) of uint8, got torch.float32"),
        (torch.zeros(3, 3, dtype=torch.uint8), r"of shape \(3, 3\)"),
    ],
)
def test_bytes_that_are_no_plain_graph_are_refused(held: torch.Tensor, reason: str) -> None:
    with pytest.raises(RuntimeError, match=reason):
        loaded(held)


def test_weights_without_a_graph_do_not_fit() -> None:
    with pytest.raises(RuntimeError, match=r'Missing key.* "graph"'):
        GraphNetwork(None).load_state_dict({}, strict=True)
    with pytest.raises(RuntimeError, match="Unexpected key"):
        GraphNetwork(None).load_state_dict({"graph": data(model()), "w": torch.ones(1)})


def test_without_a_graph_it_tells_how_long_one_may_be() -> None:
    network = GraphNetwork(None, torch.nn.Linear(2, 2))
    (stands,) = network.state_dict().values()
    assert stands.nbytes == 24
    with pytest.raises(RuntimeError, match="once it was exported or loaded"):
        network(torch.ones(1, 2))
    assert any(True for _ in network.parameters())


def test_what_it_is_made_of_is_asked_for_once() -> None:
    asked: list[Any] = []

    def export(module: Any) -> onnx.ModelProto:
        asked.append(module)
        return model()

    linear = torch.nn.Linear(2, 2)
    network = GraphNetwork(None, linear, lambda graph: graph, export)
    assert torch.equal(network(torch.ones(3, 2)), torch.ones(3, 2))
    assert list(network.state_dict()) == ["graph"]
    assert asked == [linear]
    assert network.traced() is None
    assert network.finished(None) == model()
