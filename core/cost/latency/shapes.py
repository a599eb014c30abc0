"""Blocks of a sheet: what a runtime runs as one, and the sizes that its time depends on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Self, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.cost.sheet import Cells, Operator, OperatorSheet

SESSION: Final = "session"
"""Kind of the one block that stands for what a run costs beside its operators."""

CACHE: Final = "cache"
"""Kind of blocks that show what weights cost where they do not fit the processor's caches.

Each is a linear operator among `groups` that are alike, every one with weights of its own.
"""

FUNCTIONS: Final = frozenset(
    {"add", "mul", "gelu", "relu", "sigmoid", "tanh", "silu", "softmax", "mean"}
)
"""What elementwise rows compute, told by the last part of their names.

Rows of other names are told by how much they read: "add" of two operands, "mean" of more, "gelu"
(the dearest of the common activations) of one.
"""

_CONVOLUTION: Final = (
    "positions", "inputs", "outputs", "kernel", "groups", "bias", "read_positions",
)  # fmt: skip
_SIZES: Final[Mapping[str, tuple[str, ...]]] = {
    "linear": ("positions", "inputs", "outputs", "bias"),
    "cache": ("positions", "inputs", "outputs", "groups", "bias"),
    "conv1d": _CONVOLUTION,
    "conv2d": _CONVOLUTION,
    "matmul": ("positions", "inputs", "outputs", "groups"),
    "attention": ("positions", "inputs", "outputs", "groups"),
    "norm": ("positions", "outputs", "bias"),
    "table": ("positions", "outputs"),
    "recurrent": ("positions", "inputs", "outputs", "groups", "bias"),
}
_ELEMENTWISE: Final = ("positions", "outputs", "read_positions")
_DENSE: Final = 1_000_000
"""Codes up to which a table of all of them is faster than sorting the candidates."""
_BITS: Final = ("weight_bits", "activation_bits", "dynamic_scale")


@final
@dataclass(frozen=True, order=True)
class Shape:
    """One block: a kind and its sizes, named as the sheet's columns.

    Kinds are the sheet's, but for `elementwise` rows, which are split by function (`FUNCTIONS`),
    and for softmax attention, whose three rows are one block "attention": `positions` queries
    against `outputs` keys of `inputs` features in each of `groups` heads.
    """

    kind: str
    positions: int = 1
    inputs: int = 0
    outputs: int = 0
    kernel: int = 1
    groups: int = 1
    bias: int = 0
    read_positions: int = 0
    weight_bits: int = 32
    activation_bits: int = 32
    dynamic_scale: int = 0

    @property
    def key(self) -> str:
        """One text for each shape: the kind, then sizes that differ from the defaults."""
        sizes = {name: value for name, value in self.to_json().items() if name != "kind"}
        return " ".join([self.kind, *(f"{name}={value}" for name, value in sizes.items())])

    @property
    def layout(self) -> str:
        """What must agree for two shapes' times to be compared: the kind and the bits."""
        return layout(self.kind, self.weight_bits, self.activation_bits, self.dynamic_scale)

    def to_json(self) -> dict[str, Any]:
        plain = asdict(self)
        return {f.name: plain[f.name] for f in fields(self) if f.default != plain[f.name]}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Raises KeyError, TypeError or ValueError on foreign content."""
        sizes = {name: int(value) for name, value in raw.items() if name != "kind"}
        return cls(str(raw["kind"]), **sizes)


def layout(kind: str, weight_bits: float, activation_bits: float, dynamic_scale: float = 0) -> str:
    plain = weight_bits == activation_bits == 32
    bits = kind if plain else f"{kind} w{weight_bits:g}a{activation_bits:g}"
    return f"{bits} dynamic" if dynamic_scale else bits


def layouts(row: Operator) -> Iterator[tuple[str, Cells | float]]:
    """The row's layout, or each that candidates have, and 1 for those that have it."""
    columns = [row[name] for name in _BITS]
    if all(np.ndim(column) == 0 for column in columns):
        yield layout(row.kind, *(float(column) for column in columns)), 1.0
        return
    together = np.stack(np.broadcast_arrays(*columns))
    for bits in np.unique(together, axis=1).T:
        share: Cells = (together == bits[:, None]).all(axis=0) * 1.0
        yield layout(row.kind, *bits.tolist()), share


@final
@dataclass(frozen=True, eq=False)
class Site:
    """A place of the sheet where candidates run a block, each its own size of it.

    cells: the sizes that count for the kind, arrays over candidates or numbers, bits as numbers.
    runs: how often an inference runs it (0 where a candidate lacks it), (candidates,).
    """

    kind: str
    cells: Mapping[str, Cells | float]
    runs: Cells

    @property
    def layout(self) -> str:
        return layout(self.kind, *(float(np.max(self.cells[name])) for name in _BITS))


