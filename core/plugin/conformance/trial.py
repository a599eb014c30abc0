"""A method tried out in a recipe, twice from the same seed, watched at every call."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from stillhouse.core.config.runfile import parse
from stillhouse.core.evaluate import Artefact, Choice, Context, Silent, State, Student
from stillhouse.core.evaluate.artefacts import ArtefactStore
from stillhouse.core.evaluate.evaluator import BoundStep, returned
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin.catalogue import Catalogue
from stillhouse.core.plugin.conformance.check import Setup, UnmetError
from stillhouse.core.plugin.conformance.runs import run_text
from stillhouse.core.plugin.conformance.snapshots import seeded, unchanged, unmoved
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.opened import Opened, open_run
from stillhouse.core.run.teaching import initial_state

_MOST = 3


@dataclass(frozen=True, eq=False)
class Tried:
    """One realisation: the state given to the method, what it returned, the end of the recipe."""

    given: State
    choice: Choice
    artefact: Artefact
    returned: State
    last: State
    broken: Sequence[UnmetError]
    """What the method moved or changed that it must not."""


@final
class Trial:
    """Opens once, in a temporary folder, a run of a recipe with the method in it."""

    def __init__(self, name: str, setup: Setup, catalogue: Catalogue) -> None:
        self.name, self.setup, self.catalogue = name, setup, catalogue
        self.folder = Path(tempfile.mkdtemp(prefix="stillhouse-conformance-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    @cached_property
    def opened(self) -> Opened:
        text = run_text("method", self.name, self.setup, self.catalogue)
        run = parse(text, str(self.folder / "conformance.yaml"), self.catalogue)
        directory = RunDirectory.create(self.folder / "run", run.to_yaml())
        threads = torch.get_num_threads()
        try:
            opened = open_run(make_plan(run, self.catalogue), self.catalogue, directory, Silent())
        finally:
            torch.set_num_threads(threads)
        return opened

    @cached_property
    def place(self) -> int:
        """Where in the recipe the method stands."""
        return [bound.step.name for bound in self.opened.steps].index(self.name)

    @property
    def bound(self) -> BoundStep:
        return self.opened.steps[self.place]

    @cached_property
    def configurations(self) -> list[Mapping[str, Any]]:
        """A few of the recipe's search space; the first is its largest corner."""
        space = self.opened.plan.space
        drawn = space.sample(_MOST, np.random.default_rng(0))
        codes = space.unique(np.concatenate([space.corners()[-1:], drawn]))[:_MOST]
        return [space.decode(row) for row in codes]

    def context(self, bound: BoundStep, label: str) -> Context:
        """As the engine hands it on; nothing is read or written outside the trial's folder."""
        checkpoints = self.folder / label / f"checkpoints-{bound.step.name}"
        shared = self.folder / label / "shared"
        context = replace(self.opened.context, checkpoints=checkpoints, shared=shared)
        return bound.context(context)

    @cached_property
    def initial(self) -> State:
        """A teacher that nothing has trained, and the task in memory."""
        family, full = self.opened.teacher_family, self.opened.teacher_full
        module = family.build(full, torch.Generator().manual_seed(7)).eval()
        return initial_state(self.opened, Student(family.name, full, module))

    @cached_property
    def first(self) -> Tried:
        return self._realised("first", 1)

    @cached_property
    def second(self) -> Tried:
        """The same once more: other folders, other states of the global generators."""
        return self._realised("second", 2)

    def _realised(self, label: str, seed: int) -> Tried:
        broken: list[UnmetError] = []
        state = self.initial
        with seeded(seed):
            for place, bound in enumerate(self.opened.steps):
                given = state
                choice = bound.choice(self.configurations[0])
                watched = broken if place == self.place else []
                artefact = self._prepared(bound, given, choice, label, watched)
                context = self.context(bound, label)
                with _Noting(watched, given, "apply"):
                    state = returned(bound.method.apply(given, choice, artefact, context), State)
                if place == self.place:
                    own = given, choice, artefact, state
        return Tried(*own, last=state, broken=broken)

    def _prepared(
        self, bound: BoundStep, state: State, choice: Choice, label: str, watched: list[UnmetError]
    ) -> Artefact:
        context = self.context(bound, label)

        def make() -> Artefact:
            with _Noting(watched, state, "prepare"):
                return returned(bound.method.prepare(state, choice.params, context), Artefact)

        return self.stored(bound, label, make)

    def stored(self, bound: BoundStep, label: str, make: Callable[[], Artefact]) -> Artefact:
        """What `prepare` leaves, by way of the disk, as in a run."""
        if not bound.step.info.prepares:
            return Artefact()
        store = ArtefactStore(self.folder / label / "artefacts")
        return store.memo(bound.step.name, "conformance", make)


@final
class _Noting:
    """Notes what a call moved or changed, and lets the recipe go on."""

    def __init__(self, noted: list[UnmetError], state: State, half: str) -> None:
        self._noted = noted
        self._watches = unmoved(half), unchanged(state, half)

    def __enter__(self) -> None:
        for watch in self._watches:
            watch.__enter__()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if error is not None:
            return
        for watch in self._watches:
            try:
                watch.__exit__(None, None, None)
            except UnmetError as unmet:
                self._noted.append(unmet)
