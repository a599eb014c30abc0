from __future__ import annotations

from importlib import resources

import numpy as np
import pytest
import yaml

from stillhouse.core.plugin import SpaceInfo
from stillhouse.core.space import Space, load_space
from stillhouse.search_spaces.info import stillhouse_search_spaces

SPACES = {info.name: info for info in stillhouse_search_spaces()}


def text(info: SpaceInfo) -> str:
    package, _, file = info.build.partition(":")
    return (resources.files(package) / file).read_text(encoding="utf-8")


def space(name: str) -> Space:
    return load_space(text(SPACES[name]), name)


@pytest.mark.parametrize("info", SPACES.values(), ids=lambda info: info.name)
def test_a_record_says_what_its_file_says(info: SpaceInfo) -> None:
    content = yaml.safe_load(text(info))
    assert content["name"] == info.name
    assert content["family"] == info.family
    assert content["summary"] == info.summary


@pytest.mark.parametrize("name", SPACES)
def test_every_space_samples_configurations_that_encode(name: str) -> None:
    ready = space(name)
    codes = ready.sample(20, np.random.default_rng(0))
    for row in np.concatenate([codes, ready.corners()]):
        np.testing.assert_array_equal(ready.encode(ready.decode(row)), row)


def test_every_file_has_a_record() -> None:
    files = resources.files("stillhouse.search_spaces").iterdir()
    names = {file.name for file in files if file.name.endswith(".yaml")}
    assert names == {info.build.partition(":")[2] for info in SPACES.values()}


def test_lighthubert_sizes_are_the_published_ones() -> None:
    assert space("lighthubert-base").size() == 3 * 6**12 == 6_530_347_008
    assert space("lighthubert-small").size() == 951_892_141_473


def test_keyword_transformer_grows_by_layer() -> None:
    ready = space("keyword-transformer")
    smallest, _, largest = map(ready.decode, ready.corners())
    assert len(smallest["heads"]) == len(smallest["ffn_ratio"]) == smallest["depth"]
    assert len(largest["heads"]) == len(largest["ffn_ratio"]) == largest["depth"]
    assert smallest["depth"] < largest["depth"]
