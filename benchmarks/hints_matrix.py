"""How long the layer-by-layer matrix of ResNet-110 takes, and its memory: 54 taps, linear CKA.

Taps are the block outputs for 32x32 images: 18 each of widths 16, 32, 64 at 32x32, 16x16, 8x8. Rows
`features`: random features made chunk by chunk, for a time without the network's (means over
positions, moments, matrix). Rows `network`: ResNet-110 (He et al. 2016, section 4.2, with
projections) with random weights on random images, once alone and once observed. Each row is
measured in a process of its own. Moments are all from the features to the matrix: means over
positions, sums, products; their CPU time is that of all threads.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch
from record import arguments, parser, resident_mb, save, show
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.evaluate import ModuleTeacher, Split
from stillhouse.core.similarity import Accumulator, Layers, observe, similarity_matrix
from stillhouse.plugins.similarities.linear_cka import LinearCka

STAGES: Final = ((16, 32), (32, 16), (64, 8))
"""Width, and rows and columns of positions."""
BLOCKS: Final = 18
CHUNK: Final = 16


def main() -> None:
    made = parser(__doc__ or "", "0", "benchmarks/results/hints_matrix.json")
    made.add_argument("--features", type=int, nargs="*", default=[2_000, 10_000])
    made.add_argument("--network", type=int, nargs="*", default=[10_000])
    made.add_argument("--threads", type=int, default=2)
    made.add_argument("--row", nargs=2, help="measure this one here (used by the others)")
    given = arguments(made)
    if given.row:
        torch.set_num_threads(given.threads)
        kind, samples = given.row
        measure = of_features if kind == "features" else of_network
        print(json.dumps(measure(int(samples), given.seeds[0])))
        return
    rows = [(kind, n) for kind in ("features", "network") for n in getattr(given, kind)]
    results = {f"{kind}, {n:,} samples": in_a_process(kind, n, given) for kind, n in rows}
    show(
        f"Matrix of 54 taps, linear CKA, {given.threads} threads",
        ("", "network s", "moments s", "CPU s", "matrix s", "peak MB", "of which before MB"),
        [
            [name, *(f"{one[key]:.2f}" for key in
                     ("network_s", "gather_s", "gather_cpu_s", "matrix_s")),
             f"{one['peak_mb']:.0f}", f"{one['before_mb']:.0f}"]
            for name, one in results.items()
        ],
    )  # fmt: skip
    given.row = None
    save(given, {"rows": results})


def in_a_process(kind: str, samples: int, given: Any) -> dict[str, float]:
    settings = ("--threads", given.threads, "--seeds", given.seeds[0])
    command = [sys.executable, __file__, "--row", kind, samples, *settings]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(kind, samples, found, flush=True)
    return found


def of_features(samples: int, seed: int) -> dict[str, float]:
    """Seconds of everything behind the network, and peak resident memory."""
    names = [f"{stage}.{block}" for stage in range(len(STAGES)) for block in range(BLOCKS)]
    accumulator, gathering = Accumulator(names, samples), Watch()
    before = begin_peak()
    for indices, features in random_chunks(names, samples, seed):
        with gathering:
            accumulator.add(features, indices)
    with gathering:
        layers = accumulator.layers()
    return {"network_s": 0.0, "gather_s": gathering.wall_s, "gather_cpu_s": gathering.cpu_s,
            "matrix_s": matrix_s(layers), **peak(before)}  # fmt: skip


def random_chunks(
    names: list[str], samples: int, seed: int
) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
    """Noise over positions about means of every sample, as convolutions lay them out."""
    generator = torch.Generator().manual_seed(seed)
    noise = [torch.randn(CHUNK, w, n * n, generator=generator) for w, n in STAGES]
    for indices in torch.split(torch.arange(samples), CHUNK):
        shown = {}
        for name in names:
            one = noise[int(name[0])][: len(indices)]
            means = torch.randn(len(indices), one.shape[1], 1, generator=generator)
            shown[name] = (one + means).relu().transpose(1, 2)
        yield indices, shown


@final
class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut; `tap` shows the output, channels last."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        step = 1 if inputs == width else 2
        self.conv1 = nn.Conv2d(inputs, width, 3, step, 1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        same = inputs == width
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, width, 1, 2, bias=False)
        self.tap = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out = self.norm2(self.conv2(functional.relu(self.norm1(self.conv1(x)))))
        out = functional.relu(out + self.shortcut(x))
        self.tap(out.flatten(2).transpose(1, 2))
        return out


def resnet_110() -> nn.Sequential:
    before, blocks = STAGES[0][0], []
    for width, _ in STAGES:
        for _ in range(BLOCKS):
            blocks.append(Block(before, width))
            before = width
    stem = nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 100))
    return nn.Sequential(stem, *blocks, head)


def of_network(samples: int, seed: int) -> dict[str, float]:
    """Seconds of the network alone, of what observing it adds, and of the matrix."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    inputs = torch.randn(samples, 3, 32, 32, generator=generator)
    split = Split("train", inputs, torch.zeros(samples, dtype=torch.int64))
    module = resnet_110()
    taps = tuple(name for name, one in module.named_modules() if name.endswith(".tap"))
    widths = dict(zip(taps, np.repeat([w for w, _ in STAGES], BLOCKS).tolist(), strict=True))
    teacher = ModuleTeacher(module, taps, widths)
    alone, whole = Watch(), Watch()
    with alone:
        for batch in split.batches(CHUNK):
            teacher.observe(batch.inputs)
    before = begin_peak()
    with whole:
        layers = observe(teacher, taps, split, samples=samples)
    return {"network_s": alone.wall_s, "gather_s": whole.wall_s - alone.wall_s,
            "gather_cpu_s": whole.cpu_s - alone.cpu_s, "matrix_s": matrix_s(layers),
            **peak(before)}  # fmt: skip


@final
class Watch:
    """Adds up the seconds spent inside it, by the clock and of all this process's threads."""

    def __init__(self) -> None:
        self.wall_s = self.cpu_s = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        self.wall_s += time.perf_counter() - self._began[0]
        self.cpu_s += time.process_time() - self._began[1]


def matrix_s(layers: Layers) -> float:
    watch = Watch()
    with watch:
        assert similarity_matrix(layers, LinearCka()).shape == (54, 54)
    return watch.wall_s


def begin_peak() -> float:
    Path("/proc/self/clear_refs").write_text("5")
    return resident_mb("VmRSS")


def peak(before: float) -> dict[str, float]:
    return {"peak_mb": resident_mb("VmHWM"), "before_mb": before}


if __name__ == "__main__":
    main()
