"""The ensemble of teaching assistants as a method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, final

from stillhouse.core.evaluate import Artefact, Choice, Context, Method, State
from stillhouse.plugins.ensemble.cached import prepared
from stillhouse.plugins.ensemble.checks import refuse
from stillhouse.plugins.ensemble.exhibit import exhibited, tuning_loss
from stillhouse.plugins.ensemble.given import digests
from stillhouse.plugins.ensemble.member import TEACHER, members, teachers
from stillhouse.plugins.ensemble.mixture import EnsembleTeacher, Mixing
from stillhouse.plugins.ensemble.term import ENSEMBLE, ensemble_term, named, once, sigmoid
from stillhouse.plugins.ensemble.weighing import Weighed, mixable, weighed

ARMS: Final[Mapping[str, Mapping[str, Any]]] = {
    "uniform": {"weights": "uniform"},
    "best-single": {"weights": "best-single", "include_teacher": False},
    "teacher-alone": {"weights": "teacher-alone"},
    "labels-alone": {"weights": "none"},
}


@final
class TeachingEnsemble(Method):
    """A weighted mixture of teaching assistants, from which the student learns (arXiv:2206.12005).

    Assistants are trained (after TAKD, arXiv:1902.03393, or DGKD, arXiv:2009.08825), drawn from a
    supernet, or given. Their weights are solved on the tuning split, from cached predictions, for
    every choice; a student that learns from them is set beside ones that learn from the uniform
    mixture, the best assistant, the teacher, and labels alone.
    """

    def prepare(self, state: State, params: Any, context: Context) -> Artefact:
        return prepared(state, params, context)

    def sources(self, params: Any) -> Any:
        return digests(params)

    def check(self, state: State, choice: Choice, context: Context) -> None:
        """Raises UserError for what cannot work; see `refuse`."""
        refuse(choice.params, context)

    def apply(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> State:
        """Adds the teacher "ensemble" and the term that learns from it.

        Raises as `weighed` and `ensemble_term` do.
        """
        params = choice.params
        if _idle(params):
            return state
        found = weighed(artefact, choice, context)
        state = state.with_term(ensemble_term(params, found, artefact, context))
        if once(params, context):
            return state
        return replace(
            state,
            teachers={**state.teachers, ENSEMBLE: _mixed(state, params, found, artefact, context)},
        )

    def effect(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> Any:
        params = choice.params
        if _idle(params):
            return None
        return list(named(params, weighed(artefact, choice, context), artefact, context))

    def controls(self, params: Any) -> Mapping[str, Mapping[str, Any]]:
        if not (params.assistants or params.runs or params.predictions):
            return {}
        return {
            role: arm
            for role, arm in ARMS.items()
            if any(getattr(params, name) != value for name, value in arm.items())
        }

    def proxy(
        self, state: State, choice: Choice, artefact: Artefact, context: Context
    ) -> float | None:
        """The mixture's log-loss on the tuning split, negative, whatever weights were found by."""
        if choice.params.weights == "none":
            return None
        return -tuning_loss(artefact, weighed(artefact, choice, context), choice.params.mixing)

    def exhibit(
        self, state: State, choice: Choice, artefact: Artefact, context: Context
    ) -> Mapping[str, Any] | None:
        """Weights, and everybody's scores on tuning and test with intervals.

        Where the student learns from labels or the teacher alone, of the weights that would have
        been found.
        """
        params = choice.params
        if params.weights not in ("none", "teacher-alone"):
            return {**exhibited(state, choice, artefact, context), "unused": _idle(params)}
        searched = replace(params, weights="differential-evolution")
        if not mixable(members(artefact), searched):
            return None
        shown = exhibited(state, replace(choice, params=searched), artefact, context)
        return {**shown, "unused": True}


def _idle(params: Any) -> bool:
    """Whether the student learns nothing from the mixture."""
    return bool(params.weights == "none" or params.weight == 0)


def _mixed(
    state: State, params: Any, found: Weighed, artefact: Artefact, context: Context
) -> EnsembleTeacher:
    """Raises as `EnsembleTeacher` does."""
    everyone = teachers(artefact, state.teachers[TEACHER], context)
    names = [one.name for one in members(artefact)]
    mixing = Mixing(params.mixing, found.temperature, sigmoid(params, context), found.stack)
    models = [everyone[names[k]] for k in found.used]
    return EnsembleTeacher(models, found.weights[found.used].tolist(), mixing, params.temperature)
