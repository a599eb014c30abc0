"""Whose front is best on problems with limits, when limits are told by evaluations, or known?

HV: hypervolume of the feasible evaluations as a share of the true front's, objectives scaled so
that the true front spans 0 to 1, reference point 1.1 in each. IGD+ on the same scale, over the
seeds that met the limits at all. Both NSGA-II have a population of 10.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from constrained.contestants import OURS, PEERS, POPULATION, Contestant, Searched, ours
from constrained.problems import DEFAULTS, DIFFICULTIES, REFERENCE, SOURCES, Task, task
from record import arguments, averaged, parser, save, show, shown

from stillhouse.core.plugin import Catalogue

AFFORDABLE = [name for name in (*OURS, *PEERS) if name != "optuna-gp"]
KNOWN = ", limits known"


def contestants(given: argparse.Namespace, one: Task) -> Mapping[str, Contestant]:
    """Everyone with limits told; with explicit constraints, ours once more with limits known.

    Optuna and pymoo have no way to be given a constraint before an evaluation.
    """
    catalogue = Catalogue.discover()
    told, known = {}, {}
    for label in given.samplers:
        if label in PEERS:
            told[label] = PEERS[label]
            continue
        told[label] = ours(catalogue, *OURS[label], known=False)
        if one.explicit:
            known[label + KNOWN] = ours(catalogue, *OURS[label], known=True)
    return told | known


def scored(one: Task, done: Searched, evaluations: int) -> dict[str, float | None]:
    """The front of the feasible among the first so many evaluations, and how it came about.

    `igd_plus` is None without a feasible point; `least_violation` sums the broken constraints of
    the evaluation that came closest.
    """
    met = done.feasible[:evaluations]
    values = done.values[:evaluations][met]
    broken = np.maximum(done.constraints[:evaluations], 0.0).sum(axis=1)
    return {
        "volume_share": one.volume_share(values),
        "igd_plus": one.igd_plus(values) if met.any() else None,
        "feasible_share": float(met.mean()),
        "least_violation": float(broken.min()),
        "cpu_ms": done.cpu_ms,
    }


def ranked(scores: Sequence[Mapping[str, Any]]) -> list[float]:
    """Ranks from 1; equals share theirs. By volume, then IGD+, then the least violation."""
    keys = []
    for score in scores:
        distance = np.inf if score["igd_plus"] is None else score["igd_plus"]
        keys.append((-score["volume_share"], distance, score["least_violation"]))
    return [1 + sum(k < key for k in keys) + (keys.count(key) - 1) / 2 for key in keys]


def contest(given: argparse.Namespace, one: Task) -> dict[str, dict[str, list[Any]]]:
    """By contestant and number of evaluations, the scores and ranks of each seed."""
    entrants = contestants(given, one)
    found: dict[str, dict[str, list[Any]]] = {
        label: {str(n): [] for n in given.evaluations} for label in entrants
    }
    for seed in given.seeds:
        runs = {
            label: entrant(one, seed, max(given.evaluations)) for label, entrant in entrants.items()
        }
        for n in given.evaluations:
            scores = {label: scored(one, run, n) for label, run in runs.items()}
            _rank(scores)
            for label, score in scores.items():
                found[label][str(n)].append(score)
    return found


def _rank(scores: dict[str, dict[str, float | None]]) -> None:
    """Adds `rank`, among those told of limits by evaluations, and where there are any with limits
    known `rank_known`, of those and the peers (who cannot be given limits)."""
    told = [label for label in scores if not label.endswith(KNOWN)]
    known = [label for label in scores if label.endswith(KNOWN)]
    for name, labels in (("rank", told), ("rank_known", known + [n for n in told if n in PEERS])):
        if name == "rank" or known:
            for label, rank in zip(labels, ranked([scores[n] for n in labels]), strict=True):
                scores[label][name] = rank


def summed(per_seed: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Averages over seeds; IGD+ over those that found a feasible point, None if none did."""
    averages: dict[str, Any] = {
        "seeds_without_feasible": sum(score["igd_plus"] is None for score in per_seed)
    }
    for name in per_seed[0]:
        values = [score[name] for score in per_seed if score[name] is not None]
        averages[name] = averaged(values) if values else None
    return averages


def table_row(label: str, result: Mapping[str, Any]) -> list[str]:
    last = list(result.values())[-1]
    return [
        label,
        *(shown(one["volume_share"], 3) for one in result.values()),
        *(shown(one["igd_plus"], 3) if one["igd_plus"] else "–" for one in result.values()),
        f"{last['feasible_share']['mean']:.1%}",
        str(last["seeds_without_feasible"]),
        shown(last["cpu_ms"], 1),
    ]


def mean_ranks(results: Mapping[str, Any], name: str, n: int) -> dict[str, float]:
    """The mean over problems and seeds of `rank` or `rank_known`, best first."""
    ranks: dict[str, list[float]] = {}
    for entrants in results.values():
        for label, by_count in entrants.items():
            if name in by_count[str(n)]:
                ranks.setdefault(label, []).append(by_count[str(n)][name]["mean"])
    means = {label: float(np.mean(values)) for label, values in ranks.items()}
    return dict(sorted(means.items(), key=lambda item: item[1]))


def show_ranks(given: argparse.Namespace, results: Mapping[str, Any]) -> dict[str, Any]:
    titles = {
        "rank": "Mean rank, limits told by evaluations: all problems",
        "rank_known": "Mean rank, ours with limits known: problems of explicit constraints",
    }
    means = {
        name: {str(n): mean_ranks(results, name, n) for n in given.evaluations} for name in titles
    }
    for name, title in titles.items():
        last = means[name][str(given.evaluations[-1])]
        rows = [
            [label, *(f"{means[name][str(n)][label]:.2f}" for n in given.evaluations)]
            for label in last
        ]
        if rows:
            show(title, ["sampler", *map(str, given.evaluations)], rows)
    return means


def main() -> None:
    made = parser(__doc__ or "", "0-9", "constrained_problems.json")
    made.add_argument("--evaluations", nargs="+", type=int, default=[100, 200], metavar="N")
    made.add_argument(
        "--problems", nargs="+", choices=SOURCES, default=list(DEFAULTS), metavar="NAME"
    )
    made.add_argument(
        "--samplers", nargs="+", choices=[*OURS, *PEERS], default=AFFORDABLE, metavar="NAME"
    )
    given = arguments(made)
    given.evaluations = sorted(set(given.evaluations))
    if given.evaluations[0] < 2:
        made.error("expected --evaluations of at least 2")
    results: dict[str, Any] = {}
    counts = [str(n) for n in given.evaluations]
    for name in given.problems:
        one = task(name)
        results[name] = {
            label: {n: summed(scores) for n, scores in by_count.items()}
            for label, by_count in contest(given, one).items()
        }
        headings = [*(f"HV @{n}" for n in counts), *(f"IGD+ @{n}" for n in counts)]
        show(
            f"{one.about}, told by evaluations unless known",
            ["sampler", *headings, "feasible", "no feasible", "CPU ms"],
            (table_row(label, result) for label, result in results[name].items()),
        )
        print(f"{name} done", file=sys.stderr, flush=True)
    means = show_ranks(given, results)
    frame = {
        "pymoo": version("pymoo"),
        "moocore": version("moocore"),
        "reference_point": REFERENCE,
        "das_cmop_difficulty": DIFFICULTIES,
        "population": POPULATION,
    }
    save(given, {**frame, "mean_ranks": means, "results": results})


if __name__ == "__main__":
    main()
