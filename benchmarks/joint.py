"""One search over everything, or one after another? Joint search against sequential pipelines.

The example run's parts once a seed: teacher, supernet, assistants, layer similarities. Then the
joint space is searched, and the same space in two steps: the architecture first, everything else
as a sensible default, then compression and distillation of the architectures on the front. All
have the same evaluations, costs, limits and sampler. What is on a front by validation is read on
the test split once; volumes are of test error and size.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from demo_seeds import begun
from numpy.typing import NDArray
from record import arguments, over_seeds, parser, save, show, with_half

from stillhouse.core.cli.progress import bars
from stillhouse.core.config import load
from stillhouse.core.errors import LimitError
from stillhouse.core.evaluate import Progress, Student
from stillhouse.core.evaluate.evaluator import CandidateError, Evaluator
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.costing import Costing, open_device, settle_costs
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.examples import batch_size
from stillhouse.core.run.network_latency import network_latency
from stillhouse.core.run.opened import Opened, open_run
from stillhouse.core.run.teaching import initial_state, train_teacher
from stillhouse.core.search import known_costs, open_study
from stillhouse.core.search.front import hypervolume, ranks
from stillhouse.core.space import Space

EXAMPLE: Final = Path(__file__).parents[1] / "examples" / "joint.yaml"
ARCHITECTURE: Final = "supernet."
JOINT: Final = "joint"
RELAXED: Final[Mapping[str, Mapping[str, float]]] = {
    "in steps, limits from the first": {"size_kb": 1.0, "latency_ms": 1.0},
    "in steps, room for int8 in the first": {"size_kb": 3.5, "latency_ms": 1.5},
}
"""Pipelines, by how far the first step's limits are widened for what the second saves."""
ARMS: Final = (JOINT, *RELAXED)
KNOWN: Final = ("latency_ms", "size_kb")
REFERENCE: Final = (0.2, 1.0)
"""Corner of the volume: test error, and size in the limit's terms. Chosen before any run."""
DEFAULTS: Final[Mapping[str, Any]] = {
    "ensemble.given": [1 / 3, 1 / 3, 1 / 3],
    "ensemble.temperature": 4.0,
    "hints.select": "none",
    "hints.weight": 1.0,
    "prune.heads": 1.0,
    "prune.feed_forward": 1.0,
    "distil.learning_rate": 1e-3,
    "int8.attention": "none",
    "int8.feed_forward": "none",
}
Codes = NDArray[np.float64]
Rows = Callable[[Codes], Codes]
NOTHING: Final[Mapping[str, float]] = {}


@dataclass(frozen=True)
class Found:
    """One evaluation: accuracies, those on test read for the front alone, and bytes of the file.

    A search goes by predicted sizes, the figures by those of exported files.
    """

    configuration: Mapping[str, Any]
    predicted_kb: float
    size_kb: float
    validation: float
    test: float


@dataclass(frozen=True, eq=False)
class Bench:
    """A seed's run, prepared; every arm searches it."""

    opened: Opened
    costing: Costing
    evaluator: Evaluator
    defaults: Mapping[str, Any]

    @property
    def space(self) -> Space:
        return self.opened.plan.space

    def limits(self, widened: Mapping[str, float]) -> list[str]:
        """As text, predictions with their margin, each bound times its factor."""
        return [
            f"{one.cost} <= {one.bound * widened.get(one.cost, 1.0) / (1 + one.margin):.9g}"
            for one in self.costing.costs.limits
        ]

    @property
    def largest_kb(self) -> float:
        return next(one.bound for one in self.costing.limits if one.cost == "size_kb")

    def evaluated(self, configuration: Mapping[str, Any], predicted_kb: float) -> Found:
        data, nothing = self.opened.task.data, float("nan")
        try:
            state = self.evaluator.realise(configuration, self.opened.plan.run.search.rungs[-1])
            values = [
                self.evaluator.values(state, split)["accuracy"]
                for split in (data.validation, data.test)
            ]
        except CandidateError as error:
            print(f"  {error}", file=sys.stderr)
            return Found(configuration, predicted_kb, *[nothing] * 3)
        return Found(configuration, predicted_kb, self.written_kb(state.student), *values)

    def written_kb(self, student: Student | None) -> float:
        assert student is not None
        example = self.opened.task.example(batch_size(self.opened))
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / f"student{self.opened.target.suffix}"
            return self.opened.target.export(student.module, example, place).size_bytes / 1e3


