"""What torch's functions do to channels: a rule for each kind, by the functions' names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from stillhouse.core.elastic.graph.channels import Book, Labels, Part, stiffen, tied
from stillhouse.core.elastic.graph.names import (
    ARITHMETIC,
    ELEMENTWISE,
    JOINS,
    MOVES,
    PRODUCTS,
    REDUCTIONS,
    SAME,
    UNCHANGED,
)


@dataclass(frozen=True)
class Call:
    """One call of a torch function during the forward."""

    name: str
    function: Callable[..., Any]
    args: Sequence[Any]
    named: Mapping[str, Any]
    result: Any
    book: Book

    @property
    def inputs(self) -> list[Tensor]:
        return list(tensors([*self.args, *self.named.values()]))

    @property
    def outputs(self) -> list[Tensor]:
        return list(tensors([self.result]))

    def argument(self, place: int, name: str, default: Any = None) -> Any:
        return self.args[place] if len(self.args) > place else self.named.get(name, default)


def tensors(values: Any) -> Iterator[Tensor]:
    """All tensors within nested sequences and mappings."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, Mapping):
            yield from tensors(value.values())
        elif isinstance(value, (list, tuple)):
            yield from tensors(value)


def name_of(function: Callable[..., Any]) -> str:
    """`add` for `torch.add`, `Tensor.add_`, `Tensor.__iadd__`; `T` for the property's getter."""
    name = getattr(function, "__name__", "")
    if name == "__get__":
        name = getattr(getattr(function, "__self__", None), "__name__", "")
    if name.startswith("__") and name.endswith("__"):
        name = name.strip("_")
        return name[1:] if name[1:] in ARITHMETIC and name[0] in "ir" else name
    return name.rstrip("_") if not name.startswith("_") else name


def apply(call: Call) -> None:
    """Note what a call does to labels and residual paths."""
    if not call.outputs and call.name != "setitem":
        return
    call.book.use(call.inputs)
    if call.name not in RULES:
        everything = [part for x in call.inputs for part in call.book.labels(x)]
        stiffen(everything, f"they go through {call.name}, which has no rule")
    elif any(part for x in call.inputs for part in call.book.labels(x)):
        RULES[call.name](call)
    _residual(call)


def _elementwise(call: Call) -> None:
    """Axes meet as broadcasting aligns them, from the last one on."""
    for result in call.outputs:
        meeting: list[list[Part | None]] = [[] for _ in result.shape]
        for x in call.inputs:
            offset = result.dim() - x.dim()
            if offset < 0:
                continue
            for axis, part in enumerate(call.book.labels(x), start=offset):
                if x.shape[axis - offset] == result.shape[axis] != 1:
                    meeting[axis].append(part)
        why = f"they meet something that is no layer's output in {call.name}"
        call.book.write(result, tuple(tied(parts, why) if parts else None for parts in meeting))


def _same(call: Call) -> None:
    """What happens to each position and channel alike; axes that change size lose their label."""
    x = call.inputs[0]
    for result in call.outputs:
        if result.dim() == x.dim():
            call.book.write(result, call.book.labels(x))
        else:
            stiffen(call.book.labels(x), f"{call.name} changes the number of axes")


def _reduced(call: Call) -> None:
    """Axes that are averaged away; with two tensors, `max` and `min` are elementwise."""
    if len(call.inputs) > 1:
        _elementwise(call)
        return
    x, dim = call.inputs[0], call.argument(1, "dim")
    if not isinstance(dim, (int, tuple, list)) or isinstance(dim, bool):
        return  # over all axes: nothing is left
    gone = {axis % x.dim() for axis in ([dim] if isinstance(dim, int) else dim)}
    labels = call.book.labels(x)
    for result in call.outputs:
        if result.dim() == x.dim():
            kept: Labels = tuple(None if i in gone else part for i, part in enumerate(labels))
        else:
            kept = tuple(part for i, part in enumerate(labels) if i not in gone)
        call.book.write(result, kept)


def _moved(call: Call) -> None:
    """Entries change places: where each labelled axis goes is seen on numbers that say so."""
    x, found = call.inputs[0], [[None] * out.dim() for out in call.outputs]
    for axis, part in enumerate(call.book.labels(x)):
        if part is None:
            continue
        numbers = torch.arange(x.shape[axis], device=x.device) // part.repeat
        shape = [-1 if i == axis else 1 for i in range(x.dim())]
        marked = numbers.view(shape).expand(x.shape).contiguous()
        moved = list(tensors([_again(call, x, marked)]))
        for labels, out in zip(found, moved, strict=True):
            _place(labels, out, part, call.name)
    for labels, result in zip(found, call.outputs, strict=True):
        call.book.write(result, tuple(labels))


