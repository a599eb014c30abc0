"""`stillhouse taps` on everything that describes a network."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from stillhouse.core.cli.main import main
from stillhouse.core.evaluate import Student
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.saving import save_model

RESNET = {
    "model_type": "resnet",
    "embedding_size": 8,
    "hidden_sizes": [8, 16],
    "depths": [2, 1],
    "layer_type": "basic",
}
WHISPER = {
    "model_type": "whisper",
    "d_model": 16,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_layers": 1,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 32,
    "num_mel_bins": 8,
    "max_source_positions": 20,
}


def configured(folder: Path, config: Mapping[str, Any]) -> str:
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[list[str]]:
    assert main(["taps", *arguments]) == 0
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def words(line: str) -> list[str]:
    return line.split()


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["taps", *arguments]) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error


def test_a_family_has_the_taps_of_its_default_shape(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "cnn") == [
        words("model cnn: 4 taps in 2 stages, input 1x32x32"),
        ["NUMBER", "TAP", "WIDTH", "STAGE", "CLASS"],
        ["0", "stages.0.0.tap", "24", "0", "DepthwiseBlock"],
        ["1", "stages.0.1.tap", "24", "0", "DepthwiseBlock"],
        ["2", "stages.1.0.tap", "48", "1", "DepthwiseBlock"],
        ["3", "stages.1.1.tap", "48", "1", "DepthwiseBlock"],
    ]


def test_a_family_takes_the_input_that_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    title, _, *rows = printed(capsys, "keyword-transformer", "--input", "1x20x13")
    assert title == words("model keyword-transformer: 6 taps in 1 stage, input 1x20x13")
    assert rows[5] == ["5", "blocks.5", "96", "0", "Block"]


def test_a_run_file_has_those_of_its_teacher_and_of_its_student(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(
        "task: spoken-digits\n"
        "teacher: {model: cnn, stages: 3, depth: 1, width: 8, block: residual}\n"
        "student: {model: keyword-transformer, width: 16, depth: 2, heads: 2}\n"
        "recipe: [distil]\n"
        "search: {maximize: accuracy}\n"
        "target: {runtime: torch-cpu}\n"
    )
    lines = printed(capsys, str(path))
    assert lines[0][:7] == words("teacher cnn: 3 taps in 3 stages,")
    assert [line[1:] for line in lines[2:5]] == [
        [f"stages.{i}.0.tap", str(8 * 2**i), str(i), "ResidualBlock"] for i in range(3)
    ]
    assert lines[5] == []
    assert lines[6][:7] == words("student keyword-transformer: 2 taps in 1 stage,")
    assert lines[6][-1] == lines[0][-1]
    assert [line[1] for line in lines[8:]] == ["blocks.0", "blocks.1"]


def test_a_finished_run_has_those_of_the_model_it_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalogue = Catalogue.discover()
    record: Any = catalogue.model("cnn")
    family: Any = catalogue.resolve(record)()  # type: ignore[operator]
    structure = family.structure(record.params(depth=1), (12, 4), 3)
    module = family.build(structure, torch.Generator().manual_seed(0))
    artefact = tmp_path / "model.onnx"
    artefact.touch()
    (tmp_path / "run").mkdir()
    save_model(tmp_path / "run" / "best", Student("cnn", structure, module), artefact, "", {})
    for folder in (tmp_path / "run", tmp_path / "run" / "best"):
        title, _, *rows = printed(capsys, str(folder))
        assert title == words(f"run {folder}, cnn: 2 taps in 2 stages, input 1x12x4")
        assert [row[1] for row in rows] == ["stages.0.0.tap", "stages.1.0.tap"]


def test_a_configuration_of_transformers_needs_no_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = configured(tmp_path, RESNET)
    assert printed(capsys, folder) == [
        words(f"folder {folder}, ResNetModel: 3 taps in 2 stages, input 1x3x224x224"),
        ["NUMBER", "TAP", "WIDTH", "STAGE", "CLASS"],
        ["0", "encoder.stages.0.layers.0", "8", "0", "ResNetBasicLayer"],
        ["1", "encoder.stages.0.layers.1", "8", "0", "ResNetBasicLayer"],
        ["2", "encoder.stages.1.layers.0", "16", "1", "ResNetBasicLayer"],
    ]


def test_an_encoder_with_a_decoder_has_the_encoders_by_their_whole_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    title, _, *rows = printed(capsys, configured(tmp_path, WHISPER))
    assert title[-1] == "1x8x40"
    assert [row[1:3] for row in rows] == [["encoder.layers.0", "16"], ["encoder.layers.1", "16"]]


def test_code_beside_a_configuration_is_never_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    own = {"AutoConfig": "mine.Config", "AutoModel": "mine.Model"}
    folder = configured(tmp_path, {"model_type": "mine", "auto_map": own})
    assert "code beside it is never run" in refused(capsys, folder)
    assert not (tmp_path / "ran").exists()


def test_what_is_no_configuration_or_input_of_it_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = configured(tmp_path, RESNET)
    assert "ResNetModel does not run on an input of shape 1x3x8" in refused(
        capsys, folder, "--input", "1x3x8"
    )
    (tmp_path / "config.json").write_text('{"model_type":')
    assert "config.json: expected the configuration" in refused(capsys, folder)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["hubrt"], "or a model family (bert, cnn, "),
        (["hubrt"], "did you mean 'hubert'"),
        (["nowhere.yaml"], "nowhere.yaml"),
        (["nowhere.yaml", "--input", "1x8"], "leave it out here"),
        (["cnn", "--input", "16000"], "the batch and the sizes of an input with x between them"),
        (["cnn", "--input", "1x0"], "got '1x0'"),
        (["cnn", "--input", "1x16000"], "say the shape of an input with --input"),
    ],
)
def test_what_a_user_gets_wrong_is_one_clear_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refused(capsys, *arguments)


def test_a_folder_of_neither_kind_says_what_it_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "(with model.json) or a model of transformers (with config.json)" in refused(
        capsys, str(tmp_path)
    )


def test_help_imports_no_torch() -> None:
    probe = (
        "import sys\n"
        "from stillhouse.core.cli.main import main\n"
        "try:\n    main(['taps', '--help'])\n"
        "except SystemExit:\n    sys.exit('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert done.returncode == 0
    assert "a run file, a folder, or a model family" in done.stdout
