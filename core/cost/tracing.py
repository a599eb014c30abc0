"""One network's rows of the operator sheet, from a run on the meta device: shapes, no numbers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, final

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from stillhouse.core.cost.operations import attention, operation, recurrent, tensors
from stillhouse.core.cost.sheet import Operator
from stillhouse.core.cost.trace import Trace, bits_of, storage

_RECURRENT: Final = frozenset({"lstm", "gru", "rnn_tanh", "rnn_relu"})


def traced(module: nn.Module, example: Tensor) -> tuple[Operator, ...]:
    """Rows of plain numbers, in the order in which the operators run, in eval mode.

    `example` is one input, (1, ...). Every parameter counts once, so that the rows' parameters sum
    to those of the module; one that no operator has as its weights is a table that is only read.
    `held` comes from the life of every tensor, see `terms.peak_activation_bytes`.

    Raises ValueError for a network whose operators depend on numbers, or that the sheet has no row
    for; the module stays as it is.
    """
    shapes = _on_meta(module).eval()
    trace = Trace(shapes)
    given = example.to("meta")
    try:
        with torch.no_grad(), _recording(trace, given), torch.device("meta"):
            out = shapes(given)
    except Exception as failed:  # modules raise whatever they like
        raise ValueError(
            f"cannot count {type(module).__name__} on torch's meta device: {failed}"
        ) from failed
    return trace.rows(tensors([out] if isinstance(out, Tensor) else out))


def _on_meta(module: nn.Module) -> nn.Module:
    memo: dict[int, Any] = {}
    for weight in module.parameters():
        memo[id(weight)] = nn.Parameter(weight.detach().to("meta"), weight.is_floating_point())
    for buffer in module.buffers():
        memo[id(buffer)] = buffer.detach().to("meta")
    return copy.deepcopy(module, memo)


@contextmanager
def _recording(trace: Trace, given: Tensor) -> Iterator[None]:
    """Record calls for as long as it lasts, and in which module they were made."""
    trace.born(given)
    hooks = [
        hook
        for name, part in trace.module.named_modules()
        for hook in (
            part.register_forward_pre_hook(lambda *_, n=name: trace.path.append(n)),
            part.register_forward_hook(lambda *_: _left(trace), always_call=True),
        )
    ]
    # Fused inference kernels have no meta implementation.
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with _Calls(trace) as calls, _Composites(trace, calls):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for hook in hooks:
            hook.remove()


def _left(trace: Trace) -> None:
    trace.path.pop()


@final
class _Calls(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Every aten call, but those inside a composite that is recorded whole."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._trace, self.paused = trace, False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        if not self.paused:
            values = [*args, *(kwargs or {}).values()]
            self._record(func.overloadpacket, values, tensors([out]))
        return out

    def _record(self, packet: object, args: Sequence[Any], outputs: list[Tensor]) -> None:
        trace, given = self._trace, tensors(args)
        inside = {storage(t) for t in given}
        if not outputs or (
            all(storage(t) in inside for t in outputs) and not str(packet).endswith("_")
        ):
            return
        reads = trace.activations(given)
        if not reads:
            trace.settle(outputs)
            return
        found = operation(packet, args, outputs, trace.constant)
        trace.add(found, reads, [trace.born(t) for t in outputs], bits_of(outputs[0]))


@final
class _Composites(TorchFunctionMode):
    """Attention and recurrent layers, which torch takes apart in ways of its own."""

    def __init__(self, trace: Trace, calls: _Calls) -> None:
        super().__init__()
        self._trace, self._calls = trace, calls

    def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        name = getattr(func, "__name__", "")
        given = dict(kwargs or {})
        if name == "scaled_dot_product_attention":
            operands = [*args, *(given[n] for n in ("query", "key", "value") if n in given)][:3]
            return self._whole(lambda: func(*args, **given), self._attention, operands)
        if name in _RECURRENT:
            layers = (name, *args, *given.values())
            return self._whole(lambda: func(*args, **given), self._recurrent, layers)
        return func(*args, **given)

    def _whole(
        self,
        call: Callable[[], Any],
        record: Callable[[Sequence[Any], list[Tensor]], None],
        args: Sequence[Any],
    ) -> Any:
        self._calls.paused = True
        try:
            out = call()
        finally:
            self._calls.paused = False
        record(args, tensors([out]))
        return out

    def _attention(self, args: Sequence[Any], outputs: list[Tensor]) -> None:
        query, key, value = args
        scores, softmax, mix = attention(query, key, value)
        trace, bits = self._trace, bits_of(outputs[0])
        size = softmax.cells["outputs"] * softmax.cells["positions"] * bits / 8
        raw, shares = trace.temporary(size), trace.temporary(size)
        trace.add(scores, trace.activations([query, key]), [raw], bits)
        trace.add(softmax, [raw], [shares], bits)
        read = [shares, *trace.activations([value])]
        trace.add(mix, read, [trace.born(outputs[0])], bits)

    def _recurrent(self, args: Sequence[Any], outputs: list[Tensor]) -> None:
        trace, found = self._trace, recurrent(args[0], args[1:])
        read, bits = trace.activations([args[1]]), bits_of(outputs[0])
        for layer in found[:-1]:
            size = layer.cells["positions"] * layer.cells["outputs"] * bits / 8
            written = [trace.temporary(size)]
            trace.add(layer, read, written, bits)
            read = written
        trace.add(found[-1], read, [trace.born(t) for t in outputs], bits)
