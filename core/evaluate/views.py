"""Views: the channels of a sample that a model sees, out of all that there are."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from stillhouse.core.errors import UserError

if TYPE_CHECKING:
    from stillhouse.core.evaluate.data import Split, TaskData

Channels = tuple[int, ...]
"""Places on the last axis of whole inputs, in the order a model sees them; () for all."""


def chosen(inputs: Tensor, channels: Channels) -> Tensor:
    """Inputs (..., len(channels)) from whole ones (..., all of them); () leaves them alone."""
    if not channels:
        return inputs
    return inputs.index_select(-1, torch.tensor(channels, device=inputs.device))


def said(channels: Sequence[int]) -> str:
    """Channels in words: `0, 1`."""
    return ", ".join(map(str, channels))


def settled(channels: Channels, shape: tuple[int, ...]) -> Channels:
    """The same choice, () where it leaves inputs of a shape (without the batch) as they are.

    Raises `UserError` for channels that are not there, or twice, and inputs without channels:
    tokens and waveforms, which have but one axis.
    """
    if channels and len(shape) < 2:
        raise UserError(
            f"channels: expected inputs with an axis of channels to choose {said(channels)} from, "
            f"the task's inputs have the shape {shape}; take channels out, or use another task"
        )
    count = shape[-1] if channels else 0
    absent = [one for one in channels if not 0 <= one < count]
    if absent:
        raise UserError(
            f"channels: expected numbers from 0 to {count - 1}, as the task's inputs have {count} "
            f"channels, got {said(absent)}; count from 0"
        )
    if len(set(channels)) < len(channels):
        raise UserError(f"channels: expected each channel once, got {said(channels)}; name it once")
    return () if tuple(channels) == tuple(range(count)) else tuple(channels)


def viewed_data(whole: TaskData, channels: Channels) -> TaskData:
    """Unviewed data as a model of these channels sees it; its hash tells the view.

    The whole inputs stay beside those that are seen.
    """

    def seen(split: Split) -> Split:
        return replace(split, inputs=chosen(split.inputs, channels), whole=split.inputs)

    return replace(
        whole,
        train=seen(whole.train),
        tuning=seen(whole.tuning),
        validation=seen(whole.validation),
        test=seen(whole.test),
        sha256=hashlib.sha256(f"{whole.sha256} channels {said(channels)}".encode()).hexdigest(),
    )
