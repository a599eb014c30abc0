"""The site builds without a warning, holds every page, and fetches nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

DOCS: Final = Path(__file__).parents[2] / "docs"
FETCHED: Final = re.compile(r"<(?:script|link|img)[^>]+(?:src|href)=\"(?:https?:)?//")
STYLED: Final = re.compile(r"(?:url\(|@import )[\"']?(?:https?:)?//")


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. Every warning is an error: broken links, pages that no contents list."""
    pytest.importorskip("sphinx", reason="needs the extra docs")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-n", "-W", "--keep-going", "-b", "html",
         "-d", str(folder / "cache"), str(DOCS), str(folder / "html")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "html"


def test_every_page_is_on_the_site(site: Path) -> None:
    pages = [path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")]
    assert [str(page) for page in pages if not (site / page).is_file()] == []


def test_reading_fetches_nothing_from_elsewhere(site: Path) -> None:
    fetching = [path.name for path in site.rglob("*.html") if FETCHED.search(path.read_text())]
    styled = [path.name for path in site.rglob("*.css") if STYLED.search(path.read_text())]
    assert (fetching, styled) == ([], [])


def test_the_contents_lead_to_every_page_but_decisions(site: Path) -> None:
    index = (site / "index.html").read_text()
    pages = [path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")]
    listed = [page for page in pages if page.parent.name != "decisions"]
    assert [str(page) for page in listed if f'"{page}"' not in index and page.stem != "index"] == []
