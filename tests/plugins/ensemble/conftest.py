"""Tiny networks to mix, their teacher, and data of three classes or labels in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from stillhouse.core.config.teacher import NetworkTraining
from stillhouse.core.evaluate import (
    Artefact,
    Choice,
    Classification,
    Context,
    ModelFamily,
    ModuleTeacher,
    MultiLabel,
    Split,
    State,
    TaskData,
)
from stillhouse.core.evaluate.artefacts import ArtefactStore, fingerprint
from stillhouse.core.evaluate.prediction_folder import write
from stillhouse.core.evaluate.predictions import Origin, Predictions
from stillhouse.core.plugin import Catalogue, declared
from stillhouse.plugins.ensemble.ensemble import TeachingEnsemble
from stillhouse.plugins.ensemble.info import EnsembleParams
from stillhouse.plugins.ensemble.member import Member
from stillhouse.plugins.models.info import KeywordTransformerParams
from stillhouse.plugins.models.keyword_transformer import KeywordTransformerFamily

METHOD = TeachingEnsemble()
SIZES = {"train": 24, "tuning": 30, "validation": 9, "test": 12}
CATALOGUE = Catalogue.discover()


@dataclass(frozen=True)
class Stage:
    """What the method is handed, and where its artefacts lie."""

    context: Context
    state: State
    store: ArtefactStore

    def params(self, **given: Any) -> EnsembleParams:
        return EnsembleParams(**given)

    def prepared(self, context: Context | None = None, **given: Any) -> Artefact:
        """As the evaluator has it: stored, read back, once for the slow parameters."""
        params = self.params(**given)
        slow = {p.name: getattr(params, p.name) for p in declared(EnsembleParams)
                if p.phase == "prepare"}  # fmt: skip
        mine = self.context if context is None else context
        key = fingerprint(slow, mine.root_seed)
        return self.store.memo("ensemble", key, lambda: METHOD.prepare(self.state, params, mine))

    def applied(self, **given: Any) -> State:
        return METHOD.apply(
            self.state, Choice(self.params(**given)), self.prepared(**given), self.context
        )

    def network(self, seed: int, width: int = 8) -> nn.Module:
        shape = KeywordTransformerParams(width=width, depth=1, heads=1, head_dim=4)
        task = self.context.task
        full = self.context.family.structure(shape, task.input_shape, task.outputs)
        return self.context.family.build(full, torch.Generator().manual_seed(seed)).eval()


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def section() -> Callable[..., dict[str, Any]]:
    """A network of a run file's list, every default filled in."""

    def filled(model: str = "keyword-transformer", **given: Any) -> dict[str, Any]:
        tiny = {"width": 8, "depth": 1, "heads": 1, "head_dim": 4}
        own = tiny if model == "keyword-transformer" else {}
        record = CATALOGUE.model(model)
        keys = (*declared(NetworkTraining), *declared(record.params))
        defaults = {key.name: key.default for key in keys}
        return {"model": model, **defaults, "epochs": 2, "batch_size": 8, **own, **given}

    return filled


@pytest.fixture
def staged(tmp_path: Path) -> Callable[..., Stage]:
    """Builds a stage: `noise` of training views, `several` labels, `channels` of the student."""

    def build(
        *, noise: float = 0.0, several: bool = False, channels: tuple[int, ...] = ()
    ) -> Stage:
        place = tmp_path / f"stage-{len([*tmp_path.glob('stage-*')])}"
        place.mkdir()
        generator = torch.Generator().manual_seed(0)
        data = _data(several, generator)
        kind = MultiLabel if several else Classification
        whole = kind("tiny", data, ("a", "b", "c"), noise=noise)
        task = whole.viewed(channels)
        family = KeywordTransformerFamily()
        full = _structure(family, 8, task.input_shape)
        large = _structure(family, 24, whole.input_shape)
        seen = None if task.augments else task.data.train
        teacher = ModuleTeacher(family.build(large, generator), (), {}, seen)
        context = Context(
            task, family, full, root_seed=3, checkpoints=place / "checkpoints",
            catalogue=CATALOGUE,
        )  # fmt: skip
        return Stage(
            context, State({"teacher": teacher}, task.data), ArtefactStore(place / "artefacts")
        )

    return build


@pytest.fixture
def stage(staged: Callable[..., Stage]) -> Stage:
    return staged()


@pytest.fixture
def stored(tmp_path: Path) -> Callable[..., Artefact]:
    """An artefact of models that are only what they say of the tuning split, and their costs."""

    def build(
        said: Sequence[np.ndarray],
        targets: np.ndarray,
        split: Any = "tuning",
        **costs: Sequence[int],
    ) -> Artefact:
        names = ("teacher", *(f"m{k}" for k in range(1, len(said))))
        classes = tuple(f"c{k}" for k in range(said[0].shape[1]))
        origin = Origin((None,) * len(said), tuple(f"sha-{name}" for name in names))
        found = Predictions(
            names, classes, split, np.stack(said).astype(np.float32), targets, origin
        )
        folder = tmp_path / fingerprint(found.digest())
        folder.mkdir(exist_ok=True)
        write(found, folder / "tuning")
        members = [
            Member(
                name,
                "teacher" if name == "teacher" else "trained",
                {},
                **{cost: values[k] for cost, values in costs.items()},
            ).record()
            for k, name in enumerate(names)
        ]
        return Artefact(record={"members": members}, folder=folder)

    return build


@pytest.fixture
def noisy() -> Callable[..., np.ndarray]:
    """Probabilities (samples, classes) that are right to a degree: softmax of noise and truth."""

    def said(targets: np.ndarray, strength: float, seed: int, classes: int = 4) -> np.ndarray:
        rng = np.random.default_rng(seed)
        scores = rng.standard_normal((len(targets), classes))
        scores[np.arange(len(targets)), targets] += strength
        raised = np.exp(scores)
        return np.asarray(raised / raised.sum(1, keepdims=True))

    return said


@pytest.fixture
def saved_run(tmp_path: Path) -> Callable[..., Path]:
    """A finished run's folder with a network, as loading reads it."""

    def write_run(
        network: nn.Module, structure: Mapping[str, Any], name: str = "other", **changes: Any
    ) -> Path:
        best = tmp_path / name / "best"
        best.mkdir(parents=True)
        record = {
            "format": 1, "family": "keyword-transformer", "structure": dict(structure),
            "rebuilds": [], "data": "tiny", "labels": ["a", "b", "c"], "input_shape": [8, 5],
            **changes,
        }  # fmt: skip
        (best / "model.json").write_text(json.dumps(record))
        save_file(network.state_dict(), best / "model.safetensors")
        return tmp_path / name

    return write_run


def _structure(family: ModelFamily, width: int, shape: tuple[int, ...]) -> Mapping[str, Any]:
    return family.structure(
        KeywordTransformerParams(width=width, depth=1, heads=1, head_dim=4), shape, 3
    )


def _data(several: bool, generator: torch.Generator) -> TaskData:
    def split(name: Any, samples: int) -> Split:
        places = torch.arange(samples) % 3
        inputs = torch.randn(samples, 8, 5, generator=generator) + places[:, None, None]
        return Split(name, inputs, _labels(places) if several else places)

    return TaskData(*(split(name, samples) for name, samples in SIZES.items()), sha256="tiny")


def _labels(places: Tensor) -> Tensor:
    """Each sample's own label and, of every other sample, the next."""
    own = torch.nn.functional.one_hot(places, 3)
    return torch.clamp(
        own + own.roll(1, 1) * (torch.arange(len(places)) % 2)[:, None], max=1
    ).float()
