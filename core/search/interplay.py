"""Which genes a function ties together, found by changing them one and two at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.search.genome import Genome, Whole
from stillhouse.core.search.sampler import Codes

Array = NDArray[np.float64]
Functions = Callable[[Codes], Array]
"""Canonical codes (n, width) to values (n, functions)."""

MOST_OPTIONS: Final = 64
"""Joint values of one unit; beyond, its uppermost gene becomes a coupling gene."""
MOST_CASES: Final = 512
"""Joint values of the coupling genes."""

_STEPS: Final = 16
_CHANGES: Final = 512
_LEAST_ROUNDS: Final = 4
_MOST_ROUNDS: Final = 32
_CONTEXTS: Final = 4
_PAIRWISE: Final = 40
_PIVOTS: Final = 8
_TRIALS: Final = 2048
_LEAST_TRIALS: Final = 4
_MOST_TRIALS: Final = 32
_CELLS: Final = 1 << 21


@dataclass(frozen=True)
class Structure:
    """Coupling genes, parents first, and units of the other genes, parents first in each."""

    coupling: tuple[int, ...]
    units: tuple[tuple[int, ...], ...]

    def cases(self, genome: Genome) -> int:
        """Upper bound of the number of joint values of the coupling genes."""
        return int(np.prod(genome.counts[list(self.coupling)], dtype=np.float64))


def structure(
    genome: Genome, functions: Functions, scale: Array, rng: np.random.Generator
) -> Structure | None:
    """The few coupling genes and the units that the functions are additive over.

    None when there are too many. `scale` (functions,) is the size of the functions' values: what
    is 1e-9 of it counts as nothing. Found by chance (`rng`), so the tables need to be checked.
    """
    found: Structure | None = conditions(genome)
    for _ in range(_STEPS):
        if found is None or found.cases(genome) > MOST_CASES:
            return None
        probe = _Probe(genome, found, functions, scale, rng)
        tied = probe.tied()
        if not tied:
            return found
        found = _resolved(genome, found, tied, probe)
    return None


def conditions(genome: Genome) -> Structure:
    """Units as far as conditions tie genes together: a gene with all that depends on it."""
    return _divided(genome, (), _families(genome, genome.order))


def _families(genome: Genome, genes: Sequence[int]) -> list[tuple[int, ...]]:
    """Genes grouped with their parents, as far as these are among them; parents first."""
    members: dict[int, list[int]] = {}
    root: dict[int, int] = {}
    for gene in _ordered(genome, genes):
        root[gene] = root.get(genome.genes[gene].parent, gene)
        members.setdefault(root[gene], []).append(gene)
    return [tuple(family) for family in members.values()]


def _ordered(genome: Genome, genes: Sequence[int]) -> list[int]:
    return sorted(genes, key=genome.rank.__getitem__)


def _options(genome: Genome, unit: Sequence[int]) -> int:
    """The most joint values that a unit can have."""
    below = {gene: np.ones(genome.counts[gene], dtype=np.float64) for gene in unit}
    total = 1.0
    for gene in reversed(_ordered(genome, unit)):
        parent, count = genome.genes[gene].parent, float(below[gene].sum())
        if parent in below:
            below[parent][genome.genes[gene].active] *= count
        else:
            total *= count
    return int(min(total, 2.0**53))


def _divided(
    genome: Genome, coupling: Sequence[int], units: Sequence[tuple[int, ...]]
) -> Structure:
    """Units of several genes with too many joint values give their uppermost to the coupling."""
    waiting, kept, coupled = list(units), [], list(coupling)
    while waiting:
        unit = waiting.pop()
        if len(unit) == 1 or _options(genome, unit) <= MOST_OPTIONS:
            kept.append(unit)
        else:
            upper, rest = _split(genome, unit)
            coupled += upper
            waiting += _families(genome, rest)
    kept.sort(key=lambda unit: genome.rank[unit[0]])
    return Structure(tuple(_ordered(genome, coupled)), tuple(kept))


def _split(genome: Genome, unit: Sequence[int]) -> tuple[list[int], list[int]]:
    """Genes of a unit that depend on none of it, and the others."""
    upper = [gene for gene in unit if genome.genes[gene].parent not in unit]
    return upper, [gene for gene in unit if gene not in upper]


def _resolved(
    genome: Genome, found: Structure, tied: Sequence[int], probe: _Probe
) -> Structure | None:
    """Small groups of tied units become one; of a large group, the most tied one is coupled."""
    sure = len(tied) <= _PAIRWISE
    firsts = tied if sure else [tied[i] for i in probe.pivots(len(tied))]
    pairs = sorted({(min(a, b), max(a, b)) for a in firsts for b in tied if a != b})
    edges = probe.edges(pairs)
    if not edges:
        return found
    units, hubs, merged = found.units, [], []
    for group in _components(edges) if sure else [sorted({u for edge in edges for u in edge})]:
        union = tuple(_ordered(genome, [gene for unit in group for gene in units[unit]]))
        if sure and _options(genome, union) <= MOST_OPTIONS:
            merged.append((group, union))
        else:
            degree = {u: sum(s for edge, s in edges.items() if u in edge) for u in group}
            hubs.append(min(group, key=lambda u: (-degree[u], _options(genome, units[u]), u)))
    gone = {u for group, _ in merged for u in group} | set(hubs)
    kept = [unit for u, unit in enumerate(units) if u not in gone]
    coupled = list(found.coupling)
    for hub in hubs:
        upper, rest = _split(genome, units[hub])
        coupled += upper
        kept += _families(genome, rest)
    return _divided(genome, coupled, [*kept, *(union for _, union in merged)])


def _components(edges: Iterable[tuple[int, int]]) -> list[list[int]]:
    group: dict[int, set[int]] = {}
    for a, b in edges:
        union = group.get(a, {a}) | group.get(b, {b})
        group.update(dict.fromkeys(union, union))
    return [sorted(one) for one in {id(one): one for one in group.values()}.values()]


@final
class _Probe:
    """Changes units of a structure in random surroundings and compares what the changes do."""

    def __init__(
        self,
        genome: Genome,
        found: Structure,
        functions: Functions,
        scale: Array,
        rng: np.random.Generator,
    ) -> None:
        self._genome = genome
        self._units = found.units
        self._coupling = list(found.coupling)
        self._functions = functions
        self._least = 1e-9 * scale
        self._rng = rng

    def pivots(self, count: int) -> list[int]:
        """A few of `count` numbers, at random."""
        return [int(number) for number in self._rng.permutation(count)[:_PIVOTS]]

    def tied(self) -> list[int]:
        """Units whose change has an effect that depends on units around it."""
        free = [u for u, unit in enumerate(self._units) if _options(self._genome, unit) > 1]
        inside = self._inside(free)[:, None]
        found = np.zeros(len(free), dtype=np.bool_)
        for rounds in self._rounds(len(free)):
            around = self._random(rounds, _CONTEXTS)
            around[:, :, self._coupling] = around[:, :1, self._coupling]
            change = self._changed(self._random(rounds, 1))[:, :, None]
            rows = np.where(inside, change, around[:, :, None, None])
            effect = np.diff(self._values(rows), axis=3)[:, :, :, 0]
            varies = np.ptp(effect, axis=1) > self._least
            found |= varies.any(axis=-1).any(axis=0)
        return [free[at] for at in np.flatnonzero(found).tolist()]

    def _rounds(self, units: int) -> Iterator[int]:
        """Rounds of changes, a few at a time: in each, coupling genes have other values."""
        rounds = min(max(_LEAST_ROUNDS, _CHANGES // max(units, 1)), _MOST_ROUNDS)
        cells = 2 * _CONTEXTS * units * len(self._genome.genes)
        at_once = max(1, _CELLS // max(cells, 1))
        for start in range(0, rounds, at_once):
            yield min(at_once, rounds - start)

    def edges(self, pairs: Sequence[tuple[int, int]]) -> dict[tuple[int, int], float]:
        """The pairs of units whose changes do together what they do not do one by one.

        With the share of trials in which that was so.
        """
        # Genes deep below a condition are seldom active: the fewer pairs, the more trials each.
        trials = min(max(_LEAST_TRIALS, _TRIALS // max(len(pairs), 1)), _MOST_TRIALS)
        at_once = max(1, _CELLS // (4 * trials * len(self._genome.genes)))
        out: dict[tuple[int, int], float] = {}
        for start in range(0, len(pairs), at_once):
            part = pairs[start : start + at_once]
            first, second = (self._inside([pair[side] for pair in part]) for side in (0, 1))
            one, other = np.moveaxis(self._changed(self._random(len(part), trials)), 2, 0)
            moved = np.stack([first & False, second, first, first | second], axis=1)[:, None]
            rows = np.where(moved, other[:, :, None], one[:, :, None])
            values = self._values(rows)
            joint = values[:, :, 3] - values[:, :, 2] - values[:, :, 1] + values[:, :, 0]
            shares = (np.abs(joint) > self._least).any(axis=-1).mean(axis=1)
            out.update(zip(part, shares.tolist(), strict=True))
        return {pair: share for pair, share in out.items() if share > 0}

    def _inside(self, units: Sequence[int]) -> NDArray[np.bool_]:
        """Which genes belong to each unit, (units, genes)."""
        out = np.zeros((len(units), len(self._genome.genes)), dtype=np.bool_)
        for at, unit in enumerate(units):
            out[at, list(self._units[unit])] = True
        return out

    def _random(self, *shape: int) -> Whole:
        """Configurations, (*shape, genes)."""
        return self._rng.integers(self._genome.counts, size=(*shape, len(self._genome.genes)))

    def _changed(self, values: Whole) -> Whole:
        """Configurations (..., genes) and others that differ wherever they can, (..., 2, genes)."""
        counts = self._genome.counts
        step = self._rng.integers(1, np.maximum(counts, 2), size=values.shape)
        return np.stack([values, (values + step) % counts], axis=-2)

    def _values(self, rows: Whole) -> Array:
        """Values of configurations (..., genes), (..., functions)."""
        flat = rows.reshape(-1, rows.shape[-1])
        found = evaluated(self._genome, self._functions, flat)
        return found.reshape(*rows.shape[:-1], found.shape[1])


def evaluated(genome: Genome, functions: Functions, values: Whole) -> Array:
    """Values of configurations (n, genes), (n, functions), some at a time."""
    step = max(1, _CELLS // max(genome.space.width, 1))
    parts = [
        functions(genome.codes(values[i : i + step])) for i in range(0, max(len(values), 1), step)
    ]
    return np.concatenate(parts)
