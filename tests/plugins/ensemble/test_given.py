from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from stillhouse.core.errors import UserError
from stillhouse.core.evaluate.predicting import predict
from stillhouse.plugins.ensemble.cached import predictions
from stillhouse.plugins.ensemble.ensemble import TeachingEnsemble
from stillhouse.plugins.ensemble.member import members, teachers
from stillhouse.plugins.models.info import KeywordTransformerParams

Section = Callable[..., dict[str, Any]]


def test_a_run_with_another_order_of_classes_is_put_right(
    stage: Any, section: Section, saved_run: Callable[..., Path]
) -> None:
    network, family = stage.network(4, width=16), stage.context.family
    shape = KeywordTransformerParams(width=16, depth=1, heads=1, head_dim=4)
    structure = family.structure(shape, (8, 5), 3)
    other = saved_run(network, structure, name="other", labels=["c", "a", "b"])
    same = saved_run(network, structure, name="same")
    artefact = stage.prepared(runs=(str(other), str(same / "best")))
    found = predictions(artefact, "tuning")
    assert found.models == ("teacher", "other", "same")
    _, swapped, plain = members(artefact)
    assert (swapped.order, plain.order) == ((1, 2, 0), ())
    assert (swapped.source, swapped.training_macs) == ("given", 0)
    assert np.array_equal(found.probabilities[1], found.probabilities[2][:, [1, 2, 0]])
    direct = predict({"other": network}, "tuning", stage.context.task)
    assert np.array_equal(found.probabilities[2], direct.probabilities[0])
    inputs = stage.context.task.data.tuning.inputs
    shown = teachers(artefact, None, stage.context)["other"].observe(inputs).logits
    assert torch.equal(shown, network(inputs)[:, [1, 2, 0]])


def test_a_run_with_a_view_of_its_own_is_given_that_view(
    stage: Any, saved_run: Callable[..., Path]
) -> None:
    family = stage.context.family
    shape = KeywordTransformerParams(width=8, depth=1, heads=1, head_dim=4)
    structure = family.structure(shape, (8, 2), 3)
    network = family.build(structure, torch.Generator().manual_seed(2)).eval()
    run = saved_run(network, structure, channels=[4, 0], input_shape=[8, 2])
    artefact = stage.prepared(runs=(str(run),))
    assert members(artefact)[1].channels == (4, 0)
    inputs = stage.context.task.data.tuning.inputs
    expected = network(inputs[..., [4, 0]]).softmax(-1).detach()
    found = predictions(artefact, "tuning").probabilities[1]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_files_that_parameters_name_decide_what_is_kept(
    stage: Any, section: Section, saved_run: Callable[..., Path], tmp_path: Path
) -> None:
    method = TeachingEnsemble()
    weights, said = tmp_path / "own.safetensors", tmp_path / "said"
    run = saved_run(stage.network(1), {})
    save_file(stage.network(2).state_dict(), weights)
    said.mkdir()
    np.save(said / "one.tuning.npy", np.eye(3))
    params = stage.params(
        assistants=(section(checkpoint=str(weights)), section(folder=str(tmp_path / "said"))),
        runs=(str(run),),
        predictions=str(said),
    )
    assert method.sources(stage.params(assistants=(section(),))) is None
    before = method.sources(params)
    assert set(before) == {
        str(weights), str(said / "one.tuning.npy"), str(run / "best" / "model.json"),
        str(run / "best" / "model.safetensors"),
    }  # fmt: skip
    assert method.sources(params) == before
    for path in map(Path, before):
        kept = path.read_bytes()
        path.write_bytes(kept + b" ")
        assert method.sources(params) != before
        path.write_bytes(kept)
    np.save(said / "two.tuning.npy", np.eye(3))
    assert len(method.sources(params)) == 5
    weights.unlink()
    with pytest.raises(UserError, match=r"own.safetensors: expected a file with a model, got none"):
        method.sources(params)
