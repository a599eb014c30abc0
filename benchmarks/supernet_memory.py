"""What a training step of the full-size LightHuBERT supernet takes: peak resident memory, seconds.

768 wide, 12 layers, waveform front end; a HuBERT-Base-shaped teacher, masked spans, the mean of its
last 8 feed-forward outputs as the target, AdamW; batches of so many seconds at 16 kHz. Weights are
random: they cost what trained ones cost. Each row is measured in a process of its own.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch
from record import arguments, parser, resident_mb, save, show
from torch import nn

from stillhouse.core.distill.masking import Masking
from stillhouse.core.distill.paths import Configuration, PathSampler
from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.training import fit
from stillhouse.core.evaluate import (
    Classification,
    Context,
    ModelFamily,
    ModuleTeacher,
    Split,
    State,
    TaskData,
)
from stillhouse.core.plugin import Catalogue
from stillhouse.plugins.distil.hidden_states import hidden_states_term

RATE: Final = 16_000
STEPS: Final = 3
SMALLEST: Final = {"width": 256, "depth": 10, "heads": [4] * 10, "ffn_ratio": [3.0] * 10}
DEFAULT: Final = {"width": 640, "depth": 12, "heads": [10] * 12, "ffn_ratio": [4.0] * 12}
ROWS: Final[Mapping[str, Mapping[str, Any]]] = {
    "stage 1, the full student": {"elastic": False},
    "stage 2, largest subnet": {"genes": {}},
    "stage 2, largest subnet, unsampled slices held": {"genes": {}, "held": True},
    "stage 2, released Base subnet": {"genes": DEFAULT},
    "stage 2, smallest subnet of the Small space": {"genes": SMALLEST},
}


@final
class One(PathSampler):
    """The same subnet in every update."""

    def __init__(self, genes: Configuration) -> None:
        self.name, self._genes = "one", genes

    def draw(self, step: int, rng: np.random.Generator) -> list[Configuration]:
        return [self._genes]


def main() -> None:
    made = parser(__doc__ or "", "0", "benchmarks/results/supernet_memory.json")
    made.add_argument("--seconds", type=float, default=1.0, help="of audio a sample")
    made.add_argument("--batch", type=int, default=1)
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--row", choices=ROWS, help="measure this one here (used by the others)")
    given = arguments(made)
    if given.row:
        print(json.dumps(measured(given)))
        return
    results = {name: in_a_process(name, given) for name in ROWS}
    show(
        f"One training step, batch {given.batch} of {given.seconds:g} s, {given.threads} thread(s)",
        ("", "peak MB", "of which before MB", "s a step", "student M"),
        [
            [name, f"{one['peak_mb']:.0f}", f"{one['before_mb']:.0f}", f"{one['step_s']:.2f}",
             f"{one['parameters'] / 1e6:.2f}"]
            for name, one in results.items()
        ],
    )  # fmt: skip
    given.row = None
    save(given, {"rows": results})


def in_a_process(name: str, given: Any) -> dict[str, float]:
    settings = ("--seconds", given.seconds, "--batch", given.batch, "--threads", given.threads)
    command = [sys.executable, __file__, "--row", name, *map(str, settings)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(name, found, flush=True)
    return found


def measured(given: Any) -> dict[str, float]:
    """Peak resident memory of three updates, what was resident before, and seconds a step."""
    torch.set_num_threads(given.threads)
    row = ROWS[given.row]
    context, state = ground(int(given.seconds * RATE), given.batch)
    module: nn.Module = built(context, 1)
    parameters = sum(p.numel() for p in module.parameters())
    if row.get("elastic", True):
        module = elastic_of(module, context)
        parameters = active_parameters(context, row["genes"])
    settings = TrainSettings(
        epochs=1, batch_size=given.batch, learning_rate=5e-4, task_weight=0.0,
        freeze_unsampled=row.get("held", False),
    )  # fmt: skip
    gc.collect()
    before = resident_mb("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    began: list[float] = []
    module.register_forward_pre_hook(lambda *_: began.append(time.perf_counter()))
    fit(
        module,
        structure=context.full,
        state=state,
        settings=settings,
        context=context,
        label="step",
        stop_after=STEPS,
        paths=One(row["genes"]) if row.get("elastic", True) else None,
    )
    steps = np.diff(began[1:])  # the first forward pass measures where masks go
    return {
        "peak_mb": resident_mb("VmHWM"),
        "before_mb": before,
        "step_s": float(steps.min()),
        "parameters": float(parameters),
    }


def ground(samples: int, batch: int) -> tuple[Context, State]:
    """A HuBERT-shaped teacher, and noise to run it on: no step depends on what is heard."""
    generator = torch.Generator().manual_seed(0)

    def split(name: Any) -> Split:
        inputs = torch.randn(batch * STEPS, samples, generator=generator)
        return Split(name, inputs, torch.arange(batch * STEPS) % 2)

    names = ("train", "tuning", "validation", "test")
    task = Classification("noise", TaskData(*map(split, names), sha256="noise"), ("a", "b"))
    catalogue = Catalogue.discover()
    record = catalogue.model("hubert")
    family: ModelFamily = catalogue.resolve(record)()  # type: ignore[operator,assignment]
    full = family.structure(record.params(), task.input_shape, task.outputs)
    context = Context(task, family, full)
    taps = family.taps(full)
    teacher = ModuleTeacher(built(context, 0), tuple(taps), taps)
    inner = tuple(f"{tap}.feed_forward" for tap in list(taps)[-8:])
    term = hidden_states_term(inner, full["width"], "l1", 1.0, True, "masked")
    return context, replace(State({"teacher": teacher}, task.data), masking=Masking()).with_term(
        term
    )


def built(context: Context, seed: int) -> nn.Module:
    return context.family.build(context.full, torch.Generator().manual_seed(seed))


def elastic_of(module: nn.Module, context: Context) -> nn.Module:
    return context.family.elastic(module)


def active_parameters(context: Context, genes: Configuration) -> float:
    from stillhouse.core.cost.terms import parameters

    structure = context.family.subnet(context.full, genes)
    columns = context.family.columns([structure])
    return float(parameters(context.family.sheet(structure, columns))[0])


if __name__ == "__main__":
    main()
