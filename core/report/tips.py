"""What the page's script shows beside a dot: one short record an evaluation, as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

from stillhouse.core.report.configuration import lines
from stillhouse.core.report.costs import Cost, value_of
from stillhouse.core.report.quality import primary
from stillhouse.core.run.summary import Evaluation, RunSummary


def tips_json(summary: RunSummary, views: Sequence[Cost]) -> str:
    """`[title, quality, costs, configuration]` for each evaluation, in order.

    Safe inside a `script` element: no `<`, `>` or `&` stays as it is.
    """
    quality = primary(summary)
    records = [
        [
            f"evaluation {evaluation.number}" + (" (front)" if evaluation.on_front else ""),
            f"{quality.title} {quality.text(quality.of(evaluation.values), 2)}",
            _costs(evaluation, views),
            "\n".join(lines(evaluation.configuration)),
        ]
        for evaluation in summary.evaluations
    ]
    text = json.dumps(records, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _costs(evaluation: Evaluation, views: Sequence[Cost]) -> str:
    known = ((view, value_of(evaluation.costs, view.name)) for view in views)
    return "\n".join(f"{view.title} {view.text(value)}" for view, value in known if value)
