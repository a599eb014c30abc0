"""`docs/devices.md` carried out: its commands in order, its line of a run file, its sections."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stillhouse.core.cli.main import main
from stillhouse.core.config.target_alone import target_alone
from stillhouse.core.measure import DeviceFile
from stillhouse.core.measure import identity as identities
from stillhouse.core.measure.blocks import general_shapes
from stillhouse.core.plugin import Catalogue

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[2] / "docs" / "devices.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
COMMANDS = [
    line.removeprefix("$ ")
    for language, text in BLOCKS
    if language == "console"
    for line in text.splitlines()
]
RUN_FILE = """\
task: {npz: {path: data.npz}}
teacher: {model: keyword-transformer, width: 16, depth: 1, heads: 1, epochs: 1}
recipe:
  - supernet: {space: keyword-transformer-tiny, epochs: 1, full_epochs: 1}
search: {maximize: accuracy, evaluations: 4}
target: {runtime: onnxruntime-cpu, profile: 5, repeats: 3, patience_s: 0}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the page's commands were run, on fewer operators, timed as often as asked."""
    folder = tmp_path_factory.mktemp("devices")
    rng = np.random.default_rng(0)
    np.savez(folder / "data.npz", x=rng.standard_normal((60, 6, 3)), y=np.arange(60) % 3)
    (folder / "run.yaml").write_text(RUN_FILE)
    few = [s for s in general_shapes(rng) if s.kind in ("linear", "norm")][::4]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("stillhouse.core.measure.timing._MOST_TIMES", 1)
        patch.setattr("stillhouse.core.measure.profile.general_shapes", lambda rng: few)
        for command in COMMANDS:
            _execute(shlex.split(command), folder)
    return folder


def _execute(words: list[str], folder: Path) -> None:
    if words[0] == "stillhouse":
        quick = [] if "--run" in words or "--bundle" in words else ["--set", "patience_s=0"]
        assert main([*words[1:], *quick]) == 0
        return
    manifest = json.loads((folder / "pi" / "manifest.json").read_text())
    manifest["settings"]["patience_s"] = 0
    (folder / "pi" / "manifest.json").write_text(json.dumps(manifest))
    assert words[0] == "python"
    subprocess.run([sys.executable, "-I", *words[1:]], check=True, capture_output=True, cwd=folder)


def test_every_file_the_page_writes_is_a_device_file(folder: Path) -> None:
    outs = re.findall(r"--out (\S+)", "\n".join(COMMANDS))
    sizes = {out: len(DeviceFile.read(folder / out)) for out in outs}
    assert sizes.pop("laptop.json") == 0
    assert set(sizes) == {"laptop-speech.json", "pi.json", "new.json"}
    assert min(sizes.values()) >= 5


def test_adapting_measures_few_networks_and_takes_the_other_model_along(folder: Path) -> None:
    new, other = DeviceFile.read(folder / "new.json"), DeviceFile.read(folder / "pi.json")
    assert new.adapted_from is not None
    assert new.adapted_from["identity"] == other.identity
    assert new.adapted_from["model"]["kind"] in ("fitted", "table", "roofline", "adapted")
    assert 5 <= len(new.structures("keyword-transformer")) <= 12
    assert new.blocks() == {}


def test_the_sections_shown_are_those_that_are_written(folder: Path) -> None:
    shown = json.loads(next(text for language, text in BLOCKS if language == "json"))
    written: dict[str, object] = {}
    for out in ("pi.json", "new.json"):
        written |= json.loads((folder / out).read_text())
    assert set(shown) == set(written)
    assert shown["format"] == written["format"]


def test_the_run_files_line_names_the_file() -> None:
    line = next(text for language, text in BLOCKS if language == "yaml")
    inside = re.search(r"\{runtime: (\S+), (device): (\S+)\}", line)
    assert inside is not None
    section = target_alone(inside[1], [f"{inside[2]}={inside[3]}"], Catalogue.discover())
    assert section.device is not None
    assert Path(section.device).name == "pi.json"


def test_the_parts_of_an_identity_are_those_of_the_table() -> None:
    rows = {
        line.split("|")[1].strip(): line.split("|")[2] for line in PAGE.splitlines() if "|" in line
    }
    assert tuple(re.findall(r"`(\w+)`", rows["hardware"])) == identities.HARDWARE
    assert tuple(re.findall(r"`(\w+)`", rows["export"])) == identities.EXPORT
