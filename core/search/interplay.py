"""Which genes a function ties together, found by changing them one and two at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

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

_STEPS: Final = 24
_ROUNDS: Final = 4
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
        return None
    units, hubs, merged = found.units, [], []
    for group in _components(edges) if sure else [sorted({u for edge in edges for u in edge})]:
        union = tuple(_ordered(genome, [gene for unit in group for gene in units[unit]]))
        if sure and _options(genome, union) <= MOST_OPTIONS:
            merged.append((group, union))
        else:
            degree = {u: sum(u in edge for edge in edges) for u in group}
            hubs.append(min(group, key=lambda u: (-degree[u], _options(genome, units[u]), u)))
    gone = {u for group, _ in merged for u in group} | set(hubs)
    kept = [unit for u, unit in enumerate(units) if u not in gone]
    coupled = list(found.coupling)
    for hub in hubs:
        upper, rest = _split(genome, units[hub])
        coupled += upper
        kept += _families(genome, rest)
    return _divided(genome, coupled, [*kept, *(union for _, union in merged)])


def _components(edges: Sequence[tuple[int, int]]) -> list[list[int]]:
    group: dict[int, set[int]] = {}
    for a, b in edges:
        union = group.get(a, {a}) | group.get(b, {b})
        group.update(dict.fromkeys(union, union))
    return [sorted(one) for one in {id(one): one for one in group.values()}.values()]


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
        found: set[int] = set()
        for _ in range(_ROUNDS):
            around = self._random(_CONTEXTS)
            around[:, self._coupling] = around[:1, self._coupling]
            rows = np.repeat(around[:, None, None], len(free), axis=1).repeat(2, axis=2)
            for at, u in enumerate(free):
                rows[:, at, 0, self._units[u]], rows[:, at, 1, self._units[u]] = self._change(u)
            effect = np.diff(self._values(rows), axis=2)[:, :, 0]
            varies = (np.ptp(effect, axis=0) > self._least).any(axis=1)
            found.update(u for u, tied in zip(free, varies.tolist(), strict=True) if tied)
        return sorted(found)

    def edges(self, pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """The pairs of units whose changes do together what they do not do one by one."""
        if not pairs:
            return []
        # Genes deep below a condition are seldom active: the fewer pairs, the more trials each.
        trials = min(max(_LEAST_TRIALS, _TRIALS // len(pairs)), _MOST_TRIALS)
        rows = self._random(trials * len(pairs)).reshape(len(pairs), trials, 1, 1, -1)
        rows = rows.repeat(2, axis=2).repeat(2, axis=3)
        for at, (a, b) in enumerate(pairs):
            for trial in range(trials):
                rows[at, trial, 0][:, self._units[a]], rows[at, trial, 1][:, self._units[a]] = (
                    self._change(a)
                )
                one, other = self._change(b)
                rows[at, trial, :, 0, self._units[b]] = np.asarray(one)[:, None]
                rows[at, trial, :, 1, self._units[b]] = np.asarray(other)[:, None]
        values = self._values(rows)
        joint = values[:, :, 1, 1] - values[:, :, 1, 0] - values[:, :, 0, 1] + values[:, :, 0, 0]
        together: Array = np.abs(np.asarray(joint, dtype=np.float64))
        tied = (together > self._least).reshape(len(pairs), -1).any(axis=1)
        return [pairs[at] for at in np.flatnonzero(tied).tolist()]

    def _random(self, count: int) -> Whole:
        return self._rng.integers(self._genome.counts, size=(count, len(self._genome.genes)))

    def _change(self, unit: int) -> tuple[list[int], list[int]]:
        """Two values of a unit's genes that differ in every gene that has several."""
        counts = self._genome.counts[list(self._units[unit])]
        one = self._rng.integers(counts)
        step = self._rng.integers(1, np.maximum(counts, 2))
        return one.tolist(), ((one + step) % counts).tolist()

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
