"""The packed product is the product of signs in single precision, bit for bit."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from stillhouse.plugins.binary import compiling, operator
from stillhouse.plugins.binary.compiling import NATIVE, NoKernelError, loaded
from stillhouse.plugins.binary.geometry import Geometry
from stillhouse.plugins.binary.layer import BinaryLayer

Make = Callable[..., BinaryLayer]
X86 = platform.machine() in ("x86_64", "AMD64")
KERNELS = {"native": NATIVE, "plain": ()} | ({"avx2": ("-march=x86-64-v3",)} if X86 else {})
CASES = {
    "rows": (Geometry(70, 33), (3, 9, 70)),
    "one row of whole words": (Geometry(128, 8), (1, 128)),
    "more words than a byte counts": (Geometry(2100, 3), (5, 2100)),
    "1-D": (Geometry(24, 19, (3,), (1,), (1, 1), (1,)), (2, 24, 17)),
    "1-D, strided, dilated": (Geometry(130, 6, (3,), (2,), (2, 2), (2,)), (2, 130, 17)),
    "2-D": (Geometry(24, 24, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1)), (2, 24, 13, 10)),
    "2-D, uneven": (Geometry(65, 7, (3, 2), (2, 1), (0, 1, 1, 1), (1, 1)), (1, 65, 5, 9)),
    "2-D, no border": (Geometry(3, 5, (5, 3), (2, 1), (0, 0, 0, 0), (1, 2)), (3, 3, 11, 9)),
}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One for all tests of a session: compiling takes a second."""
    folder = tmp_path_factory.getbasetemp() / "kernels-home"
    monkeypatch.setenv("STILLHOUSE_HOME", str(folder))
    return folder


@pytest.fixture(params=["numpy", *KERNELS])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    found = None
    if request.param != "numpy":
        try:
            found = loaded(KERNELS[request.param])
        except NoKernelError as error:
            pytest.skip(str(error))
    monkeypatch.setattr(operator, "kernel", lambda: found)
    return found


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[Geometry, Tensor]:
    geometry, shape = CASES[request.param]
    return geometry, torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("scaled", "bias"), [(True, True), (False, False)])
def test_it_equals_the_float_product(
    case: tuple[Geometry, Tensor], kernel: Any, layer: Make, scaled: bool, bias: bool
) -> None:
    geometry, x = case
    one = layer(geometry, scaled, bias)
    with torch.no_grad():
        x.flatten()[::7] = 0.0
        assert torch.equal(one.deployed()(x), one(x))


def test_thresholds_are_met_exactly_and_nan_is_below_them(kernel: Any, layer: Make) -> None:
    one = layer(Geometry(16, 4))
    with torch.no_grad():
        x = one.threshold.repeat(3, 1)
        x[1], x[2] = x[1].nextafter(torch.tensor(-9.0)), torch.nan
        x[0, 5] = torch.inf
        assert torch.equal(one.deployed()(x), one(x))


def test_emulated_elsewhere_it_is_equal_too(case: tuple[Geometry, Tensor], layer: Make) -> None:
    geometry, x = case
    one = layer(geometry)
    packed = one.deployed()
    assert packed.scale is not None
    sizes = geometry.kernel, geometry.stride, geometry.padding, geometry.dilation
    with torch.no_grad():
        weight = operator.layout(packed.signs, bool(geometry.kernel))
        given = x, packed.threshold, weight, packed.scale.float(), packed.bias
        plan = operator._plan(*given, geometry.outputs, *sizes)
        assert torch.equal(operator.emulated(plan, *given, *sizes), one(x))


def test_torch_knows_its_shape_without_running_it(
    case: tuple[Geometry, Tensor], layer: Make
) -> None:
    geometry, x = case
    packed = layer(geometry).deployed()
    expected = packed(x)
    assert packed.to("meta")(x.to("meta")).shape == expected.shape


WRONG = {
    "other channels": {"x": torch.zeros(2, 17)},
    "doubles": {"x": torch.zeros(2, 16, dtype=torch.float64)},
    "fewer thresholds": {"threshold": torch.zeros(3)},
    "more outputs than weights": {"outputs": 4000},
    "fewer scales": {"scale": torch.ones(2)},
    "fewer biases": {"bias": torch.ones(2)},
    "floats for words": {"weight": torch.zeros(1, 1, 8)},
    "a kernel without strides": {"kernel_size": [3]},
    "no outputs": {"outputs": 0},
}


@pytest.mark.parametrize("name", WRONG)
def test_sizes_that_do_not_fit_are_refused_before_memory_is_read(name: str) -> None:
    given: dict[str, Any] = {
        "x": torch.zeros(2, 16), "threshold": torch.zeros(16),
        "weight": torch.zeros(1, 1, 8, dtype=torch.int64), "scale": None, "bias": None,
        "outputs": 8, "kernel_size": [], "stride": [], "padding": [], "dilation": [],
    }  # fmt: skip
    assert operator.product(**given).shape == (2, 8)
    with pytest.raises(ValueError, match="binary product: expected"):
        operator.product(**(given | WRONG[name]))


def test_a_kernel_is_compiled_once_for_a_processor(cache: Path) -> None:
    first = _compiled()
    before = sorted((path, path.stat().st_mtime_ns) for path in cache.rglob("*"))
    assert _compiled().binary_kernel() == first.binary_kernel()
    assert sorted((path, path.stat().st_mtime_ns) for path in cache.rglob("*")) == before


def test_another_processor_has_a_kernel_of_its_own(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _compiled()
    before = set(cache.rglob("*.so"))
    monkeypatch.setattr(compiling, "_processor", lambda: "another")
    _compiled()
    assert len(set(cache.rglob("*.so")) - before) == 1


def test_without_a_compiler_it_says_so_and_runs_in_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling.shutil, "which", lambda name: None)
    compiling.kernel.cache_clear()
    try:
        with pytest.warns(RuntimeWarning, match=r"run in NumPy.*no C compiler is installed"):
            assert compiling.kernel() is None
    finally:
        compiling.kernel.cache_clear()


def _compiled() -> Any:
    try:
        return loaded(NATIVE)
    except NoKernelError as error:
        pytest.skip(str(error))
