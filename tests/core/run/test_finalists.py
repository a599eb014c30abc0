"""Keys of what finalists leave: the recipe as plain data, with the files it names."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, final

from stillhouse.core.evaluate import Choice, Context, Method, State
from stillhouse.core.evaluate.evaluator import BoundStep
from stillhouse.core.evaluate.method import Artefact
from stillhouse.core.plan import Step
from stillhouse.core.plugin import MethodInfo, Params, param
from stillhouse.core.run.finalists import recipe_facts
from stillhouse.core.space import Integer, Space


class Named(Params):
    weight: int = param(low=1, high=9, help="searched, and without a default")
    file: str = param("a.npz", kind="path", help="a file")


INFO = MethodInfo(name="named", summary="names a file", build="x:y", params=Named, changes="data")


@final
class Naming(Method):
    def __init__(self, content: str | None) -> None:
        self.content = content

    def sources(self, params: Params) -> Any:
        assert isinstance(params, Named)
        return None if self.content is None else [params.file, self.content]

    def apply(self, state: State, choice: Choice, artefact: Artefact, context: Context) -> State:
        return state


def facts(content: str | None) -> Any:
    space = Space([Integer("weight", 1, 9)])
    step = Step(INFO, {"file": "a.npz"}, {}, space, None)
    opened: Any = SimpleNamespace(
        plan=SimpleNamespace(space=Space.join({"named": space})),
        steps=(BoundStep(step, Naming(content), "stranger 0.1"),),
    )
    return recipe_facts(opened)


def test_a_recipe_that_names_no_files_is_known_by_its_parameters() -> None:
    assert facts(None) == [["named", "stranger 0.1", {"file": "a.npz"}]]


def test_a_recipe_is_another_when_the_files_it_names_have_other_content() -> None:
    assert facts("hash") == [["named", "stranger 0.1", {"file": "a.npz"}, ["a.npz", "hash"]]]
    assert facts("hash") != facts("other")
