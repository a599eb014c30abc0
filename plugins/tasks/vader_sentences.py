"""English sentences rated by people, from the paper on VADER (MIT licence).

Hutto & Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media
Text", ICWSM 2014.
"""

from __future__ import annotations

import html
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Task
from stillhouse.plugins.tasks import labels, partition
from stillhouse.plugins.tasks.sentences import classification, normalised
from stillhouse.plugins.tasks.supplied import verified
from stillhouse.plugins.tasks.text_params import VaderSentencesParams
from stillhouse.plugins.tasks.tokens import Tokeniser, tokeniser_file
from stillhouse.plugins.tasks.vader_table import DOMAINS, Rated, rows

FILE: Final = "vader-sentences.tsv.gz"
SHA256: Final = "48c01e57ec4167cfe206b567338f22f84f7699a943e20bf840f2c182daaaf7a2"
NEUTRAL: Final = 0.5
"""Ratings from -0.5 to 0.5 are neither positive nor negative, strong ones are beyond 2."""
_EDGES: Final = (-2.0, -NEUTRAL, NEUTRAL, 2.0)
LABELS: Final = {
    "binary": ("negative", "positive"),
    "five": ("very negative", "negative", "neutral", "positive", "very positive"),
    "domain": DOMAINS,
}


def build(params: VaderSentencesParams) -> Task:
    """Sentences as token ids; classes have the same shares in all splits.

    Sentences that differ in case, spaces and punctuation alone are in one split. Raises `UserError`
    for a tokeniser that cannot be used, and for settings that leave too little of a class.
    """
    tokeniser = Tokeniser(
        tokeniser_file(params.tokeniser, params.tokeniser_file), params.tokens, params.padding
    )
    chosen = _chosen(params)
    names, targets = LABELS[params.target], _targets(chosen, params.target)
    sentences = [html.unescape(one.text) for one in chosen]
    groups = [normalised(sentence) for sentence in sentences]
    parts = _parts(groups, targets, names, params.split_seed)
    places = [f"{FILE}, a sentence from {one.domain}" for one in chosen]
    return classification("vader-sentences", sentences, places, targets, names, parts, tokeniser)


def _chosen(params: VaderSentencesParams) -> list[Rated]:
    if params.target == "domain" and params.domain != "all":
        raise UserError(
            f"domain: target: domain tells all four apart, got {params.domain!r}; "
            "leave domain out, or choose target: binary or five"
        )
    table = verified(files("stillhouse.plugins.tasks") / "data" / FILE, SHA256, "the sentences")
    every = [
        one
        for one in rows(table)
        if params.domain in ("all", one.domain)
        and (params.target != "binary" or abs(one.rating) > NEUTRAL)
    ]
    if params.samples is None:
        return every
    kept = partition.subset([one.text for one in every], params.samples)
    return [every[sample] for sample in kept]


def _targets(chosen: list[Rated], target: str) -> NDArray[np.int64]:
    if target == "domain":
        return np.array([DOMAINS.index(one.domain) for one in chosen], np.int64)
    ratings = np.array([one.rating for one in chosen])
    edges = (0.0,) if target == "binary" else _EDGES
    return np.asarray(np.digitize(ratings, edges), np.int64)


def _parts(
    groups: list[str], targets: NDArray[np.int64], names: tuple[str, ...], seed: int
) -> partition.Parts:
    first, _ = partition.representatives(groups)
    labels.enough(targets[first], names, partition.FEWEST, "samples")
    return partition.together(groups, targets, partition.exact, seed)
