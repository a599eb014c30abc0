from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stillhouse.core.errors import UserError
from stillhouse.plugins.models.encoder.foreign.vit import from_vit, to_vit
from stillhouse.plugins.models.encoder.vit import VitFamily
from stillhouse.plugins.models.info import VitParams

Make = Callable[..., nn.Module]
Tell = Callable[..., Tensor]

FAMILY = VitFamily()
SIZES: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
    "image_size": 12, "patch_size": 4, "num_channels": 2,
}  # fmt: skip
IMAGES = torch.randn(3, 2, 12, 12, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def vit(tiny: Make) -> Make:
    return lambda **sizes: tiny("ViTModel", "ViTConfig", **{**SIZES, **sizes})


@pytest.mark.parametrize(
    "changes", [{}, {"qkv_bias": False}, {"patch_size": 5, "hidden_act": "relu"}]
)
def test_a_translated_model_answers_as_transformers_does(
    vit: Make, told: Tell, changes: dict[str, Any]
) -> None:
    theirs = vit(**changes)
    found, expected = told(FAMILY.translated(theirs), IMAGES), told(theirs, IMAGES)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("heads", [4, 2])
def test_a_saved_subnet_loads_in_transformers_with_its_outputs(
    transformers: Any, vit: Make, told: Tell, tmp_path: Path, heads: int
) -> None:
    elastic = FAMILY.elastic(from_vit(vit()))
    elastic.set_active({"depth": 1, "heads": heads, "ffn_ratio": 1.0})
    network = elastic.extract()
    FAMILY.save_foreign(network, tmp_path)
    loaded = transformers.AutoModel.from_pretrained(tmp_path).eval()
    assert type(loaded).__name__ == "ViTModel"
    assert loaded.config.num_attention_heads == heads
    torch.testing.assert_close(told(loaded, IMAGES), told(network, IMAGES), atol=1e-4, rtol=0)


def test_weights_of_a_folder_are_taken_whatever_version_wrote_it(
    vit: Make, told: Tell, tmp_path: Path
) -> None:
    theirs = vit()
    theirs.save_pretrained(tmp_path / "theirs")  # type: ignore[operator]  # transformers' own
    FAMILY.save_foreign(from_vit(theirs), tmp_path / "ours")
    for folder in ("theirs", "ours"):
        params = VitParams(folder=str(tmp_path / folder))
        structure = FAMILY.structure(params, (2, 12, 12), 0)
        network = FAMILY.build(structure, torch.Generator().manual_seed(0)).eval()
        weights = FAMILY.pretrained(params, structure)
        assert weights is not None
        network.load_state_dict(dict(weights), strict=True)
        torch.testing.assert_close(told(network, IMAGES), told(theirs, IMAGES), atol=1e-4, rtol=0)


def test_images_of_another_size_than_the_weights_are_refused(vit: Make, tmp_path: Path) -> None:
    vit().save_pretrained(tmp_path)  # type: ignore[operator]  # transformers' own
    with pytest.raises(UserError, match=r"expected images of the shape \[2, 12, 12\]"):
        FAMILY.structure(VitParams(folder=str(tmp_path)), (2, 16, 16), 3)


def test_heads_that_differ_are_refused(vit: Make) -> None:
    elastic = FAMILY.elastic(from_vit(vit()))
    elastic.set_active({"heads": [4, 2]})
    with pytest.raises(UserError, match="ViTModel has no heads that differ between layers"):
        to_vit(elastic.extract())


def test_an_activation_that_we_do_not_have_is_refused(vit: Make) -> None:
    with pytest.raises(UserError, match="vit: stillhouse encoders have no activation 'silu'"):
        from_vit(vit(hidden_act="silu"))
