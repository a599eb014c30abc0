"""One forward, watched: which channels meet where, and which blocks add to their input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, final

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from stillhouse.core.elastic.graph.channels import Book, stiffen
from stillhouse.core.elastic.graph.functions import Call, apply, name_of, tensors
from stillhouse.core.elastic.graph.layers import Layer
from stillhouse.core.elastic.graph.parts import Block, Parts


@final
class Trace(TorchFunctionMode):
    """Watches torch's functions and a network's modules while it runs.

    Nothing is compiled or symbolic: whatever python the forward runs, the path that the example
    takes is the one seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.book, self._inside = Book(), 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        result = func(*args, **named)
        if not self._inside:
            apply(Call(name_of(func), func, args, named, result, self.book))
        return result

    @contextmanager
    def watching(self, parts: Parts) -> Iterator[None]:
        """Follow the calls of layers, closed modules and blocks."""
        handles: list[Any] = []
        for slot in parts.slots.values():
            slot.begin(self.book)
        for layer in parts.layers.values():
            handles += self._around(layer.plain, *self._layer(layer))
        for name, module in parts.closed.items():
            handles += self._around(module, *self._closed(name, module))
        # After the closed ones: what these say of a block that is one of them counts.
        for block in (b for blocks in parts.containers.values() for b in blocks):
            handles += self._around(block.module, *_block(self.book, block))
        try:
            with self:
                yield
        finally:
            for handle in handles:
                handle.remove()
            for slot in parts.slots.values():
                slot.used = self.book.used(slot.value)

    def _around(self, module: nn.Module, before: Any, after: Any) -> list[Any]:
        return [
            module.register_forward_pre_hook(before, with_kwargs=True),
            module.register_forward_hook(after, with_kwargs=True),
        ]

    def _enter(self, module: nn.Module, args: Any, named: Any) -> None:
        self._inside += 1

    def _layer(self, layer: Layer) -> tuple[Any, Any]:
        def after(module: nn.Module, args: Any, named: Any, result: Any) -> None:
            self._inside -= 1
            given = list(tensors([args, named]))
            if self._inside or not given or not isinstance(result, Tensor):
                return
            self.book.use(given)
            layer.note(given[0], result, self.book)
            if layer.transparent:
                self.book.mark(result, frozenset(), self.book.summed(given[0]))

        return self._enter, after

    def _closed(self, name: str, module: nn.Module) -> tuple[Any, Any]:
        why = f"{name} ({type(module).__name__}) keeps its shape"

        def after(module: nn.Module, args: Any, named: Any, result: Any) -> None:
            self._inside -= 1
            given = list(tensors([args, named]))
            if self._inside or not given:
                return
            self.book.use(given)
            for x in given:
                stiffen(self.book.labels(x), why)
            if isinstance(module, nn.TransformerEncoderLayer) and isinstance(result, Tensor):
                paths = self.book.plain(given[0]) | self.book.summed(given[0])
                self.book.mark(result, frozenset(), paths)

        return self._enter, after


def _block(book: Book, block: Block) -> tuple[Any, Any]:
    entered: list[Tensor] = []

    def before(module: nn.Module, args: Any, named: Any) -> None:
        first = next(iter([*args, *named.values()]), None)
        block.calls += 1
        if isinstance(first, Tensor):
            entered.append(first)
            book.enter(first, block.name)

    def after(module: nn.Module, args: Any, named: Any, result: Any) -> None:
        if entered and isinstance(result, Tensor):
            alike = (result.shape, result.dtype) == (entered[-1].shape, entered[-1].dtype)
            block.residual = alike and block.name in book.summed(result)

    return before, after
