"""Is the packed binary product faster than a product of real numbers, and by how much?

One thread, batch 1. A linear layer (positions x inputs to outputs) and 3 x 3 convolutions, as torch
computes them (`functional.linear`, `functional.conv2d`, in single precision) and as programs of
`torch-cpu` compute their binary twins: packing of the inputs, scale and bias are all inside. All
ways of a shape take turns; figures are medians over rounds, in brackets the smallest and largest.
A round's time is that of the quickest tenth of its runs: on a shared machine the others tell of
the neighbours. Beside the kernel of this processor, those of lesser ones, and NumPy, timed alone
since it leaves the caches to nobody. Answers are compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from record import arguments, parser, save, show
from torch import Tensor
from torch.nn import functional

from stillhouse.plugins.binary import operator
from stillhouse.plugins.binary.compiling import NATIVE, NoKernelError, loaded
from stillhouse.plugins.binary.geometry import Geometry
from stillhouse.plugins.binary.layer import BinaryLayer

LINEAR: Final = (
    (100, 256, 256), (100, 1024, 256), (100, 256, 1024), (100, 768, 768), (100, 3072, 768),
    (1, 768, 768), (32, 64, 64), (32, 96, 192),
)  # fmt: skip
CONVOLUTIONS: Final = ((24, 98, 40), (45, 98, 40), (64, 32, 32), (16, 32, 32))
KERNELS: Final[Mapping[str, Sequence[str] | None]] = {
    "this processor's": NATIVE, "avx2": ("-march=x86-64-v3",), "portable": ("-march=x86-64-v2",),
    "numpy": None,
}  # fmt: skip
Work = Callable[[], Tensor]


def main() -> None:
    made = parser(__doc__ or "", "0", "benchmarks/results/binary_kernel.json")
    made.add_argument("--rounds", type=int, default=7)
    made.add_argument("--repeats", type=int, default=60, help="runs of every way in a round")
    given = arguments(made)
    torch.set_num_threads(1)
    libraries = dict(_libraries())
    rows = [
        measured(*shape, libraries, given)
        for seed in given.seeds
        for shape in (*_linear(seed), *_convolutions(seed))
    ]
    show(
        "Milliseconds of the product of real numbers, and how many times as fast the binary one is",
        ["shape", "real, ms", *libraries],
        [line(row, libraries) for row in rows],
    )
    save(given, {"shapes": rows, "compiled": {k: _name(v) for k, v in libraries.items()}})


def _libraries() -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, architecture in KERNELS.items():
        try:
            found.append((name, None if architecture is None else loaded(architecture)))
        except NoKernelError as error:
            print(f"{name}: {error}")
    return found


def _name(library: Any) -> str:
    return "numpy" if library is None else library.binary_kernel().decode()


def _linear(seed: int) -> list[tuple[str, Geometry, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return [
        (f"{p} x {k} x {o}", Geometry(k, o), torch.randn(p, k, generator=generator))
        for p, k, o in LINEAR
    ]


def _convolutions(seed: int) -> list[tuple[str, Geometry, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    around = ((3, 3), (1, 1), (1, 1, 1, 1), (1, 1))
    return [
        (
            f"3 x 3, {c} channels, {h} x {w}",
            Geometry(c, c, *around),
            torch.randn(1, c, h, w, generator=generator),
        )
        for c, h, w in CONVOLUTIONS
    ]


def measured(
    name: str, geometry: Geometry, x: Tensor, libraries: Mapping[str, Any], given: Any
) -> dict[str, Any]:
    layer = _layer(geometry)
    ways = {"real": _real(geometry, x)}
    ways |= {kernel: _binary(layer, x, library) for kernel, library in libraries.items()}
    with torch.inference_mode():
        expected = layer(x)
        assert all(torch.equal(ways[kernel](), expected) for kernel in libraries), name
        rounds = [_round(ways, given) for _ in range(given.rounds)]
    medians = {way: float(np.median([one[way] for one in rounds])) for way in ways}
    ratios = {way: sorted(one["real"] / one[way] for one in rounds) for way in libraries}
    speed_up = {
        way: {"median": float(np.median(found)), "low": found[0], "high": found[-1]}
        for way, found in ratios.items()
    }
    return {"shape": name, "ms": medians, "speed_up": speed_up}


def _round(ways: Mapping[str, Work], given: Any) -> dict[str, float]:
    """Milliseconds of each way, which take turns."""
    together = {way: work for way, work in ways.items() if way != "numpy"}
    times: dict[str, list[int]] = {way: [] for way in ways}
    for _ in range(given.repeats):
        for way, work in together.items():
            times[way].append(_timed(work))
    if "numpy" in ways:
        times["numpy"].append(_timed(ways["numpy"]))
    return {way: float(np.quantile(taken, 0.1)) / 1e6 for way, taken in times.items()}


def _timed(work: Work) -> int:
    began = time.perf_counter_ns()
    work()
    return time.perf_counter_ns() - began


def _layer(geometry: Geometry) -> BinaryLayer:
    generator = torch.Generator().manual_seed(1)
    latent = torch.randn(geometry.outputs * geometry.entries, generator=generator)
    threshold = torch.zeros(geometry.inputs)
    return BinaryLayer(
        geometry, latent, threshold, torch.zeros(geometry.outputs), 1.25, True
    ).eval()


def _real(geometry: Geometry, x: Tensor) -> Work:
    shape = geometry.outputs, geometry.inputs, *geometry.kernel
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    bias = torch.zeros(geometry.outputs)
    if not geometry.kernel:
        return lambda: functional.linear(x, weight, bias)
    return lambda: functional.conv2d(x, weight, bias, geometry.stride, padding=1)


def _binary(layer: BinaryLayer, x: Tensor, library: Any) -> Work:
    """As a program calls it: what depends on weights alone is worked out beforehand."""
    packed, geometry = layer.deployed(), layer.geometry
    assert packed.scale is not None
    weight = operator.layout(packed.signs, bool(geometry.kernel))
    given = x, packed.threshold, weight, packed.scale.float(), packed.bias, geometry.outputs
    sizes = [list(s) for s in (geometry.kernel, geometry.stride, geometry.padding)]

    def work() -> Tensor:
        operator.kernel = lambda: library
        return operator.product(*given, *sizes, list(geometry.dilation))

    return work


def line(row: Mapping[str, Any], libraries: Mapping[str, Any]) -> list[str]:
    found = [row["speed_up"][way] for way in libraries]
    shown = [f"{one['median']:.2f} ({one['low']:.2f}-{one['high']:.2f})" for one in found]
    return [row["shape"], f"{row['ms']['real']:.3f}", *shown]


if __name__ == "__main__":
    main()
