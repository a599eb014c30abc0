"""Layers of the user's own with elastic twins of the user's own; families of other libraries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stillhouse.core.elastic import convert, register_twin, twins
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import ModelFamily
from stillhouse.core.plugin import Catalogue, ModelInfo, Provenance, hookimpl
from stillhouse.plugins.models.keyword_transformer import (
    ElasticKeywordTransformer,
    KeywordTransformer,
    KeywordTransformerFamily,
)

NO_FAMILIES = Catalogue.discover({}, [])
X = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))


class Scaled(nn.Module):
    """A matrix and a scale, in a class that no rule knows."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(inputs, outputs))
        self.scale = 2.0

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("...i,io->...o", x, self.matrix) * self.scale


class ElasticScaled(nn.Module):
    """Its twin, with a gene of its own: how many times the scale is taken."""

    genes: Mapping[str, tuple[int, ...]] = {"times": (0, 1)}

    def __init__(self, plain: Scaled) -> None:
        super().__init__()
        self.matrix = nn.Parameter(plain.matrix.detach().clone())
        self.scale, self.times = plain.scale, 1
        self.inputs, self.outputs = plain.matrix.shape

    def set_active(self, inputs: int, outputs: int, times: int = 1) -> None:
        self.inputs, self.outputs, self.times = inputs, outputs, times

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("...i,io->...o", x, self._matrix()) * self.scale**self.times

    def _matrix(self) -> Tensor:
        return self.matrix[: self.inputs, : self.outputs].contiguous()

    def extract(self) -> Scaled:
        plain = Scaled(1, 1)
        plain.matrix = nn.Parameter(self._matrix().detach().clone())
        plain.scale = self.scale**self.times
        return plain


class Declaring(Scaled):
    """Declares its twin itself."""

    def elastic_twin(self) -> nn.Module:
        return ElasticScaled(self)


class Wrong(Scaled):
    """Declares a twin that is none."""

    def elastic_twin(self) -> nn.Module:
        return nn.Identity()


def network(layer: type[Scaled]) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), layer(8, 12), nn.Linear(12, 2))


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twins, "_DECLARED", {})
    register_twin(Scaled, ElasticScaled)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("layer", [Scaled, Declaring])
def test_a_declared_twin_takes_part(layer: type[Scaled]) -> None:
    model = network(layer)
    supernet = convert(model, X, catalogue=NO_FAMILIES)
    assert set(supernet.space.names) == {
        "model.0.channels", "model.2.channels", "model.2.times",
    }  # fmt: skip
    assert torch.equal(supernet(X), model(X))
    rng = np.random.default_rng(0)
    for _ in range(20):
        chosen = supernet.sample_active_subnet(rng)
        plain = supernet.get_active_subnet()
        assert plain[2].matrix.shape == (chosen["model.0.channels"], chosen["model.2.channels"])
        assert plain[2].scale == 2.0 ** chosen["model.2.times"]
        assert torch.equal(plain(X), supernet(X))


def test_without_a_twin_the_layer_keeps_its_shape_and_is_named() -> None:
    supernet = convert(nn.Sequential(nn.Linear(5, 8), nn.Linear(8, 8), Scaled(8, 2)), X,
                       catalogue=NO_FAMILIES)  # fmt: skip
    assert supernet.space.names == ("model.0.channels",)
    rigid = {one.part: one.why for one in supernet.rigid}
    assert rigid["2.matrix"] == "they go through einsum, which has no rule"


def test_a_layer_whose_class_derives_from_torch_s_needs_no_twin() -> None:
    class Mine(nn.Linear):
        pass

    torch.manual_seed(0)
    model = nn.Sequential(Mine(5, 8), nn.ReLU(), Mine(8, 8), nn.ReLU(), nn.Linear(8, 2))
    supernet = convert(model, X, catalogue=NO_FAMILIES)
    assert len(supernet.space.names) == 2
    for _ in range(10):
        supernet.sample_active_subnet(np.random.default_rng(0))
        assert torch.equal(supernet.extract()(X), supernet(X))
    assert torch.equal(convert(model, X, catalogue=NO_FAMILIES)(X), model(X))


def test_what_is_declared_wrongly_is_refused() -> None:
    with pytest.raises(UserError, match=r"twin of Wrong: .* came Identity without set_active and"):
        convert(network(Wrong), X, catalogue=NO_FAMILIES)
    with pytest.raises(UserError, match="expected a class of modules, came 3"):
        register_twin(3, ElasticScaled)  # type: ignore[arg-type]


class Foreign(nn.Module):
    """A network of another library: a keyword transformer behind another name."""

    def __init__(self) -> None:
        super().__init__()
        family = KeywordTransformerFamily()
        structure = {
            "input_shape": [7, 5], "outputs": 3, "width": 24, "depth": 3, "heads": [3, 3, 3],
            "hidden": [48, 48, 48], "head_dim": 8, "activation": "gelu",
        }  # fmt: skip
        self.inner = family.build(structure, torch.Generator().manual_seed(0))

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


