"""Declared sizes and folders of weights: what is taken from where, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from stillhouse.core.errors import UserError
from stillhouse.plugins.models.encoder.bert import BertFamily
from stillhouse.plugins.models.encoder.sizes import bert_sizes, vit_sizes, whisper_sizes
from stillhouse.plugins.models.encoder.spaces import bert, vit, whisper
from stillhouse.plugins.models.info import BertParams, VitParams, WhisperParams

FAMILY = BertFamily()
SIZES: dict[str, Any] = {"vocabulary": 30, "width": 16, "depth": 2, "heads": 4, "head_dim": 4}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny BERT as transformers keeps it."""
    structure = FAMILY.structure(BertParams(**SIZES), (12,), 0)
    network = FAMILY.build(structure, torch.Generator().manual_seed(0))
    for weight in network.parameters():
        nn.init.normal_(weight, std=0.3, generator=torch.Generator().manual_seed(1))
    FAMILY.save_foreign(network, tmp_path / "bert")
    return tmp_path / "bert"


def test_what_is_not_declared_is_the_usual() -> None:
    assert bert_sizes(BertParams(width=64))["width"] == 64
    assert bert_sizes(BertParams(width=64))["depth"] == 6
    assert vit_sizes(VitParams(patch=7))["patch"] == 7
    assert whisper_sizes(WhisperParams())["mels"] == 80


def test_what_is_not_declared_is_as_the_weights_have_it(folder: Path) -> None:
    params = BertParams(folder=str(folder), ffn_ratio=4.0)
    structure = FAMILY.structure(params, (5,), 3)
    assert (structure["width"], structure["hidden"]) == (16, [64, 64])
    assert structure["positions"] == {"kind": "table", "count": 5, "learned": True}
    assert bert(params)["width"]["choices"][-1] == 16


def test_weights_come_without_a_head_and_cut_to_the_inputs(folder: Path) -> None:
    params = BertParams(folder=str(folder))
    structure = FAMILY.structure(params, (5,), 3)
    weights = FAMILY.pretrained(params, structure)
    assert weights is not None
    network = FAMILY.build(structure, torch.Generator().manual_seed(0))
    missing, unexpected = network.load_state_dict(dict(weights), strict=False)
    assert (missing, unexpected) == (["head.weight", "head.bias"], [])
    assert FAMILY.pretrained(BertParams(), structure) is None


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"width": 32}, "width expected 16, which the weights have, came 32"),
        ({"ffn_ratio": 2.0}, "ffn_ratio expected 4.0"),
        ({"activation": "relu"}, "activation expected gelu"),
        ({"vocabulary": 31}, "vocabulary expected 30"),
        ({"positions": 13}, "at most 12 positions"),
        ({"weights": "minilm-l6"}, "expected weights or folder, came both"),
    ],
)
def test_parameters_that_contradict_the_weights_are_refused(
    folder: Path, params: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=f"bert: .*{said}"):
        FAMILY.structure(BertParams(folder=str(folder), **params), (5,), 3)


def test_a_folder_without_a_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.json: expected the configuration of a transf"):
        FAMILY.structure(BertParams(folder=str(tmp_path)), (5,), 3)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "expected JSON"),
        ("[]", "expected a JSON object, came list"),
        (json.dumps({"model_type": "gpt2"}), "one of bert, roberta, distilbert, came"),
        (json.dumps({"model_type": "bert", "vocab_size": "many"}), "to be a whole number"),
    ],
)
def test_a_wrong_configuration_is_refused(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError, match=said):
        FAMILY.structure(BertParams(folder=str(tmp_path)), (5,), 3)


def missing(weights: Path) -> None:
    weights.unlink()


def cut_off(weights: Path) -> None:
    weights.write_bytes(weights.read_bytes()[:-1])


def renamed(weights: Path) -> None:
    from safetensors.torch import load_file, save_file

    found = load_file(weights)
    found["encoder.layer.9.output.dense.bias"] = found.pop("encoder.layer.1.output.dense.bias")
    save_file(found, weights)


def narrower(weights: Path) -> None:
    from safetensors.torch import load_file, save_file

    found = load_file(weights)
    name = "embeddings.word_embeddings.weight"
    save_file({**found, name: found[name][:29].clone()}, weights)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (missing, r"model\.safetensors: expected the weights .* found none"),
        (cut_off, r"model\.safetensors: expected a safetensors file, it is damaged or cut off"),
        (renamed, r"expected a tensor 'encoder\.layer\.1\.output\.dense\.bias', found none"),
        (narrower, r"'front_end\.table\.weight' of shape \(30, 16\), came \(29, 16\)"),
    ],
)
def test_damaged_weights_are_refused(
    folder: Path, damage: Callable[[Path], None], said: str
) -> None:
    params = BertParams(folder=str(folder))
    structure = FAMILY.structure(params, (5,), 3)
    damage(folder / "model.safetensors")
    with pytest.raises(UserError, match=said):
        FAMILY.pretrained(params, structure)


def test_a_pooler_that_the_weights_lack_is_refused(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = folder / "model.safetensors"
    found = {n: t for n, t in load_file(weights).items() if not n.startswith("pooler.")}
    save_file(found, weights)
    params = BertParams(folder=str(folder), pooler=True)
    with pytest.raises(UserError, match="has no pooler; say pooler: false"):
        FAMILY.pretrained(params, FAMILY.structure(params, (5,), 3))


def test_automatic_spaces_reach_from_half_to_the_whole() -> None:
    for found in (bert(BertParams()), vit(VitParams()), whisper(WhisperParams())):
        assert list(found) == ["width", "depth", "heads", "ffn_ratio"]
    assert bert(BertParams())["width"] == {"choices": [192, 256, 320, 384]}
    assert vit(VitParams())["heads"] == {"choices": [2, 4, 6], "per": "depth"}


def test_spaces_need_no_torch() -> None:
    code = (
        "import sys; from stillhouse.plugins.models.encoder import spaces; "
        "from stillhouse.plugins.models.info import WhisperParams; "
        "spaces.whisper(WhisperParams(weights='whisper-base')); "
        "assert not {'torch', 'transformers', 'safetensors'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
