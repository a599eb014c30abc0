"""Several front ends in one network, of which one runs: a front end that is searched.

Facts: `{"kind": "choice", "use": NAME, "options": {NAME: facts, ...}}`. A subnet has one of them,
and its facts carry the option's name as `option`. Options must give equally many positions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import final

from torch import Tensor, nn

from stillhouse.core.cost.sheet import Cells, Operator
from stillhouse.core.errors import UserError, nearest
from stillhouse.plugins.models.encoder.front_ends import front_end
from stillhouse.plugins.models.encoder.front_ends.contract import ElasticPart, Facts, FrontEnd


def options(facts: Facts) -> dict[str, Facts]:
    """Every front end by name; one that is no choice is the only one."""
    if facts["kind"] != "choice":
        return {chosen(facts): facts}
    return {name: {**own, "option": name} for name, own in facts["options"].items()}


def chosen(facts: Facts) -> str:
    """The name of the front end that runs."""
    if facts["kind"] == "choice":
        return str(facts["use"])
    return str(facts.get("option", facts["kind"]))


@final
class ChosenFrontEnd(nn.Module):
    """All options, of which one runs."""

    def __init__(self, facts: Facts, parts: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.facts, self.use = facts, chosen(facts)
        self.options = nn.ModuleDict(parts)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.options[self.use](x)
        return out


@final
class ElasticChoice(ElasticPart):
    """All options elastic; `choose` one, which is what `extract` gives."""

    def __init__(self, use: str, parts: Mapping[str, ElasticPart]) -> None:
        super().__init__()
        self.use, self.options = use, nn.ModuleDict(parts)

    def choose(self, name: str) -> None:
        """`UserError` for a front end that the network does not have."""
        if name not in self.options:
            known = list(self.options)
            raise UserError(
                f"front_end: expected one of {', '.join(known)}, came {name!r}"
                f"{nearest(name, known)}"
            )
        self.use = name

    def set_active(self, width: int) -> None:
        for part in self.options.values():
            part.set_active(width)  # type: ignore[operator]  # torch types items as modules

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.options[self.use](x)
        return out

    def extract(self) -> nn.Module:
        plain: nn.Module = self.options[self.use].extract()  # type: ignore[operator]
        return plain


@final
class Choice(FrontEnd):
    """See the module."""

    kind = "choice"

    def skeleton(self, facts: Facts, width: int) -> nn.Module:
        parts = {n: front_end(own).skeleton(own, width) for n, own in options(facts).items()}
        return ChosenFrontEnd(facts, parts)

    def elastic(self, plain: nn.Module) -> ElasticPart:
        if not isinstance(plain, ChosenFrontEnd):
            raise TypeError(f"expected a ChosenFrontEnd, came {type(plain).__name__}")
        parts = {
            name: front_end(own).elastic(plain.options[name])
            for name, own in options(plain.facts).items()
        }
        return ElasticChoice(plain.use, parts)

    def positions(self, facts: Facts, input_shape: Sequence[int]) -> int:
        found = {
            name: front_end(own).positions(own, input_shape) for name, own in options(facts).items()
        }
        if len(set(found.values())) > 1:
            said = ", ".join(f"{name} {count}" for name, count in found.items())
            raise UserError(
                f"front_end: expected choices that give equally many positions, inputs of shape "
                f"{list(input_shape)} give {said}; make their windows and steps alike"
            )
        return found[chosen(facts)]

    def rows(
        self, facts: Facts, input_shape: Sequence[int], width: Cells, active: Cells | float
    ) -> Iterator[Operator]:
        """Those of the option that runs: the others are never exported."""
        own = options(facts)[chosen(facts)]
        yield from front_end(own).rows(own, input_shape, width, active)
