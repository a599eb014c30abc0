"""Runs of equal residual blocks, and the genes that say how many are kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from stillhouse.core.elastic.graph.genes import Gene, When, gene_name
from stillhouse.core.elastic.graph.parts import Block


@dataclass(frozen=True)
class Run:
    """Equal residual blocks in a row, of which a subnet keeps the first so many."""

    gene: str
    blocks: tuple[str, ...]


def runs_of(containers: dict[str, list[Block]]) -> list[Run]:
    """Runs of equal residual blocks; a lone one counts after another block of its class."""
    found = []
    for container, blocks in containers.items():
        runs = [run for run in _equal(blocks) if len(run) > 1 or _follows(run[0], blocks)]
        for run in runs:
            alone = len(runs) == 1
            name = gene_name(container if alone else run[0].name, "depth")
            found.append(Run(name, tuple(block.name for block in run)))
    return found


def _follows(block: Block, blocks: list[Block]) -> bool:
    """Whether the block before is of the same class, as in a ResNet's stage of two."""
    place = blocks.index(block)
    return place > 0 and type(blocks[place - 1].module) is type(block.module)


def _equal(blocks: list[Block]) -> Iterator[list[Block]]:
    """Neighbours that are residual, called once, and of one signature."""
    run: list[Block] = []
    for block in blocks:
        free = block.residual and block.calls == 1 and "forward" not in vars(block.module)
        if run and not (free and block.signature == run[0].signature):
            yield run
            run = []
        if free:
            run.append(block)
    if run:
        yield run


def depth_genes(runs: Sequence[Run]) -> list[Gene]:
    """From half of a run's blocks, rounded down, to all of them."""
    found = []
    for run in runs:
        full = len(run.blocks)
        when = when_used(run.blocks, [r for r in runs if r is not run])
        choices = tuple(range(full // 2, full + 1))
        found.append(Gene(run.gene, range(full + 1), choices, when))
    return found


def when_used(users: Sequence[str], runs: Sequence[Run]) -> When:
    """When parts are in use at all: the innermost droppable block that holds them all."""
    best: tuple[int, str, tuple[Any, ...]] | None = None
    for run in runs:
        for place, block in enumerate(run.blocks):
            if all(user == block or user.startswith(f"{block}.") for user in users):
                kept = range(max(place + 1, len(run.blocks) // 2), len(run.blocks) + 1)
                best = max(best or (0, "", ()), (len(block), run.gene, tuple(kept)))
    if best is None or len(best[2]) == _depths(best[1], runs):
        return None
    return best[1:]


def _depths(gene: str, runs: Sequence[Run]) -> int:
    """Choices of a depth gene."""
    full = next(len(run.blocks) for run in runs if run.gene == gene)
    return full - full // 2 + 1
