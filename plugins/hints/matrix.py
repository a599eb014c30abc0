"""The layer-by-layer matrix of a teacher: computed once, whatever student it is for."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch

from stillhouse.core.distill.checkpoint import fingerprint as weights_of
from stillhouse.core.errors import PluginError, StillhouseError, UserError
from stillhouse.core.evaluate import Artefact, Context, ModuleTeacher, State, Teacher
from stillhouse.core.evaluate.artefacts import ArtefactStore, fingerprint
from stillhouse.core.plugin import Catalogue
from stillhouse.core.similarity import Layers, Similarity, combined, observe, similarity_matrix

TEACHER = "teacher"


def matrices(state: State, names: list[str], samples: int, context: Context) -> Artefact:
    """Similarities by name, (layers, layers) each, and the `distance` that clusters are made by.

    Of several similarities the distance is the mean of ranks. Matrices of a teacher that is one
    network are kept where every run finds them, by its weights, the data and the similarity.

    Raises:
        UserError: the run has no teacher, or its features do not do for a similarity.
    """
    source = _Source(state, samples, context)
    found = {name: source.matrix(name) for name in dict.fromkeys(names)}
    distances = [1 - one for one in found.values()]
    distance = distances[0] if len(distances) == 1 else combined(list(found.values()))
    np.fill_diagonal(distance, 0.0)
    tensors = {name: torch.from_numpy(one.copy()) for name, one in found.items()}
    tensors["distance"] = torch.from_numpy(distance)
    return Artefact(tensors, source.record() | {"similarities": list(found)})


class _Source:
    """A teacher's layers, observed when a similarity is not known yet."""

    def __init__(self, state: State, samples: int, context: Context) -> None:
        teacher = state.teachers.get(TEACHER)
        if teacher is None:
            raise UserError(f"hints: expected a teacher named '{TEACHER}', the run has none")
        self.teacher: Teacher = teacher
        self._split, self._samples = state.data.train, min(samples, len(state.data.train))
        self._data, self._context = state.data.sha256, context
        self._layers: Layers | None = None

    def record(self) -> dict[str, object]:
        own = self.teacher.channels if isinstance(self.teacher, ModuleTeacher) else ()
        view = {"channels": list(own)} if own else {}
        layers = list(self.teacher.taps)
        return {"samples": self._samples, "data": self._data, "layers": layers, **view}

    def matrix(self, name: str) -> np.ndarray:
        shared = self._context.shared
        if shared is None or not isinstance(self.teacher, ModuleTeacher):
            return self._computed(name)
        store = ArtefactStore(shared / "similarities")
        supplier = str(catalogue_of(self._context).provenance("similarity", name))
        weights = weights_of(self.teacher.module, {})
        key = fingerprint(name, supplier, weights, self.record())

        def make() -> Artefact:
            matrix = torch.from_numpy(self._computed(name))
            return Artefact({"similarity": matrix}, {"similarity": name, **self.record()})

        return store.memo(name, key, make).tensors["similarity"].numpy()

    def _computed(self, name: str) -> np.ndarray:
        catalogue = catalogue_of(self._context)
        build = cast("type[Similarity]", catalogue.resolve(catalogue.similarity(name)))
        layers = self.layers()
        try:
            return similarity_matrix(layers, build())
        except (StillhouseError, OSError, MemoryError):
            raise
        except Exception as error:
            raise PluginError(
                f"similarity '{name}' ({catalogue.provenance('similarity', name)}) failed: "
                f"{type(error).__name__}: {error}"
            ) from error

    def layers(self) -> Layers:
        if self._layers is None:
            self._layers = observe(
                self.teacher,
                self.teacher.taps,
                self._split,
                samples=self._samples,
                device=self._context.device,
                progress=self._context.progress,
            )
        return self._layers


def catalogue_of(context: Context) -> Catalogue:
    """Where losses and similarities are found; UserError for a context without one."""
    if context.catalogue is None:
        raise UserError(
            "hints: expected a context with a catalogue, to find similarities and losses"
        )
    return context.catalogue
