"""What the parts stand on: a seed's data and teacher, its supernets, and networks trained alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast, final

import torch
from torch import Tensor, nn

from stillhouse.core.atomic import write_atomically
from stillhouse.core.distill.scratch import train_from_scratch
from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.training import fit
from stillhouse.core.evaluate import (
    Artefact,
    Choice,
    Context,
    Method,
    ModelFamily,
    ModuleTeacher,
    Observation,
    State,
    Student,
    Task,
    Teacher,
)
from stillhouse.core.evaluate.artefacts import ArtefactStore, fingerprint
from stillhouse.core.evaluate.evaluator import predict
from stillhouse.core.evaluate.state import Structure
from stillhouse.core.plugin import Catalogue
from stillhouse.core.space import Space, load_space
from supernets.sizes import SHIPPED, Sizes

FAMILY = "keyword-transformer"
SPLITS = ("validation", "test")
_TASK = {"frames": 24}
_SOFT = {"temperature": 4.0}
_TEACHER = {"width": 64, "depth": 4, "heads": 4, "ffn_ratio": 2.0}

Scores = Mapping[str, Mapping[str, float]]
"""Metrics by name, by split."""


@final
class Remembered(Teacher):
    """A teacher's logits kept by input: many networks of a seed learn from the same views."""

    def __init__(self, teacher: Teacher) -> None:
        self.taps, self.widths = teacher.taps, teacher.widths
        self._teacher, self._kept = teacher, dict[bytes, Observation]()

    def observe(self, inputs: Tensor, taps: tuple[str, ...] = ()) -> Observation:
        if taps:
            return self._teacher.observe(inputs, taps)
        key = hashlib.blake2b(inputs.contiguous().numpy().data, digest_size=16).digest()
        if key not in self._kept:
            self._kept[key] = self._teacher.observe(inputs)
        return self._kept[key]


@dataclass(frozen=True, eq=False)
class Supernet:
    """A trained supernet: its method's parameters and what `prepare` left."""

    method: Method
    params: Any
    artefact: Artefact
    context: Context
    state: State

    @property
    def updates(self) -> int:
        return int(self.artefact.record["updates"])

    @property
    def settings(self) -> TrainSettings:
        """Those of stage 2."""
        return TrainSettings(**self.artefact.record["settings"])

    def student(self, genes: Mapping[str, Any]) -> Student:
        """The subnet with inherited weights, as the search gets it."""
        choice = Choice(self.params, genes)
        student = self.method.apply(self.state, choice, self.artefact, self.context).student
        assert student is not None
        return student


@dataclass(frozen=True, eq=False)
class Ground:
    """One seed: its split of the data, its teacher and the soft labels to learn from."""

    seed: int
    sizes: Sizes
    catalogue: Catalogue
    context: Context
    folder: Path

    @staticmethod
    def of(seed: int, sizes: Sizes, folder: Path) -> Ground:
        """Trains nothing yet; networks are kept below `folder` by all that decides them."""
        catalogue = Catalogue.discover()
        record = catalogue.task("spoken-digits")
        task = cast(Task, _called(catalogue, record, {"split_seed": seed, **_TASK}))
        model = catalogue.model(FAMILY)
        family = cast("type[ModelFamily]", catalogue.resolve(model))()
        full = family.structure(model.params(**_TEACHER), task.input_shape, task.outputs)
        context = Context(task=task, family=family, full=full, root_seed=seed)
        return Ground(seed, sizes, catalogue, context, folder / f"seed-{seed}")

    @cached_property
    def store(self) -> ArtefactStore:
        return ArtefactStore(self.folder)

    def cell(
        self, name: str, reads: Sequence[str], make: Callable[[Ground], dict[str, Any]]
    ) -> dict[str, Any]:
        """A part's cell: read if it was found with the sizes that it `reads`, else written."""
        sizes = {size: getattr(self.sizes, size) for size in reads}
        path = self.folder / f"{name}-{fingerprint(sizes)[:8]}.json"
        if not path.is_file():
            found = make(self)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, json.dumps(found, indent=1, allow_nan=False))
        kept: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return kept

    @property
    def task(self) -> Task:
        return self.context.task

    @property
    def family(self) -> ModelFamily:
        return self.context.family

    @cached_property
    def shipped(self) -> Space:
        """The space that comes with stillhouse for networks of this size."""
        return load_space(self.catalogue.space_text(self.catalogue.space(SHIPPED)), SHIPPED)

    @cached_property
    def teacher(self) -> nn.Module:
        """The example run's teacher, trained once and frozen."""
        settings = TrainSettings(epochs=self.sizes.teacher_epochs)
        module = self.fresh(self.context.full, "teacher")
        artefact = self._kept(
            "teacher",
            (asdict(settings),),
            lambda: Artefact(self._fitted(module, settings)),
        )
        module.load_state_dict(dict(artefact.tensors))
        return module.eval()

    @cached_property
    def state(self) -> State:
        """The data, the teacher, and soft labels as the only term beside the task's loss."""
        widths = self.family.taps(self.context.full)
        teacher = Remembered(ModuleTeacher(self.teacher, tuple(widths), widths))
        initial = State({"teacher": teacher}, self.task.data)
        record = self.catalogue.method("soft-labels")
        method = cast("type[Method]", self.catalogue.resolve(record))()
        choice = Choice(record.params(**_SOFT))
        return method.apply(initial, choice, Artefact(), self.context)

    def supernet(self, space: Space, given: Mapping[str, Any]) -> Supernet:
        """Trained with these parameters of the method `supernet`, or read if that was done."""
        record = self.catalogue.method("supernet")
        method = cast("type[Method]", self.catalogue.resolve(record))()
        params = record.params(space="benchmark", **given)
        context = replace(self.context, spaces={record.name: space})
        facts = (repr(space.dimensions), dict(given), self.sizes.teacher_epochs)
        artefact = self._kept(
            "supernet", facts, lambda: method.prepare(self.state, params, context)
        )
        return Supernet(method, params, artefact, context, self.state)

    def alone(
        self, structure: Structure, updates: int, settings: TrainSettings, label: str
    ) -> Student:
        """A fresh network trained alone, with the same teacher and terms, for so many updates."""
        fresh = Student(self.family.name, structure, self.fresh(structure, label))
        return train_from_scratch(fresh, updates, self.state, self.context, settings, label)

    def fresh(self, structure: Structure, label: str) -> nn.Module:
        seed = self.context.seed(label, "weights")
        return self.family.build(structure, torch.Generator().manual_seed(seed))

    def scores(self, student: Student | nn.Module) -> Scores:
        """Every metric on the validation and on the test split."""
        parts = {name: self.task.data.split(name) for name in SPLITS}  # type: ignore[arg-type]
        return {n: dict(self.task.score(predict(student, s), s.targets)) for n, s in parts.items()}

    def _fitted(self, module: nn.Module, settings: TrainSettings) -> Mapping[str, Tensor]:
        state, full = State({}, self.task.data), self.context.full
        fit(
            module,
            structure=full,
            state=state,
            settings=settings,
            context=self.context,
            label="teacher",
        )
        return module.state_dict()

    def _kept(self, label: str, facts: tuple[Any, ...], make: Any) -> Artefact:
        return self.store.memo(label, fingerprint(self.seed, _TASK, _TEACHER, _SOFT, *facts), make)


def _called(catalogue: Catalogue, record: Any, given: Mapping[str, Any]) -> object:
    build = cast(Any, catalogue.resolve(record))
    return build(record.params(**given))
