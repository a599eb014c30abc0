"""The model card: Markdown that travels with the artefact."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping

from stillhouse.core.report import machine
from stillhouse.core.report.checks import Check, checks
from stillhouse.core.report.configuration import value_text
from stillhouse.core.report.exhibits import in_words
from stillhouse.core.report.numerals import count, positive, rough, significant
from stillhouse.core.report.quality import Quality, primary
from stillhouse.core.report.rows import Line, headings, lines, row_of
from stillhouse.core.report.snippets import ONNX, channels_seen, load_snippet, onnx_snippet
from stillhouse.core.report.verdict import verdict
from stillhouse.core.run.summary import RunSummary

_SPECIAL = re.compile(r"([\\`*_{}\[\]#|!~])")


def model_card(summary: RunSummary) -> str:
    """Markdown: what the model is, certificate, test scores, intended use, limits, loading."""
    parts = [_what(summary), _certificate(summary), _scores(summary), _use(summary)]
    parts += [_limits(summary), _loading(summary)]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def plain(text: object) -> str:
    """Text that Markdown and HTML leave as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", html.escape(" ".join(str(text).split()), quote=False))


def _what(summary: RunSummary) -> Iterator[str]:
    yield f"# {plain(summary.name)}"
    yield ""
    yield (
        f"A model for the task **{plain(summary.task)}**, found by stillhouse among "
        f"{plain(count(summary.space_size))} configurations with "
        f"{len(summary.evaluations)} evaluations "
        f"(sampler {plain(summary.sampler)}, seed {summary.seed})."
    )
    yield ""
    yield verdict(summary)
    yield ""
    for said in in_words(summary):
        yield plain(said)
        yield ""
    yield "Configuration (of the full one):" if summary.full else "Configuration:"
    yield ""
    for name in dict.fromkeys([*summary.full, *summary.found]):
        found, full = summary.found.get(name, "dropped"), summary.full.get(name)
        of = "" if full is None else f" (of {plain(value_text(full))})"
        yield f"- {plain(name)}: {plain(value_text(found))}{of}"


def _certificate(summary: RunSummary) -> Iterator[str]:
    certificate = summary.certificate
    yield "## Certificate"
    yield ""
    if certificate.certified:
        yield "Measured on the exported artefact in the target runtime, in fresh processes."
    else:
        yield "**Not certified.** The latency is predicted for a device that was not at hand."
    yield ""
    yield f"- artefact: {plain(certificate.artefact)}"
    yield f"- sha256: `{plain(certificate.sha256)}`"
    for check in checks(certificate):
        yield f"- {_check(check)}"
    p95 = positive(certificate.measured.get("p95_ms"))
    if p95 is not None:
        yield f"- 95th percentile: {significant(p95)} ms"
    yield f"- largest difference to torch: {rough(certificate.max_difference)}"
    yield f"- exporter: {plain(certificate.exporter)}"
    for name, value in machine.facts(certificate).items():
        yield f"- {plain(name)}: {plain(value)}"
    yield f"- date: {plain(certificate.date)}"


def _check(check: Check) -> str:
    return f"{plain(check.title)}: {check.measured} (limit {check.bound}: {check.verdict})"


def _scores(summary: RunSummary) -> Iterator[str]:
    quality = primary(summary)
    yield "## Test scores"
    yield ""
    yield f"On the test split, read once, at the end; {quality.title}: {quality.direction}."
    yield ""
    yield "| model | " + " | ".join(headings(quality)) + " |"
    yield "| --- |" + " ---: |" * len(headings(quality))
    for line in lines(summary):
        yield _score(line)
    found = row_of(summary, "found")
    if found:
        yield ""
        yield "Every metric of the model: " + _metrics(found.test, quality)


def _metrics(values: Mapping[str, float], quality: Quality) -> str:
    shown = (
        f"{plain(name)} {quality.text(value, 2) if name == quality.name else significant(value, 4)}"
        for name, value in values.items()
    )
    return ", ".join(shown) + "."


def _score(line: Line) -> str:
    figures = (f"{f.text} ({f.against})" if f.against else f.text for f in line.figures)
    return f"| {plain(line.label)} | " + " | ".join(figures) + " |"


def _use(summary: RunSummary) -> Iterator[str]:
    device = ", ".join(plain(part) for part in machine.short(summary.certificate))
    yield "## Intended use"
    yield ""
    yield (
        f"Inference for {plain(summary.task)} on inputs prepared as in training, on a device like "
        "the one measured" + (f" ({device})." if device else ".")
    )
    if preparation := summary.inputs.get("preparation"):
        yield ""
        yield plain(preparation)
    if channels := channels_seen(summary):
        yield ""
        yield f"It takes only {plain(channels)} on the last axis of an input, in this order."
    if summary.outputs.get("several"):
        yield ""
        yield (
            f"A sample has any number of the labels {plain(', '.join(summary.outputs['labels']))}: "
            "the model gives a logit for each, and says that it is there where its sigmoid is "
            "above 0.5."
        )


def _limits(summary: RunSummary) -> Iterator[str]:
    yield "## Limits"
    yield ""
    yield "- Latency holds for the machine, threads and batch above; measure again elsewhere."
    yield "- Scores hold for data like the test split; other speakers, devices or domains differ."
    if row_of(summary, "teacher"):
        yield "- Trained to imitate a teacher: where the teacher errs, expect the same."
    for note in summary.notes:
        yield f"- {plain(note)}"


def _loading(summary: RunSummary) -> Iterator[str]:
    yield "## Loading"
    yield ""
    yield "```python"
    yield load_snippet(summary)
    yield "```"
    if summary.certificate.artefact.endswith(ONNX):
        yield ""
        yield "```python"
        yield onnx_snippet(summary)
        yield "```"
