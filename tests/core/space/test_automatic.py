"""The space of a network nobody wrote one for."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml

from stillhouse.core.space import load_space
from stillhouse.core.space.automatic import automatic, automatic_for, kernels, steps


def test_a_base_sized_encoder_has_these_choices() -> None:
    assert automatic(width=768, depth=12, heads=12, ffn_ratio=4.0, width_step=16) == {
        "width": {"choices": [384, 512, 640, 768]},
        "depth": {"choices": [6, 7, 8, 9, 10, 11, 12]},
        "heads": {"choices": [4, 8, 12], "per": "depth"},
        "ffn_ratio": {"choices": [2.0, 3.0, 4.0], "per": "depth"},
    }


@pytest.mark.parametrize("width", [4, 30, 33, 64, 96, 100, 384])
@pytest.mark.parametrize("depth", [1, 2, 7])
@pytest.mark.parametrize("heads", [1, 2, 3, 6])
def test_it_reads_as_a_space_whose_largest_is_the_whole(width: int, depth: int, heads: int) -> None:
    dimensions = automatic(width=width, depth=depth, heads=heads, ffn_ratio=2.5)
    space = load_space(yaml.safe_dump({"dimensions": dimensions}), "automatic")
    largest = space.decode(space.corners()[2])
    whole = {"width": width, "depth": depth, "heads": [heads] * depth, "ffn_ratio": [2.5] * depth}
    assert largest == whole


def test_what_is_not_asked_for_has_no_dimension() -> None:
    assert list(automatic(width=8)) == ["width"]
    assert automatic_for({"width": 8, "heads": [2, 2], "front_end": "waveform"}) == {
        "width": {"choices": [4, 6, 8]},
        "heads": {"choices": [1, 2]},
    }


def test_the_narrowest_layer_decides() -> None:
    found = automatic(depth=2, heads=[12, 3], ffn_ratio=[4.0, 2.0])
    assert found["heads"]["choices"] == [1, 2, 3]
    assert found["ffn_ratio"]["choices"] == [1.0, 1.5, 2.0]


@pytest.mark.parametrize("multiple", [1, 2, 8, 12])
@pytest.mark.parametrize("full", [1, 2, 7, 12, 24, 100, 768])
def test_steps_rise_to_the_whole_in_multiples(full: int, multiple: int) -> None:
    found = steps(full, full / 2, 4, multiple)
    assert found == sorted(set(found))
    assert found[-1] == full
    assert len(found) <= 4
    assert all(value % multiple == 0 and value >= full / 2 for value in found[:-1])


def test_kernels_are_odd_and_at_least_about_half() -> None:
    assert [kernels(size) for size in (1, 3, 5, 7, 9)] == [
        [1], [1, 3], [3, 5], [3, 5, 7], [5, 7, 9],
    ]  # fmt: skip


def test_it_needs_no_torch() -> None:
    code = "import sys, stillhouse.core.space.automatic; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
