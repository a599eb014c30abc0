"""Graphs that take their random weights from one shared file: a folder of them stays small.

Latency does not depend on the values, so networks measured elsewhere need not carry weights of
their own. ONNX lets a tensor name a file, an offset and a length; each graph here reads other
parts of the same file of random numbers, no two of its own tensors the same part.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, external_data_helper

from stillhouse.core.atomic import write_atomically

_ALIGNMENT: Final = 4096
"""Runtimes map parts of the file into memory by whole pages."""
_LEAST_BYTES: Final = 1024
_SCALE: Final = 0.05
"""Deviation of the numbers: products of them neither vanish nor overflow in a few dozen layers."""


def pool_weights(paths: Sequence[Path], pool: Path, seed: int = 0) -> None:
    """Rewrite ONNX files so that their matrices lie in `pool`, a file of the same folder.

    A pool that is there already grows where it has to.

    Only single-precision tensors of two dimensions or more move: anything smaller may be a bias, a
    variance or a shape, whose values matter.
    """
    if any(path.parent != pool.parent for path in paths):
        raise ValueError(f"expected every artefact beside {pool}")
    most = max((_pooled(path, pool.name) for path in paths), default=0)
    if most > (pool.stat().st_size if pool.exists() else -1):
        numbers = np.random.default_rng(seed).standard_normal(most // 4, np.float32)
        write_atomically(pool, (_SCALE * numbers).tobytes())


def _pooled(path: Path, pool: str) -> int:
    """Rewrite one file; how many bytes of the pool it reads."""
    model = onnx.load(path)
    used = 0
    for tensor in _matrices(model.graph.initializer):
        size = len(tensor.raw_data)
        external_data_helper.set_external_data(tensor, pool, used, size)
        tensor.ClearField("raw_data")
        used += -(-size // _ALIGNMENT) * _ALIGNMENT
    write_atomically(path, model.SerializeToString(deterministic=True))
    return used


def _matrices(tensors: Iterable[TensorProto]) -> Iterable[TensorProto]:
    for tensor in tensors:
        matrix = tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1
        if matrix and len(tensor.raw_data) >= _LEAST_BYTES:
            yield tensor
