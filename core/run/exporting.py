"""A found model written for another target than the run's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from stillhouse.core.config.target_alone import target_alone
from stillhouse.core.errors import RunDirectoryError, UserError
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.loading import described, load

if TYPE_CHECKING:
    from torch import Tensor

    from stillhouse.core.measure import Exported, Target


def export_model(
    folder: Path, name: str, sets: Sequence[str], out: Path, catalogue: Catalogue
) -> Exported:
    """Write the model of a finished run (or of its `best/` folder) for the target `name`.

    `sets` are the target's parameters as `KEY=VALUE`. Its outputs are compared with those of the
    model loaded from safetensors, on normally distributed inputs, or on whole numbers in the range
    of the task's.

    Raises:
        RunDirectoryError: there is no such model; UserError: the target or a parameter is unknown,
            or `out` cannot be written; ExportError: the model does not run there as it should.
    """
    use = target_alone(name, sets, catalogue).runtime
    record = catalogue.target(use.name)
    build = cast("Callable[[object], Target]", catalogue.resolve(record))
    target = build(record.params(**use.fixed))
    model = load(folder, catalogue)
    example = _made_up(folder, int(use.fixed.get("batch", 1)))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        return target.export(model, example, out)
    except OSError as error:
        raise UserError(
            f"{out}: cannot be written ({error.strerror}); choose another with --out"
        ) from error


def _made_up(folder: Path, batch: int) -> Tensor:
    import torch

    from stillhouse.core.measure.inputs import drawn_as

    known = described(folder)
    shape, inputs = known.get("input_shape"), known.get("inputs", {})
    if not isinstance(shape, list) or not all(type(size) is int and size > 0 for size in shape):
        raise RunDirectoryError(
            f"{folder}: model.json: input_shape: expected a list of sizes, got {shape!r}"
        )
    try:
        return drawn_as(inputs, (batch, *shape), torch.Generator().manual_seed(0))
    except (ValueError, AttributeError) as error:
        raise RunDirectoryError(f"{folder}: model.json: inputs: {error}") from None
