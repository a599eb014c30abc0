"""What Ray is asked for each worker."""

from __future__ import annotations

from typing import Any

from stillhouse.core.errors import UserError
from stillhouse.core.execute.job import Work


def actor_options(work: Work, cpus: float | None, gpus: float, placement: str) -> dict[str, Any]:
    """Options of an actor, by Ray's names; without `cpus` the threads of the work.

    Raises UserError for what Ray does not give, and for work on a GPU without one.
    """
    if gpus > 1 and gpus != int(gpus):
        raise UserError(
            f"execute: {{gpus: {gpus:g}}}: expected a part of one GPU or whole ones, got {gpus:g}; "
            f"take {int(gpus)} or {int(gpus) + 1}"
        )
    if str(work.spec.get("device", "cpu")).startswith("cuda") and not gpus:
        raise UserError(
            "expected execute: {gpus: ...} above 0, since the run trains on cuda and Ray hides "
            "GPUs from workers that keep none; gpus: 0.5 lets two workers share one"
        )
    return {
        "num_cpus": float(work.threads if cpus is None else cpus),
        "num_gpus": gpus,
        "scheduling_strategy": "SPREAD" if placement == "spread" else "DEFAULT",
    }
