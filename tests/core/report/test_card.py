from __future__ import annotations

from dataclasses import replace

from stillhouse.core.report import model_card
from stillhouse.core.run.summary import RunSummary


def test_the_card_has_its_chapters_in_order(summary: RunSummary) -> None:
    lines = model_card(summary).splitlines()
    assert lines[0] == "# digits"
    assert [line for line in lines if line.startswith("## ")] == [
        "## Certificate", "## Test scores", "## Intended use", "## Limits", "## Loading",
    ]  # fmt: skip


def test_the_card_certifies_the_artefact_with_its_hash_and_machine(summary: RunSummary) -> None:
    card = model_card(summary)
    assert f"- sha256: `{summary.certificate.sha256}`" in card
    assert "- cpu: AMD EPYC 7B13" in card
    assert "(AMD EPYC 7B13, cores 2, onnxruntime 1.27.0, threads 1, batch 1)" in card


def test_every_line_of_the_score_table_has_the_same_columns(summary: RunSummary) -> None:
    odd = [replace(row, label="a | b") for row in summary.rows]
    for changed in (summary, replace(summary, rows=odd)):
        table = [li for li in model_card(changed).splitlines() if li.startswith("|")]
        assert len(table) == 2 + 4
        assert {line.replace("\\|", "").count("|") for line in table} == {9}


def test_an_artefact_for_another_runtime_gets_no_onnxruntime_snippet(summary: RunSummary) -> None:
    other = replace(summary, certificate=replace(summary.certificate, artefact="model.tflite"))
    assert "import onnxruntime" in model_card(summary)
    assert "import onnxruntime" not in model_card(other)


def test_the_snippets_and_the_card_say_what_inputs_are(summary: RunSummary) -> None:
    inputs = {"dtype": "int64", "ids": [101, 29000], "preparation": "Cut to 48 tokens."}
    card = model_card(replace(summary, inputs=inputs))
    assert "Cut to 48 tokens." in card
    assert "np.full(shape, 101, np.int64)  # put your ids here, 101 to 29000" in card
    assert "inputs: (batch, ...), int64, as in training" in card
    assert "np.zeros(shape, np.float32)  # put your features here" in model_card(summary)


def test_the_card_and_its_snippet_say_which_channels_the_model_takes(summary: RunSummary) -> None:
    inputs = {"dtype": "float32", "channels": [1, 0], "of": 12}
    card = model_card(replace(summary, inputs=inputs))
    assert "It takes only channels 1, 0 of 12 on the last axis of an input, in this order." in card
    assert "inputs: (batch, ...), float32, channels 1, 0 of 12, as in training" in card
    assert "channels" not in model_card(summary)


def test_the_card_says_how_several_labels_are_read(summary: RunSummary) -> None:
    outputs = {"several": True, "labels": ["low", "high"]}
    card = model_card(replace(summary, outputs=outputs))
    assert "any number of the labels low, high: the model gives a logit for each" in card
    assert card.count("present = outputs > 0  # (batch, labels): sigmoids above 0.5") == 2
    assert "present = outputs" not in model_card(summary)
