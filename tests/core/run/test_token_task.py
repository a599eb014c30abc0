"""A whole search over sentences: ids from the table to the certificate, the bundle and the card."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from stillhouse.core.cli.main import main
from stillhouse.core.config.runfile import load as load_run
from stillhouse.core.evaluate import Silent
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.directory import RunDirectory
from stillhouse.core.run.engine import execute
from stillhouse.core.run.loading import load
from stillhouse.core.run.recertifying import recertify
from stillhouse.plugins.targets.info import TorchCpuParams
from stillhouse.plugins.targets.torch_cpu import torch_cpu

pytestmark = pytest.mark.slow

WORDS = ("[PAD]", "[UNK]", "good", "bad", "film", "very", "not", "the")
RUN_FILE = """
name: sentences
task: {text-csv: {path: own.csv, tokeniser_file: tokenizer.json, tokens: 6}}
teacher:
  {model: bert, vocabulary: 8, padding: 0, width: 16, depth: 2, heads: 2, head_dim: 8,
   ffn_ratio: 2.0, epochs: 2, batch_size: 16}
recipe:
  - soft-labels: {weight: 0.5}
  - supernet: {space: auto, full_epochs: 1, epochs: 1, batch_size: 16}
search:
  {maximize: accuracy, limits: {latency_ms: 400%, latency_ms@4: <= 50}, evaluations: 3, batch: 3,
   finalists: 1}
target:
  {runtime: onnxruntime-cpu, profile: 5, repeats: 5, processes: 1, patience_s: 0,
   device: device.json}
baselines: false
train: {threads: 1}
"""


def write_project(folder: Path) -> None:
    """Sentences of three words, "up" where more are good than bad, and a tokeniser for them."""
    tokenizers = pytest.importorskip("tokenizers")
    known = {word: number for number, word in enumerate(WORDS)}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(known, unk_token=WORDS[1]))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(folder / "tokenizer.json"))
    rows = itertools.product(WORDS[2:], WORDS[2:], WORDS[2:4])
    lines = [f"{' '.join(row)},{'up' if row.count('good') > 1 else 'down'}\n" for row in rows]
    (folder / "own.csv").write_text("text,label\n" + "".join(lines))
    (folder / "run.yaml").write_text(RUN_FILE)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, catalogue: Catalogue) -> Path:
    """A project whose run lies in `runs/sentences`."""
    folder = tmp_path_factory.mktemp("sentences")
    write_project(folder)
    config = load_run(folder / "run.yaml", catalogue)
    (folder / "runs").mkdir()
    with RunDirectory.create(folder / "runs" / "sentences", config.to_yaml()) as directory:
        execute(make_plan(config, catalogue), catalogue, directory, Silent())
    return folder


def ids(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    words = torch.randint(2, len(WORDS), (count, 6), generator=generator)
    return words.masked_fill(torch.arange(6) >= 3, 0)


def test_the_found_model_answers_alike_as_onnx_and_reloaded(
    found: Path, catalogue: Catalogue
) -> None:
    best = found / "runs" / "sentences" / "best"
    record = json.loads((best / "model.json").read_text())
    assert record["inputs"]["dtype"] == "int64"
    assert record["inputs"]["ids"] == [2, 7]
    assert "cut to 6" in record["inputs"]["preparation"]
    assert record["certificate"]["measured"]["latency_ms"] > 0
    assert record["certificate"]["measured"]["latency_ms@4"] > 0
    session = onnxruntime.InferenceSession(best / "model.onnx")
    with torch.no_grad():
        expected = load(best, catalogue)(ids(5)).numpy()
    answers = [session.run(None, {"input": one[None].numpy()})[0][0] for one in ids(5)]
    np.testing.assert_allclose(answers, expected, atol=1e-5)


def test_the_cards_snippet_runs_as_it_stands(found: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(found)
    card = Path("runs/sentences/best/README.md").read_text()
    assert "filled up with 0 on the right" in card
    torch_code, onnx_code = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    names: dict[str, object] = {}
    exec(onnx_code, names)  # noqa: S102 - the card's own code
    assert np.shape(names["outputs"]) == (1, 2)  # type: ignore[arg-type]
    exec(torch_code, {"inputs": torch.from_numpy(names["inputs"])})  # noqa: S102 - as above


def test_the_model_is_certified_again(found: Path, catalogue: Catalogue) -> None:
    (again,) = recertify(found / "runs" / "sentences", catalogue)
    verdicts = {check.cost: check.verdict for check in again.checks}
    assert verdicts["latency_ms"] == "met"


def test_a_bundle_measures_it_elsewhere(found: Path, tmp_path: Path) -> None:
    run, bundle = str(found / "runs" / "sentences"), tmp_path / "bundle"
    assert main(["certify", run, "--bundle", str(bundle)]) == 0
    command = [sys.executable, "-I", str(bundle / "measure.py")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = ["--bundle", str(bundle), "--from-result", str(bundle / "result.json")]
    assert main(["certify", run, *result]) in (0, 1)


def test_the_model_is_written_for_another_target(
    found: Path, tmp_path: Path, catalogue: Catalogue
) -> None:
    run, out = found / "runs" / "sentences", tmp_path / "model.aten"
    arguments = ["export", str(run), "--target", "torch-cpu", "--set", "batch=2"]
    assert main([*arguments, "--out", str(out)]) == 0
    with torch.no_grad():
        expected = load(run, catalogue)(ids(5)).numpy()
    outputs = torch_cpu(TorchCpuParams()).run(out, ids(5))
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_a_model_with_unusable_inputs_is_refused(
    found: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = found / "runs" / "sentences" / "best"
    record = json.loads((best / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**record, "inputs": {"dtype": "words"}}))
    (tmp_path / "model.safetensors").write_bytes((best / "model.safetensors").read_bytes())
    arguments = ["export", str(tmp_path), "--target", "torch-cpu", "--out", str(tmp_path / "new")]
    assert main(arguments) == 2
    assert "inputs: expected a torch type" in capsys.readouterr().err