def prepared(directory: RunDirectory, catalogue: Catalogue, run: Any, progress: Progress) -> Bench:
    opened = open_run(make_plan(run, catalogue), catalogue, directory, progress)
    device = open_device(opened)
    costing = settle_costs(opened, device)
    directory.settled()
    timed = replace(opened.context, latency=network_latency(opened, device))
    opened = replace(opened, context=timed)
    state = initial_state(opened, train_teacher(opened))
    evaluator = Evaluator(opened.steps, state, opened.context, opened.store, opened.origin)
    return Bench(opened, costing, evaluator, defaults(opened.plan.space))


def defaults(space: Space) -> dict[str, Any]:
    """What the first step of a pipeline takes for all but the architecture: a first guess."""
    rest = [name for name in space.names if not name.startswith(ARCHITECTURE)]
    if missing := [name for name in rest if name not in DEFAULTS]:
        raise SystemExit(f"expected a default in benchmarks/joint.py for {', '.join(missing)}")
    return {name: DEFAULTS[name] for name in rest}


def part(bench: Bench, kept: Sequence[str], fixed: Mapping[str, Any]) -> tuple[Space, Rows]:
    """The named dimensions as a space, and its candidates as rows of the joint space."""
    joint = bench.space
    space = Space([d for d in joint.dimensions if d.name in kept])
    lowest = joint.decode(joint.corners()[0])
    own = {name: value for name, value in lowest.items() if name in kept}
    row = joint.encode({**own, **fixed})
    return space, lambda codes: space.within(joint, codes, row)


def search(
    bench: Bench,
    part: tuple[Space, Rows],
    count: int,
    seed: int,
    widened: Mapping[str, float] = NOTHING,
) -> list[Found]:
    """So many evaluations of a part of the joint space, all within the limits.

    Raises LimitError where no candidate of the part meets them.
    """
    space, rows = part

    def costs(codes: Codes) -> dict[str, Codes]:
        table = bench.costing.costs.table(rows(codes))
        return {name: table[name] for name in table if name in KNOWN}

    study = open_study(
        space,
        maximize=["accuracy"],
        minimize=["size_kb"],
        costs=known_costs(costs, of="codes"),
        limits=bench.limits(widened),
        seed=seed,
        budget=count,
    )
    found: list[Found] = []
    while len(found) < count and len(codes := study.ask(min(5, count - len(found)))):
        whole = rows(codes)
        sizes = bench.costing.costs.table(whole)["size_kb"]
        batch = [
            bench.evaluated(bench.space.decode(row), float(size))
            for row, size in zip(whole, sizes, strict=True)
        ]
        study.tell(codes, {"accuracy": [one.validation for one in batch]})
        found += batch
        print(f"  {len(found)} of {count}", file=sys.stderr, flush=True)
    return found


def front(found: Sequence[Found]) -> list[Found]:
    """The evaluations that no other beats on validation."""
    values = np.array([[1 - one.validation, one.size_kb] for one in found])
    return [one for one, rank in zip(found, ranks(values, (False, False)), strict=True) if not rank]


def volume(bench: Bench, found: Sequence[Found]) -> float:
    """Hypervolume of the validation front's test errors, as a share of the reference box."""
    kept = front([one for one in found if one.size_kb <= bench.largest_kb])
    values = np.array([[1 - one.test, one.size_kb / bench.largest_kb] for one in kept])
    return hypervolume(values, REFERENCE, (False, False)) / (REFERENCE[0] * REFERENCE[1])


def joint(bench: Bench, count: int, seed: int) -> list[Found]:
    return search(bench, (bench.space, lambda codes: codes), count, seed)


