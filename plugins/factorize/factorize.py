"""Factorize: layers of less than full rank, as two thin layers each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, final

from torch import nn

from stillhouse.core.cost.sheet import OperatorSheet
from stillhouse.core.distill.statistics import has_statistics, reestimate
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Artefact, Choice, Context, Method, Rebuild, State, Student
from stillhouse.plugins.factorize.checking import refuse
from stillhouse.plugins.factorize.choosing import ranks
from stillhouse.plugins.factorize.factors import Spectrum, cut, factorised, spectral
from stillhouse.plugins.factorize.responses import spectra
from stillhouse.plugins.factorize.sheet import factorised_sheet
from stillhouse.plugins.layers.matrices import sorted_out

if TYPE_CHECKING:
    from stillhouse.core.space import Columns

NAME: Final = "factorize"
KIND: Final = "factorize"
_BATCH: Final = 64


@final
class Factorize(Method):
    """W = U V with r features in between, r(n + m) weights for the n m of n inputs and m outputs.

    A convolution becomes one of the same kernel to r channels and one of kernel 1 (Zhang et al.
    2016, arXiv:1505.06798): one rank, for kernels of every shape and of one dimension or two, and
    the best product is known exactly, also for given inputs. Layers that two thin ones would not
    make smaller stay whole, so that a share of 1 changes nothing. Ranks follow from shapes and
    parameters alone.
    """

    def check(self, state: State, choice: Choice, context: Context) -> None:
        """Raises UserError for a pattern that names no such layer, and for networks that read a
        layer's weights rather than calling it."""
        refuse(self, choice, context)

    def apply(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> State:
        """Inherits the weights: the nearest product, measured on training inputs."""
        student, params = _student(state), choice.params
        found = ranks(student, params, context)
        if not found:
            return state
        of = _spectra(student, found, state, params, context)
        module = factorised(student.module, found, lambda name, _, rank: of[name].factors(rank))
        if params.statistics_samples and has_statistics(module):
            reestimate(
                module,
                state.data.train,
                samples=params.statistics_samples,
                batch_size=_BATCH,
                seed=context.seed(NAME, "statistics"),
            )
        return state.with_student(_changed(student, module, found))

    def skeleton(self, student: Student | None, choice: Choice, context: Context) -> Student | None:
        if student is None:
            return None
        found = ranks(student, choice.params, context)
        if not found:
            return student
        return _changed(student, factorised(student.module, found, cut), found)

    def rebuild(self, skeleton: nn.Module, record: Mapping[str, Any]) -> nn.Module:
        return factorised(skeleton, record["ranks"], spectral)

    def sheet(self, sheet: OperatorSheet, columns: Columns, context: Context) -> OperatorSheet:
        patterns = str(columns["layers"][0]) if sheet.candidates else "*"
        return factorised_sheet(sheet, columns, patterns)

    def effect(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> Any:
        """Shares that come to the same ranks are one choice."""
        params, found = choice.params, ranks(_student(state), choice.params, context)
        return [found, params.samples, params.statistics_samples] if found else []

    def exhibit(
        self, state: State, choice: Choice, artefact: Artefact, context: Context
    ) -> Mapping[str, Any]:
        """Of each layer: rank, full rank, and the share of its answers' energy that is lost."""
        student, params = _student(state), choice.params
        found = ranks(student, params, context)
        of = _spectra(student, found, state, params, context)
        rows = [
            {"name": name, "rank": rank, "full": len(of[name].moment), "lost": of[name].lost(rank)}
            for name, rank in found.items()
        ]
        layers, other = sorted_out(student.module)
        whole = [name for name in layers if name not in found]
        return {"kind": KIND, "method": NAME, "layers": rows, "whole": whole, "refused": other}


def _student(state: State) -> Student:
    if state.student is None:
        raise UserError(f"{NAME}: expected a student to change, got none; put 'supernet' first")
    return state.student


def _spectra(
    student: Student, found: Mapping[str, int], state: State, params: Any, context: Context
) -> dict[str, Spectrum]:
    layers, _ = sorted_out(student.module)
    chosen = {name: layers[name] for name in found}
    seed = context.seed(NAME, "samples")
    return spectra(student.module, chosen, state.data.train, params.samples, seed)


def _changed(student: Student, module: nn.Module, found: Mapping[str, int]) -> Student:
    change = Rebuild(NAME, {"ranks": dict(found)})
    return replace(student, module=module, rebuilds=(*student.rebuilds, change))
