"""A supernet with the functions that users of this field know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
import torch
from torch import nn

from stillhouse.core.elastic.graph.rigid import Rigid
from stillhouse.core.elastic.initial import redraw_weights
from stillhouse.core.errors import UserError, nearest
from stillhouse.core.evaluate.family import ElasticModule
from stillhouse.core.space import Space


@final
class Supernet(ElasticModule):
    """An elastic network (`twin`), the space of its subnets, and what no gene of it changes.

    The interface of once-for-all (Cai et al. 2020, the released code) and HAT: configurations are
    drawn and set, subnets taken out. What `forward` takes and gives is the network's own. `full`
    uses every weight, and need not lie in the space.
    """

    def __init__(self, twin: ElasticModule, space: Space, rigid: Sequence[Rigid]) -> None:
        super().__init__()
        self.twin, self.space, self.rigid = twin, space, tuple(rigid)
        self.full = twin.full

    def forward(self, *args: Any, **named: Any) -> Any:
        return self.twin(*args, **named)

    def set_active(self, configuration: Mapping[str, Any]) -> None:
        """Any configuration within the weights, in the space or not; `UserError` beyond them."""
        self.twin.set_active(configuration)

    def active(self) -> Mapping[str, Any]:
        return self.twin.active()

    def extract(self) -> nn.Module:
        return self.twin.extract()

    def structure(self, configuration: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.twin.structure(configuration)

    def sample_active_subnet(self, rng: np.random.Generator) -> dict[str, Any]:
        """Draw a configuration evenly over the space, set it and return it."""
        configuration = self.random(rng)
        self.set_active(configuration)
        return configuration

    def set_active_subnet(self, **configuration: Any) -> dict[str, Any]:
        """Set a configuration of the space and return it whole; absent genes take the largest's.

        A gene of every layer may be given as one value. Raises `UserError` outside the space,
        naming the gene, and leaves the active subnet as it was.
        """
        whole = self._whole(configuration)
        self.set_active(whole)
        return whole

    def get_active_subnet(
        self, preserve_weight: bool = True, generator: torch.Generator | None = None
    ) -> nn.Module:
        """The active subnet as a plain network with copied weights.

        Without `preserve_weight` they are fresh, drawn from `generator` (seed 0 unless given).
        """
        plain = self.extract()
        if not preserve_weight:
            redraw_weights(plain, generator or torch.Generator().manual_seed(0))
        return plain

    def largest(self) -> dict[str, Any]:
        """The configuration of every gene's last choice."""
        return self.space.decode(self.space.corners()[2])

    def smallest(self) -> dict[str, Any]:
        """The configuration of every gene's first choice."""
        return self.space.decode(self.space.corners()[0])

    def random(self, rng: np.random.Generator) -> dict[str, Any]:
        """A configuration drawn evenly over the space."""
        return self.space.decode(self.space.sample(1, rng)[0])

    def report(self) -> str:
        """The genes with their choices, then each part left rigid and why, a line each."""
        lines = [f"{self.space.size():,} subnets"]
        for dimension in self.space.dimensions:
            per = f" for each of {dimension.per}" if dimension.per else ""
            lines.append(f"  {dimension.name}{per}: {dimension.expected}")
        lines.append(f"{len(self.rigid)} parts left rigid")
        return "\n".join([*lines, *(f"  {one}" for one in self.rigid)])

    def print_rigid(self) -> None:
        """Print each part left rigid and why."""
        for one in self.rigid:
            print(one)

    def _whole(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """A canonical configuration of the space from some of its genes."""
        for name in given:
            if name not in self.space.names:
                raise UserError(f"the space has no gene '{name}'{nearest(name, self.space.names)}")
        whole = {**self.largest(), **given}
        for dimension in self.space.dimensions:
            name, value = dimension.name, whole.get(dimension.name)
            if dimension.when and whole.get(dimension.when[0]) not in dimension.when[1]:
                if name not in given:
                    whole.pop(name, None)
            elif dimension.per and value is not None:
                whole[name] = _layers(value, whole[dimension.per], given=name in given)
        return self.space.decode(self.space.encode(whole))


def _layers(value: Any, depth: Any, *, given: bool) -> Any:
    """A value for each layer; what the user did not give is cut to the depth."""
    if not isinstance(value, (list, tuple)):
        return [value] * int(depth)
    return list(value) if given else list(value[: int(depth)])
