"""Labelled sentences as a task: tokenised, duplicates kept on one side of every split."""

from __future__ import annotations

import re
from collections.abc import Sequence

from stillhouse.core.evaluate import Classification, Task
from stillhouse.plugins.tasks import partition
from stillhouse.plugins.tasks.labels import Targets
from stillhouse.plugins.tasks.partition import Parts
from stillhouse.plugins.tasks.tokens import Tokeniser

_WORD = re.compile(r"\w+")


def normalised(sentence: str) -> str:
    """What two sentences share that differ in case, spaces and punctuation only."""
    return " ".join(_WORD.findall(sentence.casefold())) or sentence.strip()


def classification(
    name: str,
    sentences: Sequence[str],
    places: Sequence[str],
    targets: Targets,
    labels: tuple[str, ...],
    parts: Parts,
    tokeniser: Tokeniser,
) -> Task:
    """A classification task; `places` says where each sentence is from, for errors."""
    ids = tokeniser.ids(sentences, places)
    data = partition.assemble(ids, targets, parts)
    return Classification(name, data, labels, preparation=tokeniser.preparation)
