"""A catalogue of a few plugins with parameters of every kind."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from stillhouse.core.plugin.params import Params, param
from stillhouse.core.plugin.records import Record

RUN = """\
name: digits
task: spoken-digits
teacher: {model: keyword-transformer, width: 96, depth: 6, epochs: 20}
recipe:
  - soft-labels: {temperature: {low: 1, high: 8, log: true}, weight: 0.5}
  - supernet:
      space: keyword-transformer
      epochs: 20
      sampler: sandwich
search:
  maximize: accuracy
  limits:
    latency_ms: "<= 0.2"
    size_kb: 10%
  evaluations: 200
  seed: 0
target: {runtime: onnxruntime-cpu, batch: 1, threads: 1, device: my-device.json}
train:
  threads: 2
"""


class SoftLabels(Params):
    temperature: float = param(4.0, low=1, high=20, log=True, phase="apply", help="softens")
    weight: float = param(1.0, low=0, high=100, help="weight of the term")


class Supernet(Params):
    space: str = param(kind="space", help="the space of its subnets")
    epochs: int = param(20, low=1, help="epochs of sampled training")
    sampler: str = param("sandwich", choices=("uniform", "sandwich", "size_bins"), help="paths")
    inplace: bool = param(False, help="distil from the largest subnet")
    taps: list[str] = param((), help="modules to tap")
    initial: str | None = param(None, kind="path", help="weights to start from")
    workers: int = param(0, low=0, searchable=False, help="loading processes")


class Ensemble(Params):
    assistants: tuple[object, ...] = param((), kind="models", help="networks in between")
    runs: tuple[str, ...] = param(("found",), kind="paths", help="finished runs")
    weights: tuple[float, ...] = param((), kind="simplex", phase="apply", help="of the mixture")
    even: tuple[float, ...] = param((1, 3), kind="simplex", help="normalised too")
    others: tuple[str, ...] | None = param(None, kind="paths", help="none, not an empty list")
    shares: tuple[float, ...] | None = param(None, kind="simplex", help="none either")


class FrontEnd(Params):
    folder: str | None = param(None, kind="path", help="weights to start from")
    channels: int = param(512, low=1, help="of its front end")


class KeywordTransformer(Params):
    width: int = param(96, low=8, high=1024, help="width")
    depth: int = param(6, low=1, high=24, help="blocks")


class Npz(Params):
    path: str = param(kind="path", help="the .npz file")
    classes: list[str] = param((), help="names of the classes")


class Runtime(Params):
    batch: int = param(1, low=1, help="samples per call")
    threads: int = param(1, low=1, help="threads of the runtime")


class Evolution(Params):
    population: int = param(50, low=2, help="parents kept")


class FakeCatalogue:
    declarations: ClassVar = {
        "task": {"npz": Npz, "spoken-digits": Params},
        "model": {"front-end": FrontEnd, "keyword-transformer": KeywordTransformer},
        "method": {
            "ensemble": Ensemble,
            "hidden-states": Params,
            "soft-labels": SoftLabels,
            "supernet": Supernet,
        },
        "space": {"keyword-transformer": Params, "lighthubert-base": Params},
        "target": {"onnxruntime-cpu": Runtime},
        "sampler": {"auto": Params, "evolution": Evolution, "random": Params},
        "reporter": {},
    }

    def names(self, kind: str) -> tuple[str, ...]:
        return tuple(sorted(self.declarations[kind]))

    def record(self, kind: str, name: str) -> Record:
        params = self.declarations[kind][name]
        return Record(name=name, summary=f"the {kind} {name}", build="x:y", params=params)

    def runs(self, path: Path) -> bool:
        return False


@pytest.fixture(scope="session")
def catalogue() -> FakeCatalogue:
    return FakeCatalogue()


@pytest.fixture(scope="session")
def run_text() -> str:
    return RUN
