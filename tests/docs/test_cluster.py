"""`docs/cluster.md`: its section is one that run files take, its cluster one that Ray takes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

import pytest
import yaml

from stillhouse.core.cli.main import main
from stillhouse.core.config.runfile import load
from stillhouse.core.plugin import Catalogue

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "cluster.md").read_text("utf-8")
CLUSTER: Final = ROOT / "examples" / "cluster" / "aws.yaml"
RUN: Final = (ROOT / "examples" / "spoken_digits.yaml").read_text("utf-8")


def _sections() -> list[str]:
    whole = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return [*whole, *re.findall(r"`(execute: \{[^.`]+\})`", PAGE)]


@pytest.mark.parametrize("section", _sections())
def test_the_page_writes_sections_that_a_run_file_takes(section: str, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(f"{RUN}\n{section}\n")
    run = load(tmp_path / "run.yaml", Catalogue.discover())
    for key, value in yaml.safe_load(section)["execute"].items():
        assert getattr(run.execute, key) == value


def test_what_the_page_says_of_gpus_is_what_happens(tmp_path: Path) -> None:
    from stillhouse.core.errors import UserError
    from stillhouse.core.execute import Work
    from stillhouse.core.execute.ray_workers import RayWorkers

    with pytest.raises(UserError, match="Ray hides"):
        RayWorkers(Work("any:opener", {"device": "cuda"}), 1)


def test_the_example_cluster_fits_rays_schema() -> None:
    ray = pytest.importorskip("ray", reason="needs the extra ray")
    jsonschema = pytest.importorskip("jsonschema", reason="comes with ray")
    schema = json.loads((Path(ray.__file__).parent / "autoscaler/ray-schema.json").read_text())
    jsonschema.validate(yaml.safe_load(CLUSTER.read_text("utf-8")), schema)


def test_every_command_of_the_page_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    commands = re.findall(r"^\$ ray (\S+) (\S+)", PAGE, re.MULTILINE)
    assert {path for _, path in commands} == {"examples/cluster/aws.yaml"}
    scripts = pytest.importorskip("ray.scripts.scripts", reason="needs the extra ray")
    assert {name for name, _ in commands} <= set(scripts.cli.commands)
    for command in re.findall(r"stillhouse (\w+) [^`\"]+", PAGE):
        with pytest.raises(SystemExit):
            main([command, "--help"])
    assert "--resume" in capsys.readouterr().out
