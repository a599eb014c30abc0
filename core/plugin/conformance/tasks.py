"""What is expected of a task."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch

from stillhouse.core.evaluate import Split, Task
from stillhouse.core.plugin.catalogue import Catalogue
from stillhouse.core.plugin.conformance.check import Setup, unmet
from stillhouse.core.plugin.conformance.snapshots import digest, seeded, unmoved
from stillhouse.core.plugin.records import Record, TaskInfo

_SPLITS = ("train", "tuning", "validation", "test")


def check_code(record: Record, setup: Setup, catalogue: Catalogue) -> None:
    """Called with its parameters, the code gives a `Task` that measures what the record says."""
    task = _built(record, setup, catalogue, 0)
    if not isinstance(task, Task):
        unmet("build(params) to give a core.evaluate.Task", repr(task), "derive from Task")
    said = cast(TaskInfo, record).metrics
    if said and (missing := [m.name for m in task.metrics if m not in said]):
        unmet("the record to list every metric", f"no {', '.join(missing)}", "add it to metrics")


def check_behaviour(record: Record, setup: Setup, catalogue: Catalogue) -> None:
    """Four splits with samples, none of them part of another; the same at every call."""
    with unmoved("build"):
        task = _built(record, setup, catalogue, 1)
    again = _built(record, setup, catalogue, 2)
    for name in _SPLITS:
        split, other = (one.data.split(name) for one in (task, again))  # type: ignore[arg-type]
        if not len(split):
            unmet(f"samples in {name}", "none", "give every split some")
        if (digest(split.inputs), digest(split.targets)) != (
            digest(other.inputs),
            digest(other.targets),
        ):
            unmet(f"the same {name} split every time", "another", "draw splits from a seed")
    if task.data.sha256 != again.data.sha256:
        unmet("the same hash of the data every time", "another", "hash what is in the splits")
    _check_apart(task)
    _check_scores(task)


def _built(record: Record, setup: Setup, catalogue: Catalogue, seed: int) -> Task:
    build = cast("Callable[[object], Task]", catalogue.resolve(record))
    with seeded(seed):
        return build(record.params(**setup.params))


def _check_apart(task: Task) -> None:
    """No split lies whole in the training split."""
    train = {digest(one) for one in task.data.train.inputs}
    for name in _SPLITS[1:]:
        rows: Split = task.data.split(name)  # type: ignore[arg-type]
        if all(digest(one) in train for one in rows.inputs):
            unmet(f"samples in {name} that are not in train", "none", "split without overlap")


def _check_scores(task: Task) -> None:
    split = task.data.validation
    outputs = torch.zeros(len(split), task.outputs)
    value, scores = task.loss(outputs, split.targets), task.score(outputs, split.targets)
    if value.shape != () or not torch.isfinite(value):
        unmet("a finite scalar loss", value, "take the mean over the batch")
    if missing := [metric.name for metric in task.metrics if metric.name not in scores]:
        unmet("score to give every metric", f"no {', '.join(missing)}", "add it to score")
    if tuple(task.example(2).shape) != (2, *task.input_shape):
        came = tuple(task.example(2).shape)
        unmet(f"an example {(2, *task.input_shape)}", came, "correct input_shape")