class Derived(Foreign):
    """A class of the library's that derives from the one named."""


class ForeignFamily(ModelFamily):
    """Translates; everything else is the keyword transformer's."""

    name = "foreign"

    def translated(self, module: nn.Module) -> nn.Module:
        assert isinstance(module, Foreign)
        return module.inner

    def elastic(self, module: nn.Module) -> ElasticKeywordTransformer:
        assert isinstance(module, KeywordTransformer)
        return ElasticKeywordTransformer.from_plain(module)

    def structure(self, params: Any, input_shape: Any, outputs: int) -> Any: ...
    def build(self, structure: Any, generator: Any) -> Any: ...
    def subnet(self, full: Any, configuration: Any) -> Any: ...
    def taps(self, structure: Any) -> Any: ...
    def columns(self, structures: Any) -> Any: ...
    def sheet(self, full: Any, columns: Any) -> Any: ...
    def scaled(self, full: Any, parameters: int) -> Any: ...


def catalogue(converts: str, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    """A catalogue of one family that translates the classes named."""

    @hookimpl
    def stillhouse_models() -> Iterator[ModelInfo]:
        build = "foreign_code:ForeignFamily"
        yield ModelInfo(name="foreign", summary="x", build=build, converts=(converts,))

    code, light = ModuleType("foreign_code"), ModuleType("foreign_info")
    code.ForeignFamily = ForeignFamily  # type: ignore[attr-defined]
    light.stillhouse_models = stillhouse_models  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "foreign_code", code)
    supplier = Provenance("foreign", "1", "x")
    return Catalogue.discover({}, [], extra=[("model", "foreign", light, supplier)])


@pytest.mark.parametrize("network", [Foreign, Derived])
@pytest.mark.parametrize("name", ["Foreign", "{library}.modeling.Foreign"])
def test_a_family_that_names_the_class_translates_it(
    network: type[Foreign], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Foreign.__module__.partition(".")[0]
    plugins = catalogue(name.format(library=library), monkeypatch)
    model, x = network().eval(), torch.randn(2, 7, 5)
    supernet = convert(model, catalogue=plugins)
    assert isinstance(supernet.twin, ElasticKeywordTransformer)
    assert torch.equal(supernet(x), model(x))
    assert supernet.largest() == supernet.full
    assert supernet.space.size() == 4 * ((3 * 3) ** 2 + (3 * 3) ** 3)
    rng = np.random.default_rng(0)
    for _ in range(10):
        supernet.sample_active_subnet(rng)
        assert torch.equal(supernet.extract()(x), supernet(x))


def test_genes_of_every_layer_are_cut_to_the_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    supernet = convert(Foreign(), catalogue=catalogue("Foreign", monkeypatch))
    assert supernet.set_active_subnet(depth=2, heads=2) == {
        "width": 24, "depth": 2, "heads": [2, 2], "ffn_ratio": [2.0, 2.0],
    }  # fmt: skip
    with pytest.raises(UserError, match="heads"):
        supernet.set_active_subnet(depth=2, heads=[2, 2, 2])
    assert supernet.active()["depth"] == 2


def test_parts_of_a_family_s_network_that_never_change_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    space = {"depth": {"choices": [2, 3]}}
    supernet = convert(Foreign(), space=space, catalogue=catalogue("Foreign", monkeypatch))
    rigid = {one.part: one.why for one in supernet.rigid}
    assert rigid["heads"] == "the space has no dimension for this gene"
    assert rigid["head"] == "Linear of one size in every subnet"
    assert "blocks.2.norm1" not in rigid


def test_another_library_s_class_of_that_name_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    plugins = catalogue("elsewhere.modeling.Foreign", monkeypatch)
    with pytest.raises(UserError, match="no model family translates Foreign"):
        convert(Foreign(), catalogue=plugins)


class Unusual(Foreign):
    """A network of a shape that the family cannot have."""


def test_a_network_that_its_family_refuses_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    plugins = catalogue("Unusual", monkeypatch)

    def refusing(self: ForeignFamily, module: nn.Module) -> nn.Module:
        raise UserError("foreign: expected no bias of positions")

    monkeypatch.setattr(ForeignFamily, "translated", refusing)
    with pytest.raises(UserError, match="no bias of positions"):
        convert(Unusual(), catalogue=plugins)
    supernet = convert(Unusual(), torch.randn(2, 7, 5), catalogue=plugins)
    assert "inner.blocks.depth" in supernet.space.names
    assert "foreign: expected no bias of positions" in [one.why for one in supernet.rigid]
