"""Networks run over a split once, so that nothing after it needs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import DataError, UserError
from stillhouse.core.evaluate.context import Progress, Silent
from stillhouse.core.evaluate.predictions import Origin, Predictions
from stillhouse.core.evaluate.probabilities import check_finite

if TYPE_CHECKING:
    from torch import Tensor, nn

    from stillhouse.core.evaluate.data import Batch, Split, SplitName
    from stillhouse.core.evaluate.task import Task
    from stillhouse.core.evaluate.teacher import Teacher

_AT_ONCE: Final = 256


def predict(
    models: Mapping[str, nn.Module | Teacher],
    split: SplitName,
    task: Task,
    *,
    seeds: Mapping[str, int] | None = None,
    at_once: int = _AT_ONCE,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Predictions:
    """Probabilities of every model for every sample of a split, inputs as they are.

    Networks are given what the task's student sees, teachers choose from the whole inputs.

    A network runs where its weights are and is left in eval mode; a teacher that is no
    `ModuleTeacher` gets its inputs on `device`, and its source is not known. The softmax is taken
    in float64, or the sigmoid where samples have several labels. `seeds` are those that models
    were trained with. Samples run in the split's order, `at_once` together: the same call gives
    the same bits on the same machine and threads.

    Raises:
        UserError: there is no model, or the targets are not what the task says: one class a sample,
            or any number of labels.
        DataError: a model's logits have another shape than (batch, classes), or are not finite.
    """
    data = task.data.split(split)
    targets = _labels(data) if task.several else _targets(data)
    probabilities = np.empty((len(models), len(data), len(task.labels)), np.float32)
    shown = progress or Silent()
    shown.start(f"predict {split}", len(models) * -(-len(data) // at_once))
    try:
        for out, (name, model) in zip(probabilities, models.items(), strict=True):
            for places, logits in _logits(_answer(model, device), data, at_once):
                where = f"model '{name}' on {split}"
                _write(out[places], logits, task.several, places.start, where)
                shown.advance(note=name)
    finally:
        shown.finish()
    origin = Origin(
        tuple((seeds or {}).get(name) for name in models),
        tuple(map(_source, models.values())),
        task.data.sha256,
        f"stillhouse {version('stillhouse')}",
        training_views=False,
    )
    return Predictions(tuple(models), tuple(task.labels), split, probabilities, targets, origin)


def _targets(split: Split) -> NDArray[np.int64]:
    targets = split.targets
    if targets.ndim != 1 or targets.is_floating_point():
        raise UserError(
            f"predictions of the {split.name} split: expected one class a sample, got targets of "
            f"type {targets.dtype} and shape {tuple(targets.shape)}; weights are searched for "
            "classification tasks"
        )
    return targets.cpu().numpy().astype(np.int64)


def _labels(split: Split) -> NDArray[np.int64]:
    targets = split.targets.cpu().numpy()
    if targets.ndim != 2 or not ((targets == 0) | (targets == 1)).all():
        raise UserError(
            f"predictions of the {split.name} split: expected 0 or 1 for every label of a sample, "
            f"got targets of type {targets.dtype} and shape {targets.shape}; repair the task"
        )
    return targets.astype(np.int64)


def _answer(model: nn.Module | Teacher, device: str) -> Callable[[Batch], Tensor]:
    module = _module(model)
    if module is None:
        return lambda batch: model.observe(batch.seen.to(device)).logits  # type: ignore[operator]
    module.eval()
    home = next((weights.device for weights in module.parameters()), None)
    shown = _shown(model)
    return lambda batch: module(shown(batch) if home is None else shown(batch).to(home))


def _shown(model: nn.Module | Teacher) -> Callable[[Batch], Tensor]:
    """What a network is given: what the student sees, or a teacher's channels of the whole."""
    from stillhouse.core.evaluate.teacher import ModuleTeacher
    from stillhouse.core.evaluate.views import chosen

    if isinstance(model, ModuleTeacher):
        return lambda batch: chosen(batch.seen, model.channels)
    return lambda batch: batch.inputs


def _module(model: nn.Module | Teacher) -> nn.Module | None:
    """The network itself: a teacher may keep answers it gave in batches of another size."""
    from torch import nn

    from stillhouse.core.evaluate.teacher import ModuleTeacher

    if isinstance(model, ModuleTeacher):
        return model.module
    return model if isinstance(model, nn.Module) else None


def _logits(
    answer: Callable[[Batch], Tensor], split: Split, at_once: int
) -> Iterator[tuple[slice, Tensor]]:
    """Logits of consecutive samples, without gradient, and where they belong."""
    import torch

    first = 0
    for batch in split.batches(at_once):
        # Not inference mode: a teacher may keep answers that a training reads later.
        with torch.no_grad():
            logits = answer(batch)
        yield slice(first, first + len(batch.targets)), logits
        first += len(batch.targets)


def _write(out: NDArray[np.float32], logits: Tensor, several: bool, first: int, where: str) -> None:
    """Write the softmax, or sigmoids, of samples from `first` on to `out` (batch, classes)."""
    if tuple(logits.shape) != out.shape:
        raise DataError(
            f"{where}: expected logits {out.shape}, got {tuple(logits.shape)}; its classes must "
            "be the task's"
        )
    exact = logits.detach().cpu().double()
    check_finite(exact.numpy(), where, first)
    out[:] = (exact.sigmoid() if several else exact.softmax(-1)).numpy()


def _source(model: nn.Module | Teacher) -> str:
    from stillhouse.core.distill.checkpoint import fingerprint
    from stillhouse.core.evaluate.teacher import ModuleTeacher

    module = _module(model)
    if module is None:
        return ""
    channels = model.channels if isinstance(model, ModuleTeacher) else ()
    return fingerprint(module, {"channels": channels} if channels else {})