def _again(call: Call, x: Tensor, instead: Tensor) -> Any:
    """The call's result with one tensor in another's place."""
    args = [instead if value is x else value for value in call.args]
    named = {key: instead if value is x else value for key, value in call.named.items()}
    return call.function(*args, **named)


def _place(labels: list[Any], numbers: Tensor, part: Part, name: str) -> None:
    """Find the one axis that channel numbers 0, 0, ..., 1, 1, ... run along."""
    size = part.group.root().size
    if not numbers.numel() or int(numbers.max()) == int(numbers.min()):
        part.group.stiffen(f"{name} picks one of them")
        return
    for axis, length in enumerate(numbers.shape):
        if length % size:
            continue
        expected = torch.arange(length, device=numbers.device) // (length // size)
        shape = [-1 if i == axis else 1 for i in range(numbers.dim())]
        if torch.equal(numbers, expected.view(shape).expand(numbers.shape)):
            labels[axis] = Part(part.group, length // size)
            return
    part.group.stiffen(f"{name} splits or mixes them")


def _joined(call: Call) -> None:
    """Concatenation and stacking: other axes meet, the joined one stays as it is."""
    pieces, dim = list(tensors([call.args[0]])), int(call.argument(1, "dim", 0))
    result = call.outputs[0]
    axis = dim % result.dim()
    labels = [list(call.book.labels(x)) for x in pieces]
    for row in labels:
        if call.name == "stack":
            row.insert(axis, None)
        stiffen([row[axis]], f"{call.name} joins them with others")
        row[axis] = None
    why = f"they meet something that is no layer's output in {call.name}"
    columns = zip(*labels, strict=True)
    call.book.write(result, tuple(tied(column, why) for column in columns))


def _product(call: Call) -> None:
    """Matrix products: the summed axes meet."""
    (a, b), result = call.inputs[:2], call.outputs[0]
    left, right = call.book.labels(a), call.book.labels(b)
    if a.dim() < 2 or b.dim() < 2 or result.dim() != max(a.dim(), b.dim()):
        stiffen([*left, *right], f"they go through {call.name} with vectors")
        return
    tied([left[-1], right[-2]], f"{call.name} sums over them and others")
    stiffen(right[:-2], f"they are a batch axis of {call.name}")
    batch = left[:-2] if a.dim() == result.dim() else (None,) * (result.dim() - 2)
    call.book.write(result, (*batch, left[-2], right[-1]))


def _linear(call: Call) -> None:
    """A product with a matrix of the user's own, and what is added to it."""
    x, weight, *bias = (call.book.labels(value) for value in call.inputs)
    if len(weight) != 2:
        stiffen([*x, *weight], "they meet a vector in linear")
        return
    why = "linear meets something that is no layer's output"
    tied([x[-1], weight[1]], why)
    gives = tied([weight[0], *(one[0] for one in bias)], why)
    call.book.write(call.outputs[0], (*x[:-1], gives))


def _attention(call: Call) -> None:
    """Scaled dot products: queries' and keys' features meet, values' come out."""
    query, key, value = (call.book.labels(x) for x in call.inputs[:3])
    tied([query[-1], key[-1]], "queries and keys do not come from layers alike")
    call.book.write(call.outputs[0], (*query[:-1], value[-1]))


def _residual(call: Call) -> None:
    """Carry on which blocks' inputs the results are, or are sums with."""
    book, inputs = call.book, call.inputs
    plain = frozenset[str]().union(*(book.plain(x) for x in inputs))
    summed = frozenset[str]().union(*(book.summed(x) for x in inputs))
    if not plain | summed:
        return
    for result in call.outputs:
        if call.name == "add" and len(inputs) > 1:
            book.mark(result, frozenset(), plain | summed)
        elif RULES.get(call.name) is _moved or call.name in UNCHANGED:
            book.mark(result, plain, summed)
        elif call.name in ELEMENTWISE and len(inputs) == 1:
            book.mark(result, frozenset(), summed)
        else:
            book.mark(result, frozenset(), frozenset())


RULES: Final[dict[str, Callable[[Call], None]]] = {
    **dict.fromkeys(ELEMENTWISE, _elementwise),
    **dict.fromkeys(SAME, _same),
    **dict.fromkeys(MOVES, _moved),
    **dict.fromkeys(REDUCTIONS, _reduced),
    **dict.fromkeys(JOINS, _joined),
    **dict.fromkeys(PRODUCTS, _product),
    "linear": _linear,
    "scaled_dot_product_attention": _attention,
}
