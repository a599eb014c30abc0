"""MNIST-5k: 5,000 handwritten digits, 28 by 28 pixels (LeCun et al. 1998)."""

from __future__ import annotations

import io
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.evaluate import Classification, Task
from stillhouse.plugins.tasks import partition
from stillhouse.plugins.tasks.info import Mnist5kParams
from stillhouse.plugins.tasks.supplied import verified

SHA256: Final = "3bda0c174d57cf522c445d738950e64fd6342234f893587e4a09a138e698fc84"


def build(params: Mnist5kParams) -> Task:
    """2,750 train, 500 tuning, 750 validation and 1,000 test images, digits equally frequent.

    Inputs are (28 rows, 28 columns), standardised. Raises `DataError` when the supplied file is
    missing or altered.
    """
    path = files("stillhouse.plugins.tasks") / "data" / "mnist-5k.npz"
    content = verified(path, SHA256, "the handwritten digits")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        images, targets = arrays["X"], arrays["y"].astype(np.int64)
    parts = partition.exact(range(len(targets)), targets, params.split_seed)
    data = partition.assemble(_standardised(images, parts["train"]), targets, parts)
    return Classification(
        "mnist-5k",
        data,
        tuple("0123456789"),
        shift=params.shift,
        noise=params.noise,
        preparation="28 x 28 grey values, less the mean and over the deviation of all train pixels",
    )


def _standardised(images: NDArray[np.uint8], train: NDArray[np.int64]) -> NDArray[np.float32]:
    known = images[train].astype(np.float64)
    scaled: NDArray[np.float32] = ((images - known.mean()) / known.std()).astype(np.float32)
    return scaled
