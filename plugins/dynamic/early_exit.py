"""Early exit: samples that an inner layer is sure about leave there."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, final

import torch
from torch import nn

from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import (
    Artefact,
    Choice,
    Context,
    Method,
    Policy,
    Rebuild,
    Split,
    State,
    Student,
)
from stillhouse.plugins.dynamic.checking import refuse
from stillhouse.plugins.dynamic.exit_rows import Shape
from stillhouse.plugins.dynamic.forming import Form, form_of, formed, pool_of
from stillhouse.plugins.dynamic.leaving import share_of
from stillhouse.plugins.dynamic.network import EarlyExitNetwork
from stillhouse.plugins.dynamic.rules import Doubts, shares, thresholds, way_of
from stillhouse.plugins.dynamic.sheet import early_exit_sheet
from stillhouse.plugins.dynamic.training import trained

if TYPE_CHECKING:
    from stillhouse.core.space import Columns

NAME: Final = "early-exit"
_BATCH: Final = 256


@final
class EarlyExit(Method):
    """BranchyNet (Teerapittayanon et al. 2016, arXiv:1709.01686) on a network that stays as it is.

    Exits are trained on the training split with the network frozen, so that its own answers stay
    bit for bit. Thresholds are quantiles of what the exits show on the tuning split: how many
    samples leave where, and so what answering costs, is known before anything is trained. A
    network of fewer than two taps has no exits.
    """

    def check(self, state: State, choice: Choice, context: Context) -> None:
        """Raises UserError for tasks, taps, costs and targets that it cannot work with."""
        refuse(self, choice, context)

    def apply(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> State:
        student, params = _student(state), choice.params
        form = form_of(student, params, context)
        if form is None:
            return state
        generator = torch.Generator().manual_seed(context.seed(NAME, "heads"))
        network = formed(copy.deepcopy(student.module), form, generator).eval()
        steps = trained(network, state, params, context)
        share = share_of(student, params, context)
        doubts = {n: _doubts(network, state.data.split(n)) for n in ("tuning", "validation")}
        network.thresholds.copy_(torch.from_numpy(thresholds(doubts["tuning"], share)))
        policy = Policy(NAME, _settings(network, share, doubts))
        changed = replace(_changed(student, network, form), updates=student.updates + steps)
        return replace(state.with_student(changed), policy=policy)

    def skeleton(self, student: Student | None, choice: Choice, context: Context) -> Student | None:
        """Its samples never leave: what is measured of it is the longest way."""
        form = None if student is None else form_of(student, choice.params, context)
        if student is None or form is None:
            return student
        generator = torch.Generator().manual_seed(0)
        network = formed(copy.deepcopy(student.module), form, generator).eval()
        return _changed(student, network, form)

    def rebuild(self, skeleton: nn.Module, record: Mapping[str, Any]) -> nn.Module:
        return formed(skeleton, Form.of(record), torch.Generator().manual_seed(0))

    def sheet(self, sheet: OperatorSheet, columns: Columns, context: Context) -> OperatorSheet:
        shape = Shape(context.task.outputs, pool_of(context))
        return early_exit_sheet(sheet, columns, tuple(context.family.taps(context.full)), shape)

    def effect(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> Any:
        """Choices that come to the same exits and the same share are one."""
        student, params = _student(state), choice.params
        form = form_of(student, params, context)
        if form is None:
            return []
        given = {**vars(params), "exits": 0, "taps": "", "cost": None}
        return [form.record(), {**given, "leave": share_of(student, params, context)}]


def _student(state: State) -> Student:
    if state.student is None:
        raise UserError(f"{NAME}: expected a student to change, got none; put 'supernet' first")
    return state.student


@torch.inference_mode()
def _doubts(network: EarlyExitNetwork, split: Split) -> Doubts:
    """(samples, exits)"""
    parts = [network.doubts(batch.inputs) for batch in split.batches(_BATCH)]
    found: Doubts = torch.cat(parts).float().numpy()
    return found


def _settings(
    network: EarlyExitNetwork, share: float, doubts: Mapping[str, Doubts]
) -> dict[str, Any]:
    """What the policy says of itself, JSON-able."""
    below = network.thresholds.numpy()
    left = {name: shares(way_of(d, below), len(below) + 1) for name, d in doubts.items()}
    return {
        "criterion": network.criterion,
        "exits": list(network.taps),
        "thresholds": [float(value) for value in below],
        "leave": share,
        "left": left,
    }


def _changed(student: Student, network: EarlyExitNetwork, form: Form) -> Student:
    change = Rebuild(NAME, form.record())
    return replace(student, module=network, rebuilds=(*student.rebuilds, change))
