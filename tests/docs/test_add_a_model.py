"""The page about adding a model family is true: networks, costs, elastic twin."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from stillhouse.core.cost import terms
from stillhouse.core.errors import UserError
from stillhouse.core.plugin.conformance import Setup, check_plugin
from stillhouse.core.plugin.conformance.composing import Composition
from stillhouse.core.plugin.conformance.info import discover

PAGE = "add-a-model"
FULL = {"inputs": 12, "width": 8, "outputs": 3}


@pytest.fixture(scope="module")
def family(shown: Any) -> Any:
    return shown.catalogue.resolve(shown.catalogue.model("mlp"))()


def test_the_package_shown_keeps_the_contract(shown: Any) -> None:
    check_plugin(shown.distribution, {"mlp": Setup(params={"width": 8})})


def test_a_subnet_answers_as_the_network_it_extracts_to(family: Any) -> None:
    plain = family.build(FULL, torch.Generator().manual_seed(0))
    twin = family.elastic(plain)
    inputs = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(1))
    assert torch.equal(twin(inputs), plain(inputs))
    twin.set_active({"width": 3})
    assert twin.extract().structure == family.subnet(FULL, {"width": 3})
    assert torch.equal(twin(inputs), twin.extract()(inputs))


def test_a_scaled_network_is_the_widest_within_the_parameters(family: Any) -> None:
    scaled = family.scaled(FULL, 60)
    assert scaled["width"] == 3
    assert terms.parameters(family.sheet(scaled, {})).tolist() == [51]
    with pytest.raises(UserError, match="has 10 parameters or fewer"):
        family.scaled(FULL, 10)


def test_it_goes_through_a_supernet_and_a_change_of_form(shown: Any) -> None:
    mlp = Setup(model="mlp", model_params={"width": 16})
    supernet = replace(mlp, params={"full_epochs": 1, "epochs": 2})
    found = Composition(discover(), {"supernet": supernet, "factorize": mlp})
    assert found.paired("supernet", "factorize").reason == ""
