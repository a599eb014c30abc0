"""Cached predictions of several models over one split: all that a search for weights reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import DataError, UserError
from stillhouse.core.evaluate.probabilities import Targets, blocks, check_rows, check_targets

if TYPE_CHECKING:
    from stillhouse.core.evaluate.data import SplitName

Mixing = Literal["probabilities", "logits"]
_SPLITS: Final[tuple[SplitName, ...]] = ("train", "tuning", "validation", "test")


@final
@dataclass(frozen=True)
class Origin:
    """Where predictions come from; what is not known is empty or None.

    `seeds` and `sources` have one entry a model: the seed of its training, and a SHA-256 of its
    weights or of the file that held its predictions. `data` is the hash of the task's data, `code`
    the version that ran the models. `training_views` tells whether inputs were augmented.
    """

    seeds: tuple[int | None, ...]
    sources: tuple[str, ...]
    data: str = ""
    code: str = ""
    training_views: bool | None = None


@final
@dataclass(frozen=True, eq=False)
class Predictions:
    """What `models` say about a split's samples, in the split's order.

    `probabilities` is float32 (models, samples, classes), mapped from the disk after reading;
    `targets` int64 (samples,), places in `classes`. Where a sample has any number of labels,
    probabilities are sigmoids, and `targets` 0 or 1, (samples, classes). `ids` names the samples,
    or is empty. `place` says where they lie, for messages; `sha256` is the digest noted when they
    were written, or "".

    Raises:
        DataError: names, shapes, types or targets do not fit together.
    """

    models: tuple[str, ...]
    classes: tuple[str, ...]
    split: SplitName
    probabilities: NDArray[np.float32]
    targets: Targets
    origin: Origin
    ids: tuple[str, ...] = ()
    place: str = "predictions"
    sha256: str = ""

    def __post_init__(self) -> None:
        _check_names("model", self.models, 1, self.place)
        _check_names("class", self.classes, 2, self.place)
        self._check_split()
        self._check_arrays()
        check_targets(self.targets, len(self.classes), self.place)
        self._check_lengths()

    @property
    def samples(self) -> int:
        return len(self.targets)

    @property
    def several(self) -> bool:
        """Whether a sample has any number of labels, each with a probability of its own."""
        return self.targets.ndim == 2

    def blocks(self) -> Iterator[slice]:
        """Consecutive samples, so few that all models' probabilities of them fit in 16 MiB."""
        models, samples, classes = self.probabilities.shape
        return blocks(samples, models * classes)

    def tuning(self) -> Predictions:
        """These predictions, for whatever is fitted to them.

        Raises:
            UserError: they are of another split than the tuning split.
        """
        if self.split != "tuning":
            raise UserError(
                f"{self.place}: weights are tuned on the tuning split only; got predictions on the "
                f"{self.split} split; predict the tuning split with the same models"
            )
        return self

    def describe(self) -> dict[str, Any]:
        """All but the arrays and where they lie, JSON-able."""
        return {
            "models": list(self.models),
            "classes": list(self.classes),
            "split": self.split,
            "samples": self.samples,
            "ids": list(self.ids),
            "origin": asdict(self.origin),
        }

    def digest(self) -> str:
        """SHA-256 of the description, the targets and the probabilities, in hexadecimal."""
        digest = hashlib.sha256(json.dumps(self.describe(), sort_keys=True).encode())
        digest.update(np.ascontiguousarray(self.targets, "<i8").data)
        for rows in self.probabilities:
            for block in blocks(*rows.shape):
                digest.update(np.ascontiguousarray(rows[block], "<f4").data)
        return digest.hexdigest()

    def verify(self) -> None:
        """Read everything once.

        Raises:
            DataError: a model's answers are no probabilities, or the digest is not the noted one.
        """
        if self.sha256 and self.digest() != self.sha256:
            raise DataError(
                f"{self.place}: expected the SHA-256 {self.sha256}, got {self.digest()}: the "
                "predictions were changed after they were written; predict again"
            )
        for model, rows in zip(self.models, self.probabilities, strict=True):
            check_rows(rows, f"{self.place}: model '{model}'", self.several)

    def _check_split(self) -> None:
        if self.split not in _SPLITS:
            known = ", ".join(_SPLITS)
            raise DataError(f"{self.place}: expected a split of {known}; got {self.split!r}")

    def _check_arrays(self) -> None:
        expected = (len(self.models), len(self.targets), len(self.classes))
        kind, shape = self.probabilities.dtype, self.probabilities.shape
        if kind != np.float32 or shape != expected:
            raise DataError(
                f"{self.place}: expected float32 probabilities of {expected[0]} models, "
                f"{expected[1]} samples and {expected[2]} classes, got {kind} {shape}"
            )

    def _check_lengths(self) -> None:
        wanted = {"seeds": len(self.models), "sources": len(self.models)}
        came = {"seeds": len(self.origin.seeds), "sources": len(self.origin.sources)}
        if self.ids:
            wanted["ids"], came["ids"] = self.samples, len(set(self.ids))
        for name, number in wanted.items():
            if came[name] != number:
                raise DataError(f"{self.place}: expected {number} {name}, got {came[name]}")


def for_tuning(predictions: Predictions) -> Predictions:
    """`predictions.tuning()`: raises UserError unless they are of the tuning split."""
    return predictions.tuning()


def _check_names(kind: str, names: tuple[str, ...], fewest: int, where: str) -> None:
    if len(names) < fewest or len(set(names)) < len(names) or not all(names):
        got = ", ".join(map(repr, names[:20])) or "none"
        raise DataError(
            f"{where}: expected at least {fewest} {kind} name{'s' * (fewest > 1)}, each once, "
            f"got {got}"
        )
