"""What the counted columns of a million configurations cost, for each Keyword Transformer space.

Configurations are encoded once and costed in chunks, as a search asks for them, so that memory
stays small: genes to columns and operator sheet, the sheet to every term, and to the terms split by
group and bits. Processor seconds of one core; elapsed seconds beside them.

    OMP_NUM_THREADS=1 python benchmarks/cost_columns.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import record

from stillhouse.core.cost import terms
from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.evaluate import ModelFamily
from stillhouse.core.evaluate.state import Structure
from stillhouse.core.plugin import Catalogue
from stillhouse.core.search.sampler import Codes
from stillhouse.core.space import Space, load_space
from stillhouse.plugins.models.info import KeywordTransformerParams
from stillhouse.plugins.models.keyword_transformer import KeywordTransformerFamily

SPACES: Final = ("keyword-transformer-tiny", "keyword-transformer-small", "keyword-transformer")
INPUT, OUTPUTS = (98, 40), 12
MILLION: Final = 1_000_000
SPLITS: Final[dict[str, Callable[[OperatorSheet], Any]]] = {
    "MACs by group": terms.macs_by_group,
    "parameters by group": terms.parameters_by_group,
    "MACs by bits": terms.macs_by_bits,
}


def main() -> None:
    made = record.parser(__doc__ or "", "0", "benchmarks/results/cost_columns.json")
    made.add_argument("--configurations", type=int, default=MILLION)
    made.add_argument("--chunks", type=int, nargs="+", default=[4096, 16384, 65536])
    given = record.arguments(made)
    catalogue = Catalogue.discover()
    spaces = {
        name: load_space(catalogue.space_text(catalogue.space(name)), name) for name in SPACES
    }
    results = {
        name: {
            f"{size}": [measured(space, given.configurations, size, seed) for seed in given.seeds]
            for size in given.chunks
        }
        for name, space in spaces.items()
    }
    record.show(
        f"Seconds for every counted column of {given.configurations:,} configurations, one core",
        ["space", "chunk", "sheet", "totals", "splits", "all", "at best", "elapsed"],
        (row(name, chunk, runs) for name, each in results.items() for chunk, runs in each.items()),
    )
    record.save(given, {"input_shape": INPUT, "spaces": results})


def row(name: str, chunk: str, runs: list[dict[str, float]]) -> list[str]:
    parts = ("sheet", "totals", "splits", "all", "at_best", "elapsed")
    return [name, chunk, *(f"{np.mean([run[part] for run in runs]):.2f}" for part in parts)]


def measured(space: Space, configurations: int, size: int, seed: int) -> dict[str, float]:
    """Seconds for all configurations; `at_best` had every chunk taken as long as the fastest."""
    family = KeywordTransformerFamily()
    full = largest(family, space)
    chunk = space.sample(size, np.random.default_rng(seed))
    begun = time.perf_counter()
    times = np.array([timed(family, full, space, chunk) for _ in range(-(-configurations // size))])
    scale = configurations / (len(times) * size)
    sheet, totals, splits = (times.sum(axis=0) * scale).tolist()
    return {
        "sheet": sheet,
        "totals": totals,
        "splits": splits,
        "all": sheet + totals + splits,
        "at_best": float(times.sum(axis=1).min() * len(times) * scale),
        "elapsed": (time.perf_counter() - begun) * scale,
    }


def timed(family: ModelFamily, full: Structure, space: Space, codes: Codes) -> list[float]:
    """Processor seconds of one chunk: its sheet, all totals, all splits."""
    marks = [time.process_time()]
    sheet = family.sheet(full, space.columns(codes))
    marks.append(time.process_time())
    terms.totals(sheet)
    marks.append(time.process_time())
    for split in SPLITS.values():
        split(sheet)
    marks.append(time.process_time())
    return np.diff(marks).tolist()


def largest(family: ModelFamily, space: Space) -> Structure:
    base = family.structure(KeywordTransformerParams(), INPUT, OUTPUTS)
    return family.subnet(base, space.decode(space.corners()[2]))


if __name__ == "__main__":
    main()
