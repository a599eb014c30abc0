"""Functions of configurations that are sums over groups of genes, as tables.

Once a few coupling genes are fixed, every other group of genes adds its own term, whatever the
others do: so it is with parameters of a supernet's subnet, given its width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from stillhouse.core.search.genome import Genome, Whole
from stillhouse.core.search.interplay import (
    MOST_CASES,
    Array,
    Functions,
    Structure,
    conditions,
    evaluated,
    structure,
)
from stillhouse.core.search.sampler import Codes
from stillhouse.core.space import Space

AGREEMENT: Final = 1e-9
"""A table holds when it is as near to the function, relative to the function's range of sizes."""

_CHECKED: Final = 512
_TRIES: Final = 3


@dataclass(frozen=True, eq=False)
class Case:
    """One joint value of the coupling genes, `coupled` (coupling,), and a table for the others.

    `choices` holds the joint values (options, genes) of each unit. What an option adds stands in
    `table` (all options, functions), to `constant` (functions,); `unit` (all options,) numbers
    the units.
    """

    coupled: Whole
    choices: tuple[Whole, ...]
    constant: Array
    table: Array
    unit: Whole


@final
@dataclass(frozen=True, eq=False)
class Separable:
    """Functions as sums of tables, one table for each joint value of the coupling genes."""

    genome: Genome
    structure: Structure
    functions: Functions
    cases: tuple[Case, ...]
    scale: Array
    """Size of the functions' values, (functions,)."""

    def codes(self, case: Case, picks: Whole) -> Codes:
        """Canonical codes of picks (n, units): for each unit, a row of the case's table."""
        values = np.zeros((len(picks), len(self.genome.genes)), dtype=np.int64)
        values[:, list(self.structure.coupling)] = case.coupled
        starts = np.flatnonzero(np.diff(case.unit, prepend=-1))
        for at, (unit, choices) in enumerate(zip(self.structure.units, case.choices, strict=True)):
            values[:, list(unit)] = choices[picks[:, at] - starts[at]]
        return self.genome.codes(values)

    def predicted(self, codes: Codes) -> Array:
        """Values by the tables, (n, functions)."""
        values = self.genome.values(codes)
        out = np.full((len(codes), len(self.scale)), np.nan)
        coupled = values[:, list(self.structure.coupling)]
        for case in self.cases:
            rows = np.flatnonzero((coupled == case.coupled).all(axis=1))
            if len(rows):
                picks = self._picks(case, values[rows])
                out[rows] = case.constant + case.table[picks].sum(axis=1)
        return out

    def _picks(self, case: Case, values: Whole) -> Whole:
        """The option of each unit that configurations (n, genes) stand for, (n, units)."""
        out = np.empty((len(values), len(case.choices)), dtype=np.int64)
        start = 0
        for at, (unit, choices) in enumerate(zip(self.structure.units, case.choices, strict=True)):
            genes = list(unit)
            radix = np.cumprod([1, *(self.genome.counts[genes] + 1)])
            place = np.zeros(radix[-1], dtype=np.int64)
            place[(choices + 1) @ radix[:-1]] = np.arange(len(choices))
            out[:, at] = start + place[(values[:, genes] + 1) @ radix[:-1]]
            start += len(choices)
        return out


def separable(
    space: Space, functions: Functions, rng: np.random.Generator, most: int = 1 << 16
) -> Separable | None:
    """Tables for functions, found by probing and checked; None where there are none.

    Calls `functions` on at most some `most` configurations for the tables, and on a few thousand
    to find the coupling genes. Checked on 512 random configurations to a relative 1e-9.
    """
    genome = Genome(space)
    sample = _checks(genome, rng)
    truth = functions(sample)
    scale = np.abs(truth).max(axis=0, initial=0.0)
    if not len(genome.genes) or not np.isfinite(truth).all():
        return None
    tried: Structure | None = conditions(genome)
    for _ in range(_TRIES):
        if tried is None or tried.cases(genome) > MOST_CASES:
            return None
        found = _tabulated(genome, tried, functions, scale, rng, most)
        if found is None:
            return None
        if (np.abs(found.predicted(sample) - truth) <= AGREEMENT * scale).all():
            return found
        tried = structure(genome, functions, scale, rng)
    return None


def _checks(genome: Genome, rng: np.random.Generator) -> Codes:
    """Random configurations: half drawn evenly over all, half gene by gene."""
    drawn = genome.space.sample(_CHECKED, rng)
    values = rng.integers(genome.counts, size=(_CHECKED // 2, len(genome.genes)))
    codes = genome.codes(values)
    held, other = codes[:, genome.held], drawn[_CHECKED // 2 :, genome.held]
    codes[:, genome.held] = np.where((held >= 0) & (other >= 0), other, held)
    return np.concatenate([drawn[: _CHECKED // 2], codes])


def _tabulated(
    genome: Genome,
    found: Structure,
    functions: Functions,
    scale: Array,
    rng: np.random.Generator,
    most: int,
) -> Separable | None:
    """Each option in turn takes its unit's place in one configuration of each case."""
    usual = rng.integers(genome.counts, size=len(genome.genes))
    cases, rows, total = [], [], 0
    for coupled in genome.joint(found.coupling, (), np.empty(0, dtype=np.int64)):
        choices = tuple(genome.joint(unit, found.coupling, coupled) for unit in found.units)
        total += 1 + sum(map(len, choices))
        if total > most:
            return None
        cases.append((coupled, choices))
    for coupled, choices in cases:
        base = usual.copy()
        base[list(found.coupling)] = coupled
        rows.append(base[None])
        for unit, options in zip(found.units, choices, strict=True):
            changed = np.repeat(base[None], len(options), axis=0)
            changed[:, list(unit)] = options
            rows.append(changed)
    values = evaluated(genome, functions, np.concatenate(rows))
    if not np.isfinite(values).all():
        return None
    return Separable(genome, found, functions, tuple(_cases(cases, values)), scale)


def _cases(cases: Sequence[tuple[Whole, tuple[Whole, ...]]], values: Array) -> Iterator[Case]:
    at = 0
    for coupled, choices in cases:
        counts = [len(options) for options in choices]
        constant, table = values[at], values[at + 1 : at + 1 + sum(counts)]
        unit = np.repeat(np.arange(len(counts)), counts)
        yield Case(coupled, choices, constant, table - constant, unit)
        at += 1 + sum(counts)