def sequential(
    bench: Bench, count: int, seed: int, widened: Mapping[str, float], most: int
) -> list[Found]:
    """The architecture first; then all else for the most accurate of its front, evenly.

    Architectures that nothing brings within the limits leave their share to the others.
    """
    names = bench.space.names
    shapes = [name for name in names if name.startswith(ARCHITECTURE)]
    rest = [name for name in names if name not in shapes]
    found = search(bench, part(bench, shapes, bench.defaults), count // 2, seed, widened)
    kept = sorted(front(found), key=lambda one: -one.validation)
    while kept and len(found) < count:
        share = math.ceil((count - len(found)) / max(1, min(most, len(kept))))
        own = {n: v for n, v in kept.pop(0).configuration.items() if n in shapes}
        with suppress(LimitError):
            found += search(bench, part(bench, rest, own), share, seed + 1000 * len(kept))
            most -= 1
    return found


def cell(given: argparse.Namespace, catalogue: Catalogue, seed: int) -> dict[str, Any]:
    kept = given.runs / f"seed-{seed}.json"
    if kept.is_file():
        found: dict[str, Any] = json.loads(kept.read_text("utf-8"))
        return found
    device = json.dumps(str((given.runs / "device.json").absolute()))
    sets = [*given.sets, f"search.seed={seed}", f"target.device={device}"]
    run = load(EXAMPLE, catalogue, sets=sets)
    directory = begun(given.runs / f"run-{seed}", run.to_yaml())
    with directory, bars() as progress:
        bench = prepared(directory, catalogue, run, progress)
        out: dict[str, Any] = {"seed": seed, "arms": {}}
        for arm in ARMS:
            began = time.monotonic()
            print(f"seed {seed}: {arm}", file=sys.stderr, flush=True)
            found = (
                joint(bench, given.evaluations, seed)
                if arm == JOINT
                else sequential(bench, given.evaluations, seed, RELAXED[arm], given.shapes)
            )
            out["arms"][arm] = described(bench, found, time.monotonic() - began)
    kept.write_text(json.dumps(out), "utf-8")
    return out


def described(bench: Bench, found: Sequence[Found], seconds: float) -> dict[str, Any]:
    return {
        "volume": volume(bench, found),
        "evaluations": len(found),
        "failed": sum(one.validation != one.validation for one in found),
        "front": [
            {"size_kb": one.size_kb, "predicted_kb": one.predicted_kb,
             "validation": one.validation, "test": one.test,
             "configuration": dict(one.configuration)}
            for one in sorted(front(found), key=lambda one: one.size_kb)
        ],
        "seconds": seconds,
    }  # fmt: skip


def compared(cells: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Lines of the table: volumes, and the joint one less each pipeline's and the best one's."""
    volumes = {arm: [c["arms"][arm]["volume"] for c in cells] for arm in ARMS}
    lines = dict(volumes)
    for arm in ARMS[1:]:
        pairs = zip(volumes[JOINT], volumes[arm], strict=True)
        lines[f"  joint less {arm}"] = [a - b for a, b in pairs]
    best = [max(row) for row in zip(*(volumes[arm] for arm in ARMS[1:]), strict=True)]
    lines["  joint less the better pipeline"] = [
        a - b for a, b in zip(volumes[JOINT], best, strict=True)
    ]
    return {name: over_seeds(values) for name, values in lines.items()}


def given_arguments() -> argparse.Namespace:
    made = parser(re.sub(r"\s+", " ", __doc__ or ""), "0-4", "joint.json")
    made.add_argument("--evaluations", type=int, default=48)
    made.add_argument("--shapes", type=int, default=4, help="architectures the second step takes")
    made.add_argument("--runs", type=Path, default=Path("runs/joint"), metavar="DIR")
    made.add_argument(
        "--set", action="append", default=[], dest="sets", metavar="KEY=VALUE",
        help="override a key of the run file",
    )  # fmt: skip
    return arguments(made)


def main() -> None:
    given, catalogue = given_arguments(), Catalogue.discover()
    given.runs.mkdir(parents=True, exist_ok=True)
    cells = [cell(given, catalogue, seed) for seed in given.seeds]
    lines = compared(cells)
    headings = ["", *map(str, given.seeds), "mean ± half of the 95 % interval"]
    rows = [
        [name, *(f"{v:.4f}" for v in line["per_seed"]), with_half(line, 4)]
        for name, line in lines.items()
    ]
    show(f"Share of the reference volume, {given.evaluations} evaluations each", headings, rows)
    del given.runs
    save(given, {"results": {"lines": lines, "runs": cells}})


if __name__ == "__main__":
    main()
