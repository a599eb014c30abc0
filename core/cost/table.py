"""A table of costs that are computed when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import final

from stillhouse.core.cost.sheet import Cells

Formula = Callable[[], Cells]


@final
class CostTable(Mapping[str, Cells]):
    """Costs by name, each computed when it is first asked for.

    Iteration goes over the `listed` names alone; further ones are there for who asks.
    """

    def __init__(self, formulas: Mapping[str, Formula], listed: Iterable[str]) -> None:
        self._formulas, self._known = formulas, dict[str, Cells]()
        self._listed = tuple(name for name in dict.fromkeys(listed) if name in formulas)

    def __getitem__(self, name: str) -> Cells:
        if name not in self._known:
            self._known[name] = self._formulas[name]()
        return self._known[name]

    def __contains__(self, name: object) -> bool:
        return name in self._formulas

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed)

    def __len__(self) -> int:
        return len(self._listed)
