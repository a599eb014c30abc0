"""A finished run to render: a keyword-transformer-like space with made-up, plausible results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from stillhouse.core.run.summary import (
    Certificate,
    Evaluation,
    LimitLine,
    ModelRow,
    RunSummary,
)

FULL = {"width": 96, "depth": 6, "heads": [6] * 6, "ffn_ratio": [2.0] * 6}
FOUND = {"width": 48, "depth": 3, "heads": [2, 3, 1], "ffn_ratio": [1.0, 0.5, 1.5]}
LIMITS = (
    LimitLine("latency_ms", "<=", 0.2, "<= 0.2"),
    LimitLine("size_kb", "<=", 187.3, "<= 10%"),
)


def costs_of(genes: Mapping[str, Any]) -> dict[str, float]:
    width = genes["width"]
    weights = 40 * width + 98 * width + 12 * width
    products = 0
    for heads, ratio in zip(genes["heads"], genes["ffn_ratio"], strict=True):
        weights += 4 * width * 16 * heads + 2 * width * int(ratio * width)
        products += 2 * 98 * 98 * 16 * heads
    macs = 98 * weights * 0.96 + products
    latency_ms = 0.021 + 0.013 * genes["depth"] + macs / 4.4e7
    return {
        "parameters": float(weights),
        "macs": float(round(macs)),
        "size_bytes": float(weights * 4 + 9_300 + 6_100 * genes["depth"]),
        "memory_kb": 98 * width * 4 * 3 / 1000,
        "latency_ms": latency_ms,
    }


def draw(rng: np.random.Generator) -> dict[str, Any]:
    depth = int(rng.integers(1, 7))
    return {
        "width": int(rng.choice([16, 24, 32, 48, 64, 80, 96])),
        "depth": depth,
        "heads": [int(h) for h in rng.choice([1, 2, 3, 4, 6], depth)],
        "ffn_ratio": [float(r) for r in rng.choice([0.5, 1.0, 1.5, 2.0], depth)],
    }


def accuracy_of(costs: Mapping[str, float], clips: int, rng: np.random.Generator) -> float:
    error = 0.012 + 0.25 * (costs["macs"] / 2e5) ** -1.1 + abs(rng.normal(0, 0.006))
    return float(round(max(0.1, 1 - error) * clips) / clips)


def evaluations(count: int, rng: np.random.Generator) -> list[Evaluation]:
    found: list[Evaluation] = []
    while len(found) < count:
        genes = draw(rng)
        costs = costs_of(genes)
        if costs["latency_ms"] > 0.2 or costs["size_bytes"] > 187_300:
            continue
        accuracy = accuracy_of(costs, 450, rng)
        values = {"accuracy": accuracy, "log_loss": float(-np.log(accuracy) * 2.2)}
        named = {f"supernet.{name}": value for name, value in genes.items()}
        key = f"{len(found):08x}"
        found.append(Evaluation(len(found), key, named, costs, values, 0.4 + rng.random() / 5))
    return with_front(found)


def with_front(found: list[Evaluation]) -> list[Evaluation]:
    points = [(e.values["accuracy"], -e.costs["latency_ms"]) for e in found]
    front = [all(not (q > p[0] and c >= p[1]) for q, c in points) for p in points]
    marked = []
    for evaluation, on_front in zip(found, front, strict=True):
        marked.append(Evaluation(**{**evaluation.__dict__, "on_front": on_front}))
    return marked


def row(role: str, label: str, genes: Mapping[str, Any], test: float, shift: float) -> ModelRow:
    costs = costs_of(genes)
    latency_ms = costs["latency_ms"] * shift
    return ModelRow(
        role=role,
        label=label,
        structure=genes,
        test={"accuracy": test, "log_loss": 2 * (1 - test)},
        validation={"accuracy": round(test * 450) / 450, "log_loss": 2.1 * (1 - test)},
        parameters=int(costs["parameters"]),
        size_bytes=int(costs["size_bytes"]),
        macs=int(costs["macs"]),
        memory_bytes=int(costs["memory_kb"] * 1000),
        latency_ms=latency_ms,
        p95_ms=latency_ms * 1.09,
        median_ms=latency_ms * 1.02,
        updates=4_000,
    )


def rows() -> list[ModelRow]:
    scaled = {"width": 32, "depth": 6, "heads": [2] * 6, "ffn_ratio": [1.0] * 6}
    other = {"width": 48, "depth": 3, "heads": [2, 2, 1], "ffn_ratio": [1.0, 0.5, 1.0]}
    return [
        row("teacher", "teacher", FULL, 0.988, 1.02),
        row("found", "found", FOUND, 0.983, 0.97),
        row("scratch", "trained from scratch", FOUND, 0.964, 0.975),
        row("scaled", "scaled down", scaled, 0.958, 1.01),
        row("finalist", "finalist 2", other, 0.981, 0.98),
    ]


def pairs(rng: np.random.Generator) -> list[dict[str, Any]]:
    found = []
    for i in range(46):
        predicted = costs_of(draw(rng))["latency_ms"]
        label = f"finalist {i - 42}" if i >= 43 else f"network {i}"
        measured = predicted * float(1 + rng.normal(0, 0.045))
        found.append(
            {
                "predicted_ms": predicted,
                "measured_ms": measured,
                "label": label,
                "held_out": i >= 32,
            }
        )
    return found


def certificate() -> Certificate:
    found = rows()[1]
    measured = {
        "latency_ms": found.latency_ms,
        "p95_ms": found.p95_ms,
        "size_bytes": float(found.size_bytes),
        "size_kb": found.size_bytes / 1e3,
        "parameters": float(found.parameters),
        "macs": float(found.macs),
    }
    machine = {
        "target": "onnxruntime-cpu",
        "cpu": "AMD EPYC 7B13",
        "cores": 2,
        "flags": ["avx2", "fma"],
        "os": "Linux",
        "machine": "x86_64",
        "runtime": "onnxruntime 1.27.0",
        "threads": 1,
        "batch": 1,
        "exporter": "dynamo",
        "opset": 20,
    }
    dropped = {
        "configuration": {"supernet.width": 64, "supernet.depth": 2},
        "cost": "latency_ms",
        "bound": 0.2,
        "measured": 0.214,
    }
    return Certificate(
        artefact="model.onnx",
        sha256="9f2c4e1ab07d35c86e5f90d1734ba2c85d6e0f1b29a47c3e8805d7f6a1b2c3d4",
        measured=measured,
        limits=LIMITS,
        max_difference=4.17e-6,
        exporter="torch.onnx.export (dynamo, opset 20)",
        machine=machine,
        date="2025-06-12T09:41:00+00:00",
        dropped=(dropped,),
    )


def fake_summary(count: int = 200, seed: int = 0, **changes: Any) -> RunSummary:
    rng = np.random.default_rng(seed)
    fields: dict[str, Any] = {
        "name": "digits",
        "task": "spoken-digits",
        "objectives": [{"name": "accuracy", "maximize": True}],
        "limits": LIMITS,
        "sampler": "evolution",
        "seed": 0,
        "space_size": "448,153,600",
        "evaluations": evaluations(count, rng),
        "latency_pairs": pairs(rng),
        "predictor": {
            "measured": 40,
            "mape": 0.041,
            "spearman": 0.987,
            "within_10_percent": 0.95,
            "margin": 0.062,
        },
        "rows": rows(),
        "full": FULL,
        "found": FOUND,
        "certificate": certificate(),
        "stages": {"teacher": 71.2, "profile": 24.9, "supernet": 214.8, "search": 96.3,
                   "finalists": 12.1, "baselines": 88.0},
        "versions": {"stillhouse": "0.1.0", "torch": "2.13.0", "onnxruntime": "1.27.0"},
        "notes": ["1 of 3 finalists broke a limit when measured and was dropped"],
    }  # fmt: skip
    return RunSummary(**{**fields, **changes})


@pytest.fixture(scope="session")
def summary() -> RunSummary:
    return fake_summary()


def layer_similarity(
    count: int = 12, clusters: Sequence[int] | None = None, **changes: Any
) -> dict[str, Any]:
    """An exhibit of three clusters, hint points in their middles, three student layers."""
    groups = np.array(clusters or [3 * i // count for i in range(count)])
    apart = np.abs(np.subtract.outer(np.arange(count), np.arange(count))) / count
    alike = np.exp(-1.6 * apart) * np.where(np.equal.outer(groups, groups), 1, 0.62)
    centres = [int(np.median(np.flatnonzero(groups == group))) for group in sorted(set(groups))]
    return {
        "kind": "layer-similarity",
        "method": "hints",
        "metric": "linear-cka",
        "samples": 1650,
        "layers": [f"stages.{3 * i // count}.{i}.tap" for i in range(count)],
        "similarity": alike.round(4).tolist(),
        "labels": groups.tolist(),
        "centres": centres,
        "student_layers": ["stages.0.0.tap", "stages.1.0.tap", "stages.2.0.tap"],
        "pairs": [[centre, i] for i, centre in enumerate(centres)],
        "silhouette": 0.7291,
        "select": "exact",
        "loss": "fitnets",
        **changes,
    }


ARMS = {
    "found": ("found", [0.90, 0.92, 0.94], [0.91, 0.92, 0.93]),
    "uniform": ("uniform spacing", [0.89, 0.90, 0.94], [0.92, 0.91, 0.93]),
    "stage-ends": ("stage ends", [0.88, 0.90, 0.91], [0.87, 0.89, 0.90]),
    "none": ("no hints", [0.85, 0.86, 0.90], [0.84, 0.88, 0.88]),
}
"""Label, validation and test accuracies of three repeats, by role."""


def arms(chosen: str = "found", repeats: int = 3, **changes: Any) -> dict[str, Any]:
    """An exhibit of four arms; `changes` replace one of its entries."""
    return {
        "kind": "arms",
        "method": "hints",
        "metric": "accuracy",
        "maximize": True,
        "repeats": repeats,
        "chosen": chosen,
        "arms": [
            {"role": r, "label": label, "validation": v[:repeats], "test": t[:repeats]}
            for r, (label, v, t) in ARMS.items()
        ],
        **changes,
    }


WEIGHTS = {"resnet-38": 0.6, "resnet-26": 0.3, "plain-6": 0.1, "plain-4": 0.0}
LOSSES = {"resnet-38": 0.35, "resnet-26": 0.4, "plain-6": 0.45, "plain-4": 0.6}
"""Log-loss of each assistant alone, on tuning; 0.02 more on test."""


def spread(mean: float, half: float = 0.05) -> dict[str, float]:
    return {"mean": mean, "low": mean - half, "high": mean + half}


def standing(
    role: str, label: str, loss: float, behind: Sequence[float] | None, **changes: Any
) -> dict[str, Any]:
    """`behind` is a mean and half its interval."""
    return {
        "role": role,
        "label": label,
        "tuning": {"log_loss": spread(loss), "accuracy": spread(0.9, 0.02)},
        "test": {"log_loss": spread(loss + 0.02, 0.03), "accuracy": spread(0.89, 0.01)},
        "behind": None if behind is None else spread(*behind),
        **changes,
    }


def member(name: str, weight: float, place: int, **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "weight": weight,
        "parameters": 270_000 // (place + 1),
        "macs": 41_000_000 // (place + 1),
        "source": "trained",
        "channels": [],
        "dropped": None if weight else {"rise": 0.0002},
        "learnt_from": ["teacher"],
        **changes,
    }


def standings(behinds: Mapping[str, Sequence[float] | None] | None = None) -> list[dict[str, Any]]:
    """The chosen row first; `behinds` replace means and halves by role or label."""
    found = {
        "em": (0.0, 0.0), "uniform": (0.012, 0.008), "best-single": (0.05, 0.02),
        "resnet-38": (0.05, 0.02), "resnet-26": (0.1, 0.03), "plain-6": (0.15, 0.03),
        "plain-4": (0.3, 0.05), "teacher": (-0.01, 0.03), **(behinds or {}),
    }  # fmt: skip
    return [
        standing("chosen", "differential evolution", 0.3, None),
        standing("em", "EM optimum", 0.3, found["em"]),
        standing("uniform", "uniform", 0.312, found["uniform"]),
        standing("best-single", "best single", 0.35, found["best-single"]),
        *(standing("member", name, loss, found[name]) for name, loss in LOSSES.items()),
        standing("teacher", "teacher", 0.29, found["teacher"]),
    ]


def ensemble(
    behinds: Mapping[str, Sequence[float] | None] | None = None, **changes: Any
) -> dict[str, Any]:
    """An exhibit of four assistants, one of them dropped; `changes` replace one of its entries."""
    return {
        "kind": "ensemble",
        "method": "ensemble",
        "weights": "differential-evolution",
        "objective": "log_loss",
        "mixing": "probabilities",
        "temperature": 1.0,
        "distil_temperature": 4.0,
        "topology": "flat",
        "gap": 1.2e-9,
        "referee": "em",
        "evaluations": 1640,
        "samples": {"tuning": 300, "test": 600},
        "several": False,
        "metric": "log_loss",
        "members": [member(name, w, i) for i, (name, w) in enumerate(WEIGHTS.items())],
        "rows": standings(behinds),
        **changes,
    }


def without_test(found: Mapping[str, Any]) -> dict[str, Any]:
    """The same where nobody looked at the test split."""
    return {
        **found,
        "samples": {"tuning": 300, "test": None},
        "rows": [{**one, "test": None} for one in found["rows"]],
    }


def single() -> dict[str, Any]:
    """One assistant, which is its own mixture."""
    lone = [standing("chosen", "differential evolution", 0.3, None),
            standing("uniform", "uniform", 0.3, (0.0, 0.0)),
            standing("best-single", "best single", 0.3, (0.0, 0.0)),
            standing("member", "resnet-38", 0.3, (0.0, 0.0)),
            standing("teacher", "teacher", 0.2, (-0.1, 0.04))]  # fmt: skip
    return ensemble(members=[member("resnet-38", 1.0, 0)], rows=lone, gap=0.0, evaluations=1)


def many(count: int = 12) -> dict[str, Any]:
    """Long names; the first half has all the weight, and each learnt from all above."""
    names = [f"keyword-transformer-drawn-from-the-supernet-at-width-{8 * i}" for i in range(count)]
    members = [
        member(
            name, 2 / count if i < count // 2 else 0.0, i,
            learnt_from=["teacher", *names[:i]], dropped=None, source="drawn",
        )
        for i, name in enumerate(names)
    ]  # fmt: skip
    shown = [
        standing("member", name, 0.3 + 0.1 * i, (0.1 * i + 0.01, 0.005))
        for i, name in enumerate(names)
    ]
    return ensemble(members=members, rows=[*standings()[:4], *shown], topology="dense")


@pytest.fixture(scope="session")
def exhibit() -> Callable[..., dict[str, Any]]:
    """Makes an exhibit by its kind: `exhibit("arms", chosen="none")`."""
    made: dict[str, Callable[..., dict[str, Any]]] = {
        "arms": arms,
        "layer-similarity": layer_similarity,
        "ensemble": ensemble,
        "ensemble untested": lambda: without_test(ensemble()),
        "ensemble of one": single,
        "ensemble of many": many,
    }
    return lambda kind, **changes: made[kind](**changes)
