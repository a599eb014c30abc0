"""`docs/convert.md` carried out: its scripts in order, and what they print."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[2] / "docs" / "convert.md").read_text()
BLOCKS = re.findall(r"^```(python|text)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_the_page_s_scripts_print_what_it_says() -> None:
    if find_spec("transformers") is None:
        pytest.skip("the page translates a HuBERT of transformers, which is not installed")
    script = "\n".join(text for language, text in BLOCKS if language == "python")
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "".join(text for language, text in BLOCKS if language == "text")
