"""Methods by strangers: written to a folder, found through the catalogue, used in a plan."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from stillhouse.core.config.runfile import parse
from stillhouse.core.evaluate import (
    Classification,
    Context,
    ModelFamily,
    ModuleTeacher,
    Split,
    State,
    TaskData,
)
from stillhouse.core.evaluate.artefacts import ArtefactStore
from stillhouse.core.evaluate.evaluator import BoundStep, Evaluator
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue, Provenance

INFO = """
from stillhouse.core.plugin import MethodInfo, Params, hookimpl, param

class WidenParams(Params):
    slow: int = param(1, low=1, high=9, help="read by prepare")
    fast: int = param(1, low=1, high=9, phase="apply", help="read by apply")

@hookimpl
def stillhouse_methods():
    yield MethodInfo(
        name="foreign", summary="A method by a stranger", build="foreign_code:Foreign",
        params=WidenParams, changes="student", leaves=frozenset({"student"}), prepares=True,
    )
"""
RUN = """
task: npz
teacher: {model: keyword-transformer, width: 16, depth: 1, heads: 1}
recipe: [foreign: {slow: SLOW, fast: FAST}]
search: {maximize: accuracy}
target: {runtime: onnxruntime-cpu}
"""
Build = Callable[..., Evaluator]


def tiny_data() -> TaskData:
    generator = torch.Generator().manual_seed(0)

    def split(name: str, samples: int) -> Split:
        inputs = torch.randn(samples, 4, 3, generator=generator)
        return Split(name, inputs, torch.arange(samples) % 2)  # type: ignore[arg-type]

    names = ("train", "tuning", "validation", "test")
    return TaskData(*(split(name, 6) for name in names), sha256="tiny")


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """Builds an evaluator whose recipe is one method with the given code."""

    def build(code: str, slow: str = "1", fast: str = "1") -> Evaluator:
        (tmp_path / "foreign_code.py").write_text(textwrap.dedent(code))
        (tmp_path / "foreign_info.py").write_text(INFO)
        monkeypatch.syspath_prepend(tmp_path)
        for module in ("foreign_code", "foreign_info"):
            monkeypatch.delitem(sys.modules, module, raising=False)
        source = Provenance("stranger", "0.3", "foreign")
        extra = [("method", "foreign", str(tmp_path / "foreign_info.py"), source)]
        catalogue = Catalogue.discover(extra=extra)  # type: ignore[arg-type]
        text = RUN.replace("SLOW", slow).replace("FAST", fast)
        text = text.replace("task: npz", "task: {npz: {path: x.npz}}")
        plan = make_plan(parse(text, "run.yaml", catalogue), catalogue)
        return evaluator(plan, catalogue, tmp_path)

    return build


def evaluator(plan, catalogue, tmp_path) -> Evaluator:  # type: ignore[no-untyped-def]
    data = tiny_data()
    task = Classification("tiny", data, ("a", "b"))
    model = catalogue.model("keyword-transformer")
    family: ModelFamily = catalogue.resolve(model)()
    full = family.structure(model.params(width=16, depth=1, heads=1), (4, 3), 2)
    module = family.build(full, torch.Generator().manual_seed(0))
    state = State({"teacher": ModuleTeacher(module, (), {})}, data)
    (step,) = plan.steps
    bound = BoundStep(step, catalogue.resolve(step.info)(), "stranger 0.3")
    context = Context(task=task, family=family, full=full)
    return Evaluator([bound], state, context, ArtefactStore(tmp_path / "store"), "origin")


class Race:
    """Processes forked from a test, and files by which they tell how far they are."""

    @staticmethod
    def forked(work: Callable[[], object]) -> int:
        """The process id of a child that does the work and exits with 0, or with 1 if it raises."""
        child = os.fork()
        if child:
            return child
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)

    @staticmethod
    def ended(child: int) -> int:
        """A child's exit code; the negative signal where one ended it."""
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    @staticmethod
    def until(condition: Callable[[], bool]) -> None:
        """Wait for a condition; AssertionError when it takes too long."""
        end = time.monotonic() + 20.0
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.005)

    @staticmethod
    def noted(path: Path, text: str = "x") -> None:
        """Add a line to a file that several processes write."""
        with path.open("a") as file:
            file.write(f"{text}\n")

    @staticmethod
    def lines(path: Path) -> list[str]:
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def race() -> Race:
    return Race()
