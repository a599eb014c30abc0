from __future__ import annotations

import numpy as np
import pytest
import torch

from stillhouse.plugins.tasks.partition import (
    FEWEST,
    SHARES,
    Divide,
    Ids,
    Parts,
    assemble,
    exact,
    held_out,
    lasting,
    subset,
    together,
)

EXPECTED = {"train": 0.55, "tuning": 0.1, "validation": 0.15, "test": 0.2}


def owners(parts: Parts, samples: int) -> list[str]:
    names = [""] * samples
    for name, ids in parts.items():
        for sample in ids:
            assert names[sample] == "", "two splits share a sample"
            names[sample] = name
    assert all(names), "a sample is in no split"
    return names


@pytest.mark.parametrize("divide", [exact, lasting])
@pytest.mark.parametrize("size", [FEWEST, 5, 7, 40])
@pytest.mark.parametrize("seed", range(5))
def test_every_class_is_in_every_split_and_no_sample_in_two(
    divide: type, size: int, seed: int
) -> None:
    targets = np.repeat(np.arange(3), size)
    parts: Parts = divide(range(len(targets)), targets, seed)
    owners(parts, len(targets))
    for name in SHARES:
        assert set(targets[parts[name]]) == {0, 1, 2}


def test_exact_splits_give_every_class_the_same_counts() -> None:
    targets = np.tile(np.arange(4), 40)
    parts = exact(range(160), targets, 0)
    for name, share in EXPECTED.items():
        assert np.bincount(targets[parts[name]]).tolist() == [round(share * 40)] * 4


def test_the_seed_alone_decides_which_samples_are_held_out() -> None:
    targets = np.repeat(np.arange(2), 50)
    first, again, other = (exact(range(100), targets, seed)["test"] for seed in (0, 0, 1))
    assert first.tolist() == again.tolist() != other.tolist()


def test_adding_files_moves_no_file_to_another_split() -> None:
    names = [f"yes/{i}.wav" for i in range(200)]
    few: Ids = np.zeros(100, np.int64)
    before = owners(lasting(names[:100], few, 3), 100)
    after = owners(lasting(names, np.zeros(200, np.int64), 3), 200)
    assert after[:100] == before


def test_lasting_splits_keep_their_shares_on_average() -> None:
    samples = 20_000
    parts = lasting(range(samples), np.zeros(samples, np.int64), 0)
    for name, share in EXPECTED.items():
        assert abs(len(parts[name]) / samples - share) < 0.015


def test_the_hash_follows_every_value_and_the_division() -> None:
    inputs = np.arange(48, dtype=np.float32).reshape(8, 3, 2)
    targets = np.repeat(np.arange(2), 4)
    parts = exact(range(8), targets, 0)
    data, same = assemble(inputs, targets, parts), assemble(inputs.copy(), targets, parts)
    changed = inputs.copy()
    changed[3, 1, 1] += 1e-3
    others = [
        assemble(changed, targets, parts),
        assemble(inputs, 1 - targets, parts),
        assemble(inputs, targets, {**parts, "train": parts["test"], "test": parts["train"]}),
    ]
    assert data.sha256 == same.sha256
    assert len({data.sha256, *(other.sha256 for other in others)}) == 4
    assert torch.equal(data.train.inputs, torch.from_numpy(inputs[parts["train"]]))
    assert data.train.targets.dtype == torch.int64


@pytest.mark.parametrize("divide", [exact, lasting])
def test_samples_of_one_group_stay_together(divide: Divide) -> None:
    groups = [f"group {sample % 40}" for sample in range(100)]
    targets = np.arange(100) // 40 % 2
    split_of = owners(together(groups, targets, divide, 0), 100)
    for group in set(groups):
        assert len({split_of[i] for i in range(100) if groups[i] == group}) == 1
    assert set(split_of) == set(SHARES)


def test_groups_of_one_are_divided_as_samples_are() -> None:
    targets = np.repeat(np.arange(2), 30)
    names = [str(sample) for sample in range(60)]
    grouped, plain = together(names, targets, exact, 5), exact(names, targets, 5)
    assert all(np.array_equal(grouped[name], plain[name]) for name in SHARES)


def test_what_is_held_out_is_the_test_split_and_the_rest_keeps_its_shares() -> None:
    targets = np.tile(np.arange(4), 80)
    test = np.arange(64)
    parts = held_out(range(320), targets, test, 0)
    owners(parts, 320)
    assert np.array_equal(parts["test"], test)
    counts = {name: np.bincount(targets[parts[name]]).tolist() for name in SHARES}
    assert counts["tuning"] == [8] * 4
    assert counts["validation"] == [12] * 4
    assert counts["train"] == [44] * 4


def test_a_subset_is_chosen_by_name() -> None:
    names = [f"clip {i}" for i in range(50)]
    small, large = subset(names, 10), subset(names, 30)
    assert (len(small), len(large)) == (10, 30)
    assert set(small) < set(large)
    assert small.tolist() == sorted(small)
    backwards = subset(names[::-1], 10)
    assert {names[::-1][i] for i in backwards} == {names[i] for i in small}
