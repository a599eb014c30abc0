"""Latencies of artefacts that samples run through differently."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from stillhouse.core.measure import Latency, Target
from stillhouse.core.run.ways import Ways, at_share, over_samples


def latency(ms: float, conditions: str = "quiet") -> Latency:
    return Latency(ms, 3 * ms, 30, "2026-01-02", 1.5 * ms, 0.5 * ms, 2 * ms, conditions)


class Runtime:
    """A target whose artefacts answer as told, by the name of the file."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers, self.ran = answers, list[str]()

    def ways(self, artefact: Path, folder: Path) -> list[Path]:
        return [folder / name for name in self.answers if name != artefact.name]

    def run(self, path: Path, inputs: torch.Tensor) -> Any:
        self.ran.append(path.name)
        return np.array(self.answers[path.name], np.float32)[:, None]


def ways(answers: Mapping[str, Any], inputs: torch.Tensor | None) -> Ways:
    return Ways.of(cast(Target, Runtime(answers)), Path("/runs/model"), inputs)


def test_samples_go_the_way_that_answers_as_they_were_answered() -> None:
    answers = {"model": [1, 5, 3, 7], "first": [1, 2, 3, 4], "last": [8, 5, 9, 7]}
    found = ways(answers, torch.zeros(4, 2))
    assert found == Ways((Path("/runs/first"), Path("/runs/last")), (0.5, 0.5))
    assert found.dynamic


def test_what_several_ways_answer_alike_or_none_does_counts_as_the_longest() -> None:
    answers = {"model": [1, 6], "first": [1, 2], "last": [1, 5]}
    assert ways(answers, torch.zeros(2, 2)).shares == (0.0, 1.0)


def test_without_data_the_longest_way_stands_for_all() -> None:
    found = ways({"model": [], "first": [], "last": []}, None)
    assert found == Ways((Path("/runs/last"),), (1.0,))
    assert not found.dynamic


def test_an_artefact_that_runs_alike_for_all_is_its_own_only_way() -> None:
    assert ways({"model": [1]}, torch.zeros(1, 2)) == Ways((Path("/runs/model"),), (1.0,))


def test_the_latency_is_the_mean_over_samples_with_its_interval() -> None:
    found = over_samples([latency(1), latency(3, "noisy")], [0.75, 0.25])
    assert (found.latency_ms, found.low_ms, found.high_ms) == (1.5, 0.75, 3.0)
    assert (found.median_ms, found.p95_ms) == (1.5, 9.0)
    assert (found.repeats, found.conditions) == (60, "noisy")
    assert over_samples([latency(2)], [1.0]) == latency(2)


@pytest.mark.parametrize(("q", "ms"), [(0.5, 1), (0.75, 1), (0.76, 3), (0.95, 3)])
def test_a_quantile_is_a_sample_on_its_way(q: float, ms: float) -> None:
    assert at_share([latency(1), latency(3)], [0.75, 0.25], q) == latency(ms)
