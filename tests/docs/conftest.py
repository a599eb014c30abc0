"""`docs/add-a-method.md` carried out: files written, package installed, commands run."""

from __future__ import annotations

import os
import re
import shlex
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from stillhouse.core.cli.main import main
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.summary import RunSummary

PAGE = Path(__file__).parents[2] / "docs" / "add-a-method.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SMALL = (
    "task=npz", "task.npz.path=waves.npz",
    "teacher.width=24", "teacher.depth=2", "teacher.heads=2", "teacher.epochs=2",
    "recipe.supernet.space=keyword-transformer-tiny", "recipe.supernet.full_epochs=1",
    "recipe.supernet.epochs=2", "recipe.factored-feed-forward.rank={choices: [2, 4]}",
    "recipe.distil.epochs=1", "search.limits={parameters: 70%}", "search.evaluations=6",
    "search.batch=3", "search.finalists=2", "target.profile=6", "target.repeats=5",
    "target.device=device.json", "target.processes=1", "target.patience_s=0", "baselines=false",
    "train.threads=1",
)  # fmt: skip
"""What makes the page's run a matter of seconds; its methods and their order stay."""


@dataclass(frozen=True)
class Page:
    """The page's files in a folder, `site` being where its package is importable from."""

    folder: Path
    site: Path
    commands: tuple[str, ...]

    @property
    def environment(self) -> dict[str, str]:
        """What a fresh process needs to see the package."""
        return {**os.environ, "PYTHONPATH": str(self.site)}

    @property
    def overrides(self) -> list[str]:
        return [word for small in SMALL for word in ("--set", small)]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page written out and its package installed, as `pip install -e` would."""
    folder = tmp_path_factory.mktemp("page")
    blocks = FENCE.findall(PAGE.read_text("utf-8"))
    for text in (text for language, text in blocks if language != "console"):
        path = folder / re.match(r"# (\S+)\n", text)[1]  # type: ignore[index]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    shell = "".join(text for language, text in blocks if language == "console")
    site = folder / "stillhouse-thin"
    install(site)
    write_waves(folder / "waves.npz")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        patch.chdir(folder)
        yield Page(folder, site, tuple(re.findall(r"^\$ (.+)$", shell, re.MULTILINE)))
    for name in [name for name in sys.modules if name.startswith("stillhouse_thin")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def catalogue(page: Page) -> Catalogue:
    return Catalogue.discover()


@pytest.fixture(scope="module")
def found(page: Page, measured_once: Callable[[], AbstractContextManager[None]]) -> Path:
    """The run directory of the page's last command, made small."""
    command = [*shlex.split(page.commands[-1])[1:], "--out", "found", *page.overrides]
    assert command[0] == "search"
    with measured_once():
        assert main(command) == 0
    return page.folder / "found"


@pytest.fixture(scope="module")
def summary(found: Path) -> RunSummary:
    return RunSummary.from_json((found / "summary.json").read_text())


def install(site: Path) -> None:
    """Metadata beside the package, with what its own pyproject.toml declares."""
    project = tomllib.loads((site / "pyproject.toml").read_text())["project"]
    name, version = project["name"], project["version"]
    metadata = site / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir()
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (metadata / "METADATA").write_text(head)
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{point} = {module}" for point, module in points.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")


def write_waves(path: Path, samples: int = 120) -> None:
    """Noisy sines of three frequencies, (samples, 12 frames, 4 features)."""
    rng = np.random.default_rng(0)
    targets = np.arange(samples) % 3
    phase = rng.uniform(0, 6, (samples, 1, 4))
    inputs = np.sin((targets[:, None, None] + 1) * 0.4 * np.arange(12)[None, :, None] + phase)
    inputs += 0.3 * rng.standard_normal(inputs.shape)
    np.savez(path, x=inputs.astype(np.float32), y=targets)


@dataclass(frozen=True)
class Shown:
    """The package that a page shows, importable and in the metadata; `folder` holds the rest."""

    folder: Path
    distribution: str
    catalogue: Catalogue


@pytest.fixture(scope="module")
def shown(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shown]:
    """What the page named by the test module's `PAGE` shows, as `pip install -e` leaves it."""
    folder = tmp_path_factory.mktemp("shown")
    text = (PAGE.parent / f"{request.module.PAGE}.md").read_text("utf-8")
    for _, block in FENCE.findall(text):
        path = folder / re.match(r"# (\S+)\n", block)[1]  # type: ignore[index]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block)
    (site,) = (path.parent for path in folder.glob("*/pyproject.toml"))
    install(site)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        patch.chdir(folder)
        yield Shown(folder, site.name, Catalogue.discover())
    for name in [name for name in sys.modules if name.startswith(site.name.replace("-", "_"))]:
        del sys.modules[name]
