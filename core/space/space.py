"""A search space: what can be varied, and everything a search does with it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.space import codec, columnwise, encoding, hashing, variation
from stillhouse.core.space.dimension import Codes, Dimension
from stillhouse.core.space.layout import Layout, arrange

Columns = Mapping[str, NDArray[Any]]
"""Values of genes over candidates, by name.

Numbers are float64 (n,), other choices objects (n,); with `per` (n, most layers); simplex weights
and taps have a last axis of their own. Inactive genes are NaN, or None among objects.
"""


@final
@dataclass(frozen=True)
class Space:
    """Dimensions and their conditions, immutable.

    Candidates travel as codes, float64 (n, width): choices, integers and taps as indices, reals
    on their scale in [0, 1], simplex weights as they are. In canonical codes every inactive
    column is -1, so that a configuration has exactly one row.

    Raises ConfigError when names repeat or conditions do not form a forest.
    """

    dimensions: tuple[Dimension, ...]
    _layout: Layout = field(init=False, repr=False, compare=False)

    def __init__(self, dimensions: Sequence[Dimension]) -> None:
        object.__setattr__(self, "dimensions", tuple(dimensions))
        object.__setattr__(self, "_layout", arrange(self.dimensions))

    @staticmethod
    def join(parts: Mapping[str, Space]) -> Space:
        """All dimensions of several spaces; "part." goes before every name, in conditions too."""
        joined = []
        for part, space in parts.items():
            for d in space.dimensions:
                when = (f"{part}.{d.when[0]}", d.when[1]) if d.when else None
                per = f"{part}.{d.per}" if d.per else None
                joined.append(replace(d, name=f"{part}.{d.name}", when=when, per=per))
        return Space(joined)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the dimensions, in order."""
        return tuple(dimension.name for dimension in self.dimensions)

    @property
    def width(self) -> int:
        """Columns of a row of codes."""
        return self._layout.width

    def size(self) -> int | float:
        """Exact number of canonical configurations; infinite when a gene lies on a continuum."""
        return math.inf if self._layout.continuous() else self._layout.count()

    def discrete_size(self) -> int:
        """Exact number of canonical configurations when every continuum counts once."""
        return self._layout.count()

    def sample(self, count: int, rng: np.random.Generator) -> Codes:
        """Candidates drawn evenly over all configurations, (count, width).

        A value that others depend on weighs as much as there are configurations below it. A
        continuum is drawn evenly on its scale (simplex: Dirichlet(1)), and so is an integer with
        `log` that nothing depends on.
        """
        return variation.sample(self._layout, count, rng)

    def canonical(self, codes: Codes) -> Codes:
        """A copy with every inactive column -1.

        Raises ValueError for codes out of range and for active genes without one.
        """
        refusing = variation.refusing(self._layout)
        return variation.settle(self._layout, self._checked(codes), refusing)

    def unique(self, codes: Codes) -> Codes:
        """Canonical codes without repeats, in order of first appearance."""
        settled = self.canonical(codes)
        first = np.unique(hashing.exact(settled), return_index=True)[1]
        return settled[np.sort(first)]

    def marks(self, codes: Codes) -> hashing.Marks:
        """A 64-bit hash of each canonical row, (n,), equal where rows agree to nine decimals.

        Two different rows share a mark with a chance of 2^-64. The same in every process.
        """
        return hashing.rounded(codes)

    def keys(self, codes: Codes) -> list[str]:
        """16 hexadecimal digits for each candidate, the same for any order of dimensions."""
        return [codec.key(configuration) for configuration in self.decode_all(codes)]

    @staticmethod
    def key(configuration: Mapping[str, Any]) -> str:
        """What `keys` gives for a candidate that was decoded already."""
        return codec.key(configuration)

    def decode(self, row: Codes) -> dict[str, Any]:
        """One candidate's configuration: inactive genes absent, genes with `per` as lists."""
        return codec.decode(self._layout, self.canonical(row[None])[0].tolist())

    def decode_all(self, codes: Codes) -> list[dict[str, Any]]:
        """The configurations of candidates, as `decode` has them."""
        rows = self.canonical(codes).tolist()
        return [codec.decode(self._layout, row) for row in rows]

    def encode(self, configuration: Mapping[str, Any]) -> Codes:
        """The canonical row of a configuration, (width,).

        Raises UserError, naming the gene, for a value outside the space and for a missing or
        superfluous gene.
        """
        return codec.encode(self._layout, configuration)

    def encode_all(self, configurations: Sequence[Mapping[str, Any]]) -> Codes:
        """The canonical rows of configurations, (n, width), thousands at a time.

        Raises UserError as `encode`, for the first that does not fit.
        """
        return columnwise.encode(self._layout, configurations)

    def within(self, whole: Space, codes: Codes, row: Codes) -> Codes:
        """Candidates of this space as candidates of one that has its dimensions among others.

        The others are as in `row` (whole.width,), a canonical row. Raises KeyError for a dimension
        that the whole space has not.
        """
        blocks = {block.dimension.name: block for block in whole._layout.blocks}
        out = np.repeat(row[None], len(codes), axis=0)
        for block in self._layout.blocks:
            place = blocks[block.dimension.name]
            out[:, place.start : place.stop] = codes[:, block.start : block.stop]
        return out

    def columns(self, codes: Codes, prefix: str = "") -> Columns:
        """Values of canonical codes, by name; only names that start with `prefix`, without it."""
        blocks = [b for b in self._layout.blocks if b.dimension.name.startswith(prefix)]
        return {b.dimension.name[len(prefix) :]: codec.values(b, codes) for b in blocks}

    def mutate(self, codes: Codes, rate: float, rng: np.random.Generator) -> Codes:
        """Each active gene of canonical codes changes with probability `rate`.

        Half of the changes of ordered values are steps to a neighbour, the others redraws. Genes
        that become active are drawn as in `sample`.
        """
        return variation.mutate(self._layout, self._checked(codes), rate, rng)

    def crossover(self, a: Codes, b: Codes, rng: np.random.Generator) -> Codes:
        """Uniform crossover of canonical codes, row by row; the result is canonical."""
        return variation.crossover(self._layout, self._checked(a), self._checked(b), rng)

    def encoding(self, codes: Codes) -> NDArray[np.float64]:
        """Canonical codes as features for surrogates, (n, features), all within [0, 1].

        Text choices are one-hot, ordered values scaled by rank; inactive genes are 0 and a flag
        tells for each gene that can be inactive. Genes with one value have no feature.
        """
        return self._layout.encoding(codes, np.float64)

    def encoding32(self, codes: Codes) -> NDArray[np.float32]:
        """`encoding` in single precision, for models that predict very many candidates."""
        return self._layout.encoding(codes, np.float32)

    def feature_origins(self) -> NDArray[np.int64]:
        """Where each column of `encoding` comes from, (features, 3).

        The number of its dimension, the layer, and its place within the gene (-1 for a flag).
        """
        return encoding.origins(self._layout)

    def corners(self) -> Codes:
        """The smallest, middle and largest configuration (every gene first, middle, last)."""
        empty = np.full((3, self.width), -1.0)
        return variation.settle(self._layout, empty, variation.at_corners(self._layout))

    def neighbours(self, row: Codes) -> Codes:
        """All configurations one step from a canonical row in one discrete gene, (m, width).

        A step is the next value where values have an order, else any other value. A gene that
        becomes active takes the value of the layer before it, or its middle value.
        """
        return variation.neighbours(self._layout, row)

    def _checked(self, codes: Codes) -> Codes:
        if codes.ndim != 2 or codes.shape[1] != self.width:
            raise ValueError(f"expected codes (n, {self.width}), got {codes.shape}")
        codes = np.ascontiguousarray(codes, dtype=np.float64)
        if not len(codes) or not self.width or self._valid(codes):
            return codes
        limits = self._layout.limits
        valid = (codes >= -1) & (codes <= limits.upper)
        valid &= limits.continuous | (np.floor(codes) == codes)
        row, column = np.argwhere(~valid)[0]
        raise ValueError(f"code {codes[row, column]} in column {column} is out of range")

    def _valid(self, codes: Codes) -> bool:
        limits = self._layout.limits
        if not (codes.min() >= -1 and (codes.max(axis=0) <= limits.upper).all()):
            return False
        whole = np.floor(codes) == codes
        return bool(whole.all() or (whole | limits.continuous).all())
