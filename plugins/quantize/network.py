"""A network that is a finished ONNX graph: from there on the runtime answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, final

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from stillhouse.core.errors import UserError
from stillhouse.core.measure import Graph, GraphForm
from stillhouse.plugins.targets.agreement import array, in_batches
from stillhouse.plugins.targets.graph_file import checked
from stillhouse.plugins.targets.sessions import session

_GRAPH: Final = "graph"


@final
class GraphNetwork(GraphForm):
    """Holds the file's bytes in the buffer `graph`, (bytes,) of uint8, and runs them on one thread.

    Until it has a graph it holds an untrained `network` to make one from: whatever first asks for
    the graph or its bytes has it made, by `change` of what `export` gives of the network. Without
    `export` only exporting it as a whole makes it, or loading.
    """

    def __init__(
        self,
        graph: onnx.ModelProto | None,
        network: nn.Module | None = None,
        change: Callable[[Graph], Graph] | None = None,
        export: Callable[[nn.Module], Graph] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self._change, self._export = change, export
        self._session: Any = None
        self.register_buffer(_GRAPH, _as_long_as(network))
        if graph is not None:
            self._take(graph)

    def traced(self) -> nn.Module | None:
        network = self.network
        return network.traced() if isinstance(network, GraphForm) else network

    def finished(self, graph: Graph | None) -> Graph:
        """The graph held; an untrained network's is made of `graph` and kept."""
        if self.network is not None and self._change is not None and graph is not None:
            changed, network = self._change(graph), self.network
            self._take(network.finished(changed) if isinstance(network, GraphForm) else changed)
        return _read(self._bytes())

    def forward(self, inputs: Tensor) -> Tensor:
        """Answers for any number of inputs, in batches of the size the graph was exported for.

        Raises ValueError for inputs without numbers: it cannot be traced.
        """
        if inputs.device.type == "meta" or type(inputs) not in (Tensor, nn.Parameter):
            raise ValueError("its graph is finished, and runs in ONNX Runtime alone")
        if self._session is None:
            self._session = session(self._bytes(), 1)
        at = self._session
        given, name = at.get_inputs()[0], at.get_outputs()[0].name
        answers = in_batches(
            inputs, given.shape[0], lambda x: at.run([name], {given.name: array(x)})[0]
        )
        return torch.from_numpy(answers).to(inputs.device)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The graph alone: it is made first where that is possible."""
        if self.network is not None and self._export is not None:
            self._make()
        kept, self.network = self.network, None
        try:
            return super().state_dict(*args, **kwargs)
        finally:
            self.network = kept

    def _make(self) -> None:
        traced = self.traced()
        if self._export is None or traced is None:
            raise RuntimeError("an untrained graph answers once it was exported or loaded")
        self.finished(self._export(traced))

    def _bytes(self) -> bytes:
        if self.network is not None:
            self._make()
        return self.get_buffer(_GRAPH).cpu().numpy().tobytes()

    def _take(self, graph: onnx.ModelProto) -> None:
        data = graph.SerializeToString(deterministic=True)
        self._hold(torch.from_numpy(np.frombuffer(data, np.uint8).copy()))

    def _hold(self, held: Tensor) -> None:
        self.graph = held
        self.network = self._change = self._export = self._session = None

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Takes a graph of any length. RuntimeError for one that is not to be trusted."""
        held = state_dict.get(prefix + _GRAPH)
        if isinstance(held, Tensor):
            if held.dtype != torch.uint8 or held.ndim != 1:
                raise RuntimeError(
                    f"expected the bytes of an ONNX file, (bytes,) of uint8, got {held.dtype} of "
                    f"shape {tuple(held.shape)}"
                )
            self._hold(held.detach().cpu().clone())
            _read(self._bytes())
        super()._load_from_state_dict(dict(state_dict), prefix, *args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        """Copies open a session of their own."""
        return {**self.__dict__, "_session": None}


def _as_long_as(network: nn.Module | None) -> Tensor:
    """Stands for a graph that is not there yet: no longer than float weights, and in no memory.

    What loads weights asks by it how many to expect.
    """
    weights = network.parameters() if network is not None else ()
    return torch.zeros(1, dtype=torch.uint8).expand(sum(weight.nbytes for weight in weights))


def _read(data: bytes) -> onnx.ModelProto:
    """The model that bytes are. RuntimeError for damaged ones, and for what reaches out of them."""
    try:
        model = checked(onnx.load_model_from_string(data), f"{len(data)} bytes")
        onnx.checker.check_model(model)
    except UserError as error:
        raise RuntimeError(str(error)) from None
    except Exception as failed:  # protobuf and the checker raise types of their own
        reason = (str(failed).strip() or type(failed).__name__).splitlines()[0]
        raise RuntimeError(f"expected an ONNX model, got {len(data)} bytes: {reason}") from None
    return model
