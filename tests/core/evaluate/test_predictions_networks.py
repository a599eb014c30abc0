"""Networks and teachers are run over a split once, in its order."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Classification, ModuleTeacher, Observation, Split, TaskData
from stillhouse.core.evaluate.predicting import predict
from stillhouse.core.evaluate.prediction_folder import write
from stillhouse.core.evaluate.teacher import Teacher


def task(samples: int = 11) -> Classification:
    generator = torch.Generator().manual_seed(0)

    def split(name: str) -> Split:
        inputs = torch.randn(samples, 4, 3, generator=generator)
        return Split(name, inputs, torch.arange(samples) % 3)  # type: ignore[arg-type]

    data = TaskData(*map(split, ("train", "tuning", "validation", "test")), sha256="of the data")
    return Classification("tiny", data, ("x", "y", "z"), shift=1)


def network(seed: int) -> nn.Module:
    """With dropout and batch statistics: in training mode no two answers would be the same."""
    module = nn.Sequential(
        nn.Flatten(), nn.Linear(12, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 3)
    )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in module.parameters():
            weights.copy_(torch.randn(weights.shape, generator=generator))
    return module


class Offset(Teacher):
    """A teacher that is no network; its answer depends on the input alone."""

    taps = ()
    widths: dict[str, int] = {}  # noqa: RUF012

    def observe(self, inputs: Tensor, taps: tuple[str, ...] = ()) -> Observation:
        return Observation(inputs.sum(1))


class Counted:
    """A `Progress` that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def start(self, label: str, total: int) -> None:
        self.told.append((label, total))

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.told.append((steps, note))

    def finish(self) -> None:
        self.told.append("finished")


def test_probabilities_are_the_softmax_in_float64_of_each_models_logits() -> None:
    data = task().data.tuning
    models = {"one": network(1), "two": ModuleTeacher(network(2), (), {}), "sum": Offset()}
    found = predict(models, "tuning", task(), seeds={"two": 7})
    with torch.no_grad():
        logits = [network(k).eval()(data.inputs) for k in (1, 2)] + [data.inputs.sum(1)]
    expected = torch.stack(logits).double().softmax(-1).float().numpy()
    assert found.probabilities.tobytes() == expected.tobytes()
    assert found.targets.tolist() == data.targets.tolist()
    assert (found.models, found.classes) == (("one", "two", "sum"), ("x", "y", "z"))
    assert found.split == "tuning"


def test_the_origin_tells_seeds_weights_data_and_code() -> None:
    models = {"one": network(1), "same": ModuleTeacher(network(1), (), {}), "sum": Offset()}
    origin = predict(models, "train", task(), seeds={"same": 7}).origin
    assert origin.seeds == (None, 7, None)
    assert origin.sources[0] == origin.sources[1]
    assert len(origin.sources[0]) == 64
    assert origin.sources[2] == ""
    assert origin.data == "of the data"
    assert origin.code == f"stillhouse {version('stillhouse')}"
    assert origin.training_views is False


def test_other_weights_have_another_source() -> None:
    models = {str(seed): network(seed) for seed in range(3)}
    assert len(set(predict(models, "train", task()).origin.sources)) == 3


def test_the_same_call_gives_the_same_bits_whatever_was_drawn_before(tmp_path: Path) -> None:
    first = predict({"a": network(1)}, "validation", task(), at_once=4)
    torch.rand(5)
    again = predict({"a": network(1)}, "validation", task(), at_once=4)
    assert first.digest() == again.digest()
    assert write(first, tmp_path / "cache").digest() == first.digest()


def test_the_global_generator_is_left_alone() -> None:
    module, data = network(1), task()
    before = torch.get_rng_state()
    predict({"a": module}, "tuning", data)
    assert torch.equal(torch.get_rng_state(), before)


def test_chunks_cover_a_split_that_they_do_not_divide() -> None:
    whole = predict({"a": network(1)}, "test", task())
    chunks = predict({"a": network(1)}, "test", task(), at_once=4)
    np.testing.assert_allclose(chunks.probabilities, whole.probabilities, rtol=1e-5)


def test_progress_counts_every_chunk_of_every_model() -> None:
    shown = Counted()
    predict({"a": network(1), "b": network(2)}, "test", task(), at_once=4, progress=shown)
    assert shown.told == [("predict test", 6), *[(1, "a")] * 3, *[(1, "b")] * 3, "finished"]


def test_a_model_with_other_classes_is_named_and_progress_ends() -> None:
    shown = Counted()
    small = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    with pytest.raises(UserError, match=r"'b' on tuning: .* \(11, 3\), got \(11, 2\)"):
        predict({"a": network(1), "b": small}, "tuning", task(), progress=shown)
    assert shown.told[-1] == "finished"


def test_logits_that_are_not_finite_are_named_by_their_place_in_the_split() -> None:
    broken = task()
    broken.data.test.inputs[5, 2, 1] = torch.nan
    with pytest.raises(UserError, match=r"model 'a' on test: .* got nan in sample 5, class 0"):
        predict({"a": network(1)}, "test", broken, at_once=2)


def test_no_model_is_refused() -> None:
    with pytest.raises(UserError, match="at least 1 model name, each once, got none"):
        predict({}, "test", task())


def test_targets_that_are_no_classes_are_refused() -> None:
    plain = task()
    many = replace(plain.data.test, targets=torch.zeros(11, 3))
    plain.data = replace(plain.data, test=many)
    with pytest.raises(UserError, match=r"expected one class a sample, got .* shape \(11, 3\)"):
        predict({"a": network(1)}, "test", plain)
