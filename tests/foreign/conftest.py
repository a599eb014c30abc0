"""Packages by strangers: installed offline beside stillhouse, or made up by the dozen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

PACKAGES = Path(__file__).parent / "packages"


@dataclass(frozen=True)
class Site:
    """A folder of installed packages, and how a fresh process sees it."""

    folder: Path

    def environment(self) -> dict[str, str]:
        home = self.folder.parent / "home"
        return {**os.environ, "PYTHONPATH": str(self.folder), "STILLHOUSE_HOME": str(home)}

    def stillhouse(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess:
        """The command in a fresh process, which must end well."""
        return self.python("-m", "stillhouse.core.cli.main", *arguments, cwd=cwd)

    def python(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess:
        done = subprocess.run(
            [sys.executable, *arguments],
            env=self.environment(), cwd=cwd, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """All five packages installed as distributions of their own, without a network."""
    pytest.importorskip("setuptools")
    folder = tmp_path_factory.mktemp("foreign")
    sources = shutil.copytree(PACKAGES, folder / "sources")
    packages = sorted(str(place) for place in sources.iterdir() if place.is_dir())
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--no-index", "--no-deps", "--no-build-isolation", "--target", folder / "site", *packages],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return Site(folder / "site")


@pytest.fixture
def crowd(tmp_path: Path) -> Site:
    """Twenty packages of one method each, whose code imports torch and transformers."""
    for number in range(20):
        add_method(tmp_path / "site", f"crowd-{number}")
    return Site(tmp_path / "site")


@pytest.fixture(scope="session")
def waves() -> Callable[[Path], None]:
    def write(path: Path, samples: int = 120) -> None:
        """Noisy sines of three frequencies, (samples, 12 frames, 4 features)."""
        rng = np.random.default_rng(0)
        targets = np.arange(samples) % 3
        phase = rng.uniform(0, 6, (samples, 1, 4))
        inputs = np.sin((targets[:, None, None] + 1) * 0.4 * np.arange(12)[None, :, None] + phase)
        inputs += 0.3 * rng.standard_normal(inputs.shape)
        np.savez(path, x=inputs.astype(np.float32), y=targets)

    return write


def add_method(site: Path, name: str) -> None:
    package = f"foreign_{name.replace('-', '_')}"
    metadata = site / f"{package}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    points = f"[stillhouse.methods]\n{name} = {package}.info\n"
    (metadata / "entry_points.txt").write_text(points)
    (site / package).mkdir()
    (site / package / "__init__.py").touch()
    (site / package / "code.py").write_text("import torch\nimport transformers\n")
    (site / package / "info.py").write_text(
        "from stillhouse.core.plugin import MethodInfo, hookimpl\n\n"
        "@hookimpl\ndef stillhouse_methods():\n"
        f"    yield MethodInfo(name='{name}', summary='one of many', changes='form',\n"
        f"                     build='{package}.code:Method')\n"
    )
