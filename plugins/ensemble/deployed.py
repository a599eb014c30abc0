"""The ensemble itself as the student: exported, measured and held to the run's limits."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast, final

import torch
from torch import nn

from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import (
    Artefact,
    Choice,
    Context,
    Method,
    Rebuild,
    State,
    Student,
)
from stillhouse.core.evaluate.skeletons import skeleton as network_of
from stillhouse.core.plugin import Catalogue, declared
from stillhouse.plugins.ensemble.cached import prepared
from stillhouse.plugins.ensemble.checks import refuse
from stillhouse.plugins.ensemble.exhibit import exhibited
from stillhouse.plugins.ensemble.given import digests
from stillhouse.plugins.ensemble.info import EnsembleParams, MixtureParams
from stillhouse.plugins.ensemble.member import Reordered, members, plain, teachers
from stillhouse.plugins.ensemble.parts import Part, listed
from stillhouse.plugins.ensemble.several import SeveralNetworks
from stillhouse.plugins.ensemble.weighing import Weighed, weighed

NAME: Final = "deploy-ensemble"


@final
class DeployedEnsemble(Method):
    """Assistants as in `ensemble`, their weighted mixture as the model that is returned.

    What it costs before it is prepared is that of all models that may be mixed (`only`); models of
    weight 0 are not exported, so that what is measured can only be less.
    """

    def prepare(self, state: State, params: Any, context: Context) -> Artefact:
        return prepared(state, _shared(params), context)

    def sources(self, params: Any) -> Any:
        return digests(_shared(params))

    def check(self, state: State, choice: Choice, context: Context) -> None:
        """Raises UserError for what cannot work; see `refuse`."""
        if context.task.channels:
            raise UserError(
                f"{NAME}: expected a student that sees whole inputs, of which every model takes "
                "its own channels; take student.channels out, or where only the teacher has "
                "channels, add a student without them"
            )
        refuse(_shared(choice.params), context)

    def apply(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> State:
        """Raises as `weighed` does."""
        params = _shared(choice.params)
        found = weighed(artefact, Choice(params), context)
        return state.with_student(_student(artefact, found, params, context))

    def skeleton(self, student: Student | None, choice: Choice, context: Context) -> Student:
        """All the networks that may be mixed, untrained."""
        params = _shared(choice.params)
        known = listed(params, context)
        parts = [known[place] for place in params.only or range(len(known))]
        catalogue = cast("Catalogue", context.catalogue)
        networks = [network_of(part.described, _drawn(), catalogue) for part in parts]
        return _as_student(parts, networks, params, context)

    def rebuild(self, skeleton: nn.Module, record: Mapping[str, Any]) -> nn.Module:
        catalogue = Catalogue.discover()
        parts = [Part.of(one) for one in record["parts"]]
        networks = [network_of(part.described, _drawn(), catalogue) for part in parts]
        return _several(parts, networks, record["mixing"], record["sigmoid"])

    def controls(self, params: Any) -> Mapping[str, Mapping[str, Any]]:
        return {} if params.weights == "uniform" else {"uniform": {"weights": "uniform"}}

    def exhibit(
        self, state: State, choice: Choice, artefact: Artefact, context: Context
    ) -> Mapping[str, Any]:
        shown = exhibited(state, Choice(_shared(choice.params)), artefact, context)
        return {**shown, "method": NAME, "distil_temperature": None, "deployed": True}


def _shared(params: Any) -> EnsembleParams:
    """The parameters as the parts that both methods use take them."""
    return EnsembleParams(
        **{p.name: getattr(params, p.name) for p in declared(MixtureParams)}, weights=params.weights
    )


def _student(artefact: Artefact, found: Weighed, params: Any, context: Context) -> Student:
    """The networks of weight above 0, in their order, with the weights found."""
    everyone, running = members(artefact), teachers(artefact, None, context)
    own = [everyone[place] for place in found.used]
    parts = [Part(one.described or {}, one.channels, one.order) for one in own]
    networks = [copy.deepcopy(plain(running[one.name])) for one in own]
    student = _as_student(parts, networks, params, context, max(one.updates for one in own))
    mixture = cast("SeveralNetworks", student.module)
    mixture.weights.copy_(torch.from_numpy(found.weights[found.used]))
    mixture.temperature.fill_(found.temperature)
    return student


def _as_student(
    parts: Sequence[Part],
    networks: Sequence[nn.Module],
    params: Any,
    context: Context,
    updates: int = 0,
) -> Student:
    """A student of the first network's family, whose form the method changes to that of all.

    `updates` are the most that any of the networks has received, as the networks of one trained
    from scratch would all receive them together.
    """
    record = {
        "parts": [part.record() for part in parts],
        "mixing": params.mixing,
        "sigmoid": context.task.several,
    }
    module = _several(parts, networks, params.mixing, context.task.several)
    first = parts[0].described
    form = (Rebuild(NAME, record),)
    return Student(first["family"], first["structure"], module.eval(), updates, form)


def _several(
    parts: Sequence[Part], networks: Sequence[nn.Module], mixing: str, sigmoid: bool
) -> SeveralNetworks:
    ordered = [
        Reordered(net, part.order) if part.order else net
        for part, net in zip(parts, networks, strict=True)
    ]
    return SeveralNetworks(ordered, [part.channels for part in parts], mixing, sigmoid)


def _drawn() -> torch.Generator:
    return torch.Generator().manual_seed(0)
