from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Task
from stillhouse.plugins.tasks.partition import SHARES
from stillhouse.plugins.tasks.text_params import VaderSentencesParams
from stillhouse.plugins.tasks.vader_sentences import build


def load(tokeniser: Path, **params: Any) -> Task:
    given: dict[str, Any] = {"tokeniser_file": str(tokeniser), "tokens": 8, "samples": 2000}
    return build(VaderSentencesParams(**(given | params)))


def sizes(task: Task) -> list[int]:
    return [len(task.data.split(name)) for name in SHARES]


def test_sentences_become_ids_of_fixed_length(word_tokeniser: Path) -> None:
    task = load(word_tokeniser)
    assert (task.input_shape, task.outputs) == ((8,), 2)
    inputs = task.data.train.inputs
    assert inputs.dtype == torch.int64
    assert torch.equal(inputs[:, 0], torch.full((len(inputs),), 2))
    ends = (inputs == 3).int().argmax(1)
    padding = torch.arange(8) > ends[:, None]
    assert torch.equal(inputs == 0, padding)
    assert "cut to 8" in task.preparation


@pytest.mark.parametrize(
    ("target", "labels"),
    [
        ("binary", ("negative", "positive")),
        ("five", ("very negative", "negative", "neutral", "positive", "very positive")),
        ("domain", ("amazon", "movie", "nyt", "tweets")),
    ],
)
def test_classes_have_the_same_shares_in_every_split(
    word_tokeniser: Path, target: str, labels: tuple[str, ...]
) -> None:
    task = load(word_tokeniser, target=target)
    assert task.labels == labels
    counts = {n: torch.bincount(task.data.split(n).targets, minlength=len(labels)) for n in SHARES}
    whole = sum(counts.values())
    for name, share in SHARES.items():
        assert (counts[name] - share * whole).abs().max() < 10


def test_a_smaller_choice_lies_within_a_larger_one(word_tokeniser: Path) -> None:
    def every(samples: int) -> set[tuple[int, ...]]:
        data = load(word_tokeniser, samples=samples, tokens=32).data
        return {tuple(row) for n in SHARES for row in data.split(n).inputs.tolist()}

    small, large = every(100), every(300)
    assert small < large
    assert sum(sizes(load(word_tokeniser, samples=100))) == 100


def test_seed_and_settings_change_the_data_and_nothing_else_does(word_tokeniser: Path) -> None:
    changes: list[dict[str, Any]] = [
        {}, {"split_seed": 1}, {"domain": "movie"}, {"samples": 300}, {"tokens": 9},
    ]  # fmt: skip
    hashes = [load(word_tokeniser, **change).data.sha256 for change in changes]
    assert len(set(hashes)) == len(hashes)
    assert load(word_tokeniser).data.sha256 == hashes[0]


@pytest.mark.slow
def test_binary_sentiment_leaves_out_what_people_found_neutral(word_tokeniser: Path) -> None:
    assert sum(sizes(load(word_tokeniser, samples=None))) == 10_107 + 9_029


@pytest.mark.slow
def test_five_classes_of_sentiment_take_every_sentence(word_tokeniser: Path) -> None:
    assert sum(sizes(load(word_tokeniser, samples=None, target="five"))) == 23_703


def test_one_domain_cannot_be_told_apart(word_tokeniser: Path) -> None:
    with pytest.raises(UserError, match="domain: target: domain tells all four apart, got 'nyt'"):
        load(word_tokeniser, target="domain", domain="nyt")


def test_ids_have_no_views_but_themselves(word_tokeniser: Path) -> None:
    task = load(word_tokeniser)
    inputs = task.data.train.inputs[:4]
    assert torch.equal(task.augment(inputs, torch.Generator().manual_seed(0)), inputs)
