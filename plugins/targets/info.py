"""The built-in targets, described without importing a runtime."""

from __future__ import annotations

from collections.abc import Iterator

from stillhouse.core.plugin import Params, TargetInfo, hookimpl, param


class OnnxRuntimeCpuParams(Params):
    """Run-file parameters of `onnxruntime-cpu`."""

    batch: int = param(1, low=1, high=1024, searchable=False, help="samples per inference")
    threads: int = param(
        1, low=1, high=256, searchable=False, help="threads an operator may use, at most the cores"
    )
    tolerance: float = param(
        1e-4,
        low=0,
        searchable=False,
        help="largest difference from torch's outputs that an export may show, relative to the "
        "largest output where that is above 1",
    )
    exporter: str = param(
        "auto",
        choices=("auto", "torchscript", "dynamo"),
        searchable=False,
        help="how torch writes the graph; auto is torchscript, or dynamo where that fails",
    )
    opset: int = param(
        23,
        low=18,
        high=23,
        searchable=False,
        help="ONNX operator set of the file; attention is fused from 23, Gelu from 20",
    )
    affinity: str = param(
        "none",
        choices=("none", "pinned"),
        searchable=False,
        help="bind the measuring process to as many cores as threads, the last ones, or to none",
    )
    patience_s: float = param(
        20.0,
        low=0,
        high=3600,
        searchable=False,
        help="seconds that a measurement may wait for a busy or throttled machine to calm down",
    )


class TorchCpuParams(Params):
    """Run-file parameters of `torch-cpu`."""

    batch: int = param(1, low=1, high=1024, searchable=False, help="samples per inference")
    threads: int = param(
        1, low=1, high=256, searchable=False, help="threads an operator may use, at most the cores"
    )
    mode: str = param(
        "eager",
        choices=("eager", "compile"),
        searchable=False,
        help="operator by operator, or torch.compile, which takes seconds to a minute a network",
    )
    tolerance: float = param(
        1e-4,
        low=0,
        searchable=False,
        help="largest difference from torch's outputs that an export may show, relative to the "
        "largest output where that is above 1",
    )
    patience_s: float = param(
        20.0,
        low=0,
        high=3600,
        searchable=False,
        help="seconds that a measurement may wait for a busy or throttled machine to calm down",
    )


class TorchCudaParams(Params):
    """Run-file parameters of `torch-cuda`."""

    batch: int = param(1, low=1, high=65536, searchable=False, help="samples per inference")
    gpu: int = param(0, low=0, searchable=False, help="number of the CUDA device")
    precision: str = param(
        "float32",
        choices=("float32", "bfloat16"),
        searchable=False,
        help="arithmetic: single precision, or autocast to bfloat16 (weights are stored in single)",
    )
    mode: str = param(
        "eager",
        choices=("eager", "compile"),
        searchable=False,
        help="operator by operator, or torch.compile, which takes seconds to a minute a network",
    )
    tolerance: float | None = param(
        None,
        low=0,
        searchable=False,
        help="largest absolute difference from torch's outputs on the CPU that an export may "
        "show (1e-3, in bfloat16 0.1)",
    )
    patience_s: float = param(
        20.0,
        low=0,
        high=3600,
        searchable=False,
        help="seconds that a measurement may wait for a busy or throttled machine to calm down",
    )


@hookimpl
def stillhouse_targets() -> Iterator[TargetInfo]:
    yield TargetInfo(
        name="onnxruntime-cpu",
        summary="ONNX Runtime on this machine's processor",
        build="stillhouse.plugins.targets.onnxruntime_cpu:OnnxRuntimeCpu",
        params=OnnxRuntimeCpuParams,
    )
    yield TargetInfo(
        name="torch-cpu",
        summary="torch on this machine's processor, eager or compiled",
        build="stillhouse.plugins.targets.torch_cpu:torch_cpu",
        params=TorchCpuParams,
    )
    yield TargetInfo(
        name="torch-cuda",
        summary="torch on an NVIDIA graphics card, eager or compiled",
        build="stillhouse.plugins.targets.torch_cuda:torch_cuda",
        params=TorchCudaParams,
    )
