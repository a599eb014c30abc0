"""Spoken digits: the Free Spoken Digit Dataset as 13 MFCC a frame (CC BY-SA 4.0)."""

from __future__ import annotations

import io
from importlib.resources import files
from typing import Final

import numpy as np

from stillhouse.core.evaluate import Classification, Task
from stillhouse.plugins.tasks import partition
from stillhouse.plugins.tasks.clips import Clips
from stillhouse.plugins.tasks.info import SpokenDigitsParams
from stillhouse.plugins.tasks.supplied import verified

SHA256: Final = "27a701a4462e2b0b19bfed87d51a937b24f9f1413c8cdcdb99160e23d26349fa"
LABELS: Final = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
)  # fmt: skip


def build(params: SpokenDigitsParams) -> Task:
    """1,650 train, 300 tuning, 450 validation and 600 test clips, digits equally frequent.

    Speakers occur in every split: the file does not say who speaks. Raises `DataError` when the
    supplied file is missing or altered.
    """
    path = files("stillhouse.plugins.tasks") / "data" / "fsdd-mfcc.npz"
    content = verified(path, SHA256, "the spoken digits")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        clips, targets = Clips(arrays["X"], arrays["lengths"]), arrays["y"]
    parts = partition.exact(range(len(targets)), targets, params.split_seed)
    inputs = clips.standardised(parts["train"]).fitted(params.frames)
    data = partition.assemble(inputs, targets, parts)
    return Classification(
        "spoken-digits", data, LABELS, shift=params.shift, noise=params.noise, mask=params.mask
    )
