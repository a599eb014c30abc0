"""Building a network does without torch's compiler, which takes seconds to import."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROBE = """
import sys

import torch
from stillhouse.plugins.models.cnn.family import CnnFamily
from stillhouse.plugins.models.encoder.hubert import HubertFamily
from stillhouse.plugins.models.info import CnnParams, HubertParams, KeywordTransformerParams
from stillhouse.plugins.models.keyword_transformer import KeywordTransformerFamily

small = {"width": 16, "depth": 2, "heads": 2, "head_dim": 8}
front = {"channels": 8, "position_kernel": 8, "position_groups": 4, "front_end": "both"}
for family, params, shape in (
    (CnnFamily(), CnnParams(width=8), (9, 5)),
    (KeywordTransformerFamily(), KeywordTransformerParams(**small), (9, 5)),
    (HubertFamily(), HubertParams(**small, **front), (1600,)),
):
    network = family.build(family.structure(params, shape, 3), torch.Generator())
    family.elastic(network).extract()
    print(family.name, "torch._dynamo" in sys.modules)
"""


@pytest.mark.slow
def test_building_a_network_does_not_import_the_compiler() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    assert done.stdout == "cnn False\nkeyword-transformer False\nhubert False\n"
