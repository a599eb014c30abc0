"""The pool: configurations of a run's space with their predicted costs, for later questions.

Predicting a cost needs the recipe's code and torch. The pool is stored once, so that a question
about other limits needs neither.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core import plain_file, plain_json
from stillhouse.core.atomic import write_atomically
from stillhouse.core.cost.limits import Table
from stillhouse.core.errors import RunDirectoryError
from stillhouse.core.search.descent import Descent, Score
from stillhouse.core.search.enumeration import ENUMERABLE, enumerated
from stillhouse.core.search.sampler import Codes, Costs
from stillhouse.core.space import Space

if TYPE_CHECKING:
    from stillhouse.core.run.costing import Costing
    from stillhouse.core.run.opened import Opened

POOL: Final = "pool.safetensors"
_SAMPLE: Final = 16_000
_STEP: Final = 2_000
_BUDGET: Final = 4_000
_BESIDE: Final = 6_000
_UNITS: Final = ("size_kb", "size_mb")
"""Columns that follow from `size_bytes`: not stored, not descended on."""


@final
@dataclass(frozen=True, eq=False)
class Pool:
    """Canonical `codes` (n, width), each once, and their cost `table`.

    `whole` says that these are all configurations of the space. A size is stored in bytes alone.
    """

    codes: Codes
    table: Table
    whole: bool

    def write(self, path: Path, mark: str) -> None:
        """Store under a mark that says what the costs were computed from, see `mark_of`.

        Columns of whole numbers take the smallest integer type that holds them.
        """
        from safetensors.numpy import save

        real = np.floor(self.codes) != self.codes
        continuous = real.any(axis=0)
        tensors = {
            "discrete": _narrow(self.codes[:, ~continuous]),
            "continuous": np.ascontiguousarray(self.codes[:, continuous]),
            "is_continuous": continuous,
            **{f"cost.{name}": np.ascontiguousarray(v) for name, v in self.table.items()},
        }
        # One entry: several are written in any order, and equal pools shall be equal files.
        facts = json.dumps({"mark": mark, "whole": self.whole})
        write_atomically(path, save(tensors, {"pool": facts}))

    @staticmethod
    def read(path: Path, mark: str) -> Pool | None:
        """The pool stored under this mark; None where there is none.

        Raises RunDirectoryError for a damaged file, and for one of other costs or another space.
        """
        if not path.exists():
            return None
        try:
            kept, tensors = _loaded(path)
            facts = plain_json.parsed(kept["pool"])
            stored, whole = facts["mark"], bool(facts["whole"])
            pool = Pool(_joined(tensors), _costs_in(tensors), whole)
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise _useless(path, f"damaged ({error})") from None
        if stored != mark:
            raise _useless(path, "it was made for other costs or another space")
        return pool


def mark_of(space: Space, models: Mapping[str, Any]) -> str:
    """32 hex digits of what predicted costs depend on: the space and the models in `costs.json`."""
    fitted = {name: models[name] for name in ("latency", "size", "measured")}
    text = json.dumps([repr(space.dimensions), fitted], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def keep_pool(opened: Opened, costing: Costing) -> None:
    """Store the run's pool in its directory, unless it is there; the same for the same seed."""
    space, path = opened.plan.space, opened.directory.folder / POOL
    mark = mark_of(space, costing.models)
    if _has(path, mark):
        return
    rng = np.random.default_rng(opened.context.seed("pool"))
    make_pool(space, costing.costs, costing.feasible, rng).write(path, mark)


def make_pool(space: Space, costs: Costs, known: Codes, rng: np.random.Generator) -> Pool:
    """The whole space where it has at most 20,000 configurations, else about as many of it.

    Those are `known` ones (n, width), corners, a descent on each cost, and then a mixture: half an
    even sample, and steps from it towards the cheapest and the dearest ones, since an even sample
    of a large space holds neither; neighbours and mutants of the cheapest.
    """
    codes = enumerated(space)
    whole = codes is not None
    if codes is None:
        parts = _parts(space, costs, known, rng)
        codes = space.unique(np.concatenate(list(parts)))[:ENUMERABLE]
    table = {n: v for n, v in costs.table(codes).items() if n not in _UNITS}
    return Pool(codes, table, whole)


def _parts(space: Space, costs: Costs, known: Codes, rng: np.random.Generator) -> Iterator[Codes]:
    sample, corners = space.sample(_SAMPLE, rng), space.corners()
    names = [name for name in costs.table(corners) if name not in _UNITS]
    start = np.concatenate([corners, known, sample[:_STEP]])
    found = [Descent(space, _score(costs, n), rng, _BUDGET).run(start, None) for n in names]
    cheap = np.concatenate(found) if found else corners[:1]
    yield from (corners, cheap, known)
    yield from (space.neighbours(best[0]) for best in found)
    for ends, steps in ((cheap, 4), (corners[2:], 2)):
        # Even over genes, not over configurations: else every start is of the largest depth.
        rows = space.mutate(sample[:_STEP], 1.0, rng)
        yield rows
        for _ in range(steps):
            rows = space.crossover(rows, rng.choice(ends, len(rows)), rng)
            yield rows
    for changes in (1.5, 3.0):
        parents = rng.choice(cheap, _BESIDE // 2)
        yield space.mutate(parents, min(changes / space.width, 1.0), rng)
    yield sample


def _score(costs: Costs, name: str) -> Score:
    def score(codes: Codes) -> NDArray[np.float64]:
        values = costs.table(codes)[name]
        return np.where(np.isfinite(values), values, np.inf)

    return score


def _narrow(codes: Codes) -> NDArray[Any]:
    """Whole numbers from -1 on in the smallest signed type that holds them."""
    kinds = (np.int8, np.int16, np.int32, np.int64)
    kind = next(k for k in kinds if codes.max(initial=0.0) <= np.iinfo(k).max)
    return np.ascontiguousarray(codes.astype(kind))


def _loaded(path: Path) -> tuple[Mapping[str, str], dict[str, NDArray[Any]]]:
    from safetensors import SafetensorError, safe_open

    try:
        plain_file.check(path)
        with safe_open(path, framework="numpy") as file:
            names = file.keys()
            return file.metadata() or {}, {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise ValueError(str(error)) from None


def _joined(tensors: Mapping[str, NDArray[Any]]) -> Codes:
    continuous = tensors["is_continuous"]
    codes = np.empty((len(tensors["discrete"]), len(continuous)))
    codes[:, ~continuous] = tensors["discrete"]
    codes[:, continuous] = tensors["continuous"]
    return codes


def _costs_in(tensors: Mapping[str, NDArray[Any]]) -> Table:
    return {n.removeprefix("cost."): t for n, t in tensors.items() if n.startswith("cost.")}


def _has(path: Path, mark: str) -> bool:
    try:
        return _loaded(path)[0].get("mark") == mark
    except (OSError, ValueError):
        return False


def _useless(path: Path, fact: str) -> RunDirectoryError:
    return RunDirectoryError(
        f"{path}: {fact}; make it anew with: stillhouse search --resume {path.parent}"
    )
