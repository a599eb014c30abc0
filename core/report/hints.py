"""What the similarity of layers says in words: the hints chosen, a table, tips on hover."""

from __future__ import annotations

import json
from string import ascii_uppercase

from stillhouse.core.report.numerals import MISSING, significant
from stillhouse.core.report.similarity import LayerSimilarity


def letter(cluster: int) -> str:
    """A cluster's name: A to Z, then numbers."""
    return ascii_uppercase[cluster] if cluster < len(ascii_uppercase) else str(cluster + 1)


def chosen_hints(found: LayerSimilarity) -> str:
    """The hints chosen, in one sentence."""
    if not found.pairs:
        return "No hints: training without them was found best."
    said = ", ".join(
        f"{found.layers[teacher]} to {found.student_layers[student]}"
        for teacher, student in found.pairs
    )
    return f"Hints from teacher to student ({found.select} selection, {found.loss} loss): {said}."


def lead(found: LayerSimilarity) -> str:
    """What was compared and how it was clustered."""
    parts = [
        f"Similarity ({found.metric}, over {found.samples:,} samples) between the teacher’s "
        f"{len(found.layers)} layers, numbered from 0."
    ]
    if found.clusters:
        count = len(set(found.clusters))
        said = f"Outlined and lettered: {count} cluster{'s' if count > 1 else ''}"
        how = f" by {found.select} selection"
        tight = found.silhouette
        how += "" if tight is None else f", silhouette {significant(tight)}"
        parts.append(f"{said}{how}.")
    return " ".join(parts if found.pairs else [*parts, chosen_hints(found)])


def headings(found: LayerSimilarity) -> list[str]:
    """Column titles of `table`."""
    beside = [f"to layer {centre}" for centre in found.centres] or ["to the next layer"]
    return ["layer", "name", "cluster", "teaches", *beside]


def table(found: LayerSimilarity) -> list[list[str]]:
    """One line a layer: number, name, cluster, student layer, and its similarities.

    These are the ones with each hint point, or with the next layer where there are none.
    """
    taught = {teacher: found.student_layers[student] for teacher, student in found.pairs}
    return [
        [
            str(layer),
            name,
            letter(found.clusters[layer]) if found.clusters else MISSING,
            taught.get(layer, MISSING),
            *(_value(found, layer, other) for other in found.centres or [layer + 1]),
        ]
        for layer, name in enumerate(found.layers)
    ]


def _value(found: LayerSimilarity, one: int, other: int) -> str:
    value = found.similarity[one][other] if other < len(found.layers) else None
    return MISSING if value is None else f"{value:.3f}"


def tips_json(found: LayerSimilarity) -> str:
    """What the page's script shows beside a cell: names, clusters and rounded values."""
    record = {
        "names": list(found.layers),
        "clusters": [letter(cluster) for cluster in found.clusters],
        "centres": list(found.centres),
        "similarity": [
            [None if value is None else round(value, 3) for value in row]
            for row in found.similarity
        ],
    }
    return json.dumps(record, separators=(",", ":"), allow_nan=False)