def sites_of(sheet: OperatorSheet) -> list[Site]:
    """The sheet's blocks in order; transfers, and tables that another row reads, are none."""
    sites: list[Site] = []
    rows = list(sheet.rows)
    while rows:
        taken = 3 if _is_attention(rows[:3]) else 1
        for kind, row in _blocks(rows[:taken]):
            sites += _by_bits(kind, row, sheet.candidates)
        del rows[:taken]
    return sites


def shapes_of(sheet: OperatorSheet) -> dict[Shape, float]:
    """Every distinct shape of the candidates and how often all of them together run it."""
    uses: dict[Shape, float] = defaultdict(float)
    for site in sites_of(sheet):
        sizes, which = distinct(site)
        counts = np.bincount(which, site.runs)
        bits = {name: round(float(np.max(site.cells[name]))) for name in _BITS}
        for number in np.flatnonzero(counts):
            here = {name: round(float(size[number])) for name, size in sizes.items()}
            uses[Shape(site.kind, **here, **bits)] += float(counts[number])
    return dict(uses)


def distinct(site: Site) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.int64]]:
    """Sizes of the site's distinct blocks, each (blocks,), and which one each candidate has."""
    cells = {n: np.broadcast_to(site.cells[n], site.runs.shape) for n in sizes_of(site.kind)}
    which = np.zeros(site.runs.shape, np.int64)
    for name, cell in cells.items():
        if np.ndim(site.cells[name]):
            whole = np.rint(cell).astype(np.int64)
            which = _ranks(which * (whole.max(initial=0) + 1) + whole)
    first = np.zeros(which.max(initial=-1) + 1, np.int64)
    first[which] = np.arange(len(which))
    return {name: np.rint(cell[first]) for name, cell in cells.items()}, which


def _ranks(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """0 for the smallest code, 1 for the next, and so on, (candidates,)."""
    span = int(codes.max(initial=0)) + 1
    if span > _DENSE:
        return np.unique(codes, return_inverse=True)[1]
    present = np.zeros(span, np.bool_)
    present[codes] = True
    places: NDArray[np.int64] = np.cumsum(present) - 1
    return places[codes]


def cells_of(shapes: Sequence[Shape]) -> dict[str, NDArray[np.float64]]:
    """Sizes of shapes as columns, each (shapes,)."""
    names = [f.name for f in fields(Shape) if f.name != "kind"]
    return {name: np.array([float(getattr(s, name)) for s in shapes]) for name in names}


def sizes_of(kind: str) -> tuple[str, ...]:
    """The sizes that a kind's time depends on."""
    return _SIZES.get(kind, _ELEMENTWISE)


def _is_attention(rows: Sequence[Operator]) -> bool:
    """Scores, softmax and mix: each consumes exactly what the one before writes."""
    if [row.kind for row in rows] != ["matmul", "elementwise", "matmul"]:
        return False
    scores, softmax, mix = rows
    return (
        _equal(scores["groups"], mix["groups"])
        and _equal(scores["positions"], mix["positions"])
        and _equal(scores["outputs"], mix["inputs"])
        and _equal(scores["inputs"], mix["outputs"])
        and _equal(softmax["outputs"], scores["groups"] * scores["outputs"])
    )


def _equal(a: Cells | float, b: Cells | float) -> bool:
    return bool(np.all(np.asarray(a) == np.asarray(b)))


def _blocks(rows: Sequence[Operator]) -> Iterator[tuple[str, Operator]]:
    """The kind of block that one row, or the three of an attention, make, if any."""
    row = rows[0]
    if len(rows) == 3:
        yield "attention", row
    elif row.kind == "elementwise":
        yield _function(row), row
    elif row.kind != "transfer" and not (row.kind == "table" and _equal(row["positions"], 0)):
        yield row.kind, row


def _function(row: Operator) -> str:
    named = row.name.rsplit(".", 1)[-1]
    if named in FUNCTIONS:
        return named
    operands = np.asarray(row["read_positions"]) / row["positions"]
    if np.all(operands <= 1):
        return "gelu"
    return "add" if np.all(operands <= 2) else "mean"


def _by_bits(kind: str, row: Operator, candidates: int) -> Iterator[Site]:
    """One site for each pair of bits that occurs, so that within a site bits are numbers."""
    cells = {name: row[name] for name in sizes_of(kind)}
    runs = np.broadcast_to(row["active"] * np.asarray(row["probability"]), (candidates,))
    bits = np.stack([np.broadcast_to(row[name], (candidates,)) for name in _BITS])
    if not bits.shape[1]:
        return
    for pair in np.unique(bits, axis=1).T if np.ptp(bits, axis=1).any() else [bits[:, 0]]:
        here = runs * (bits == pair[:, None]).all(axis=0)
        if here.any():
            yield Site(kind, {**cells, **dict(zip(_BITS, pair.tolist(), strict=True))}, here)
