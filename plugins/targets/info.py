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
        help="largest absolute difference from torch's outputs that an export may show",
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


@hookimpl
def stillhouse_targets() -> Iterator[TargetInfo]:
    yield TargetInfo(
        name="onnxruntime-cpu",
        summary="ONNX Runtime on this machine's processor",
        build="stillhouse.plugins.targets.onnxruntime_cpu:OnnxRuntimeCpu",
        params=OnnxRuntimeCpuParams,
    )
