"""Twenty foreign packages that import torch and transformers cost the command line nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import pytest

HEAVY = ("torch", "transformers", "ray", "scipy", "sklearn")
PROBE = f"""
import contextlib, io, json, sys
from stillhouse.core.cli.main import main
said = io.StringIO()
with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
    main(sys.argv[1:])
ours = [m for m in sys.modules if m.startswith("foreign_crowd")]
print(json.dumps([said.getvalue(), [m for m in {HEAVY} if m in sys.modules], ours]))
"""
Site = Any
"""The `Site` of conftest.py, which importlib mode does not let a test import."""


def test_help_imports_nothing_of_any_of_them(crowd: Site) -> None:
    said, heavy, ours = json.loads(crowd.python("-c", PROBE, "--help").stdout)
    assert "usage: stillhouse" in said
    assert (heavy, ours) == ([], [])


def test_the_listing_shows_all_of_them_and_imports_their_light_modules_only(crowd: Site) -> None:
    said, heavy, ours = json.loads(crowd.python("-c", PROBE, "plugins", "--json").stdout)
    listed = {line["name"]: line["status"] for line in json.loads(said)}
    assert [listed[f"crowd-{number}"] for number in range(20)] == ["active"] * 20
    assert heavy == []
    assert not [module for module in ours if module.endswith(".code")]


@pytest.mark.slow
def test_their_code_would_have_imported_both(crowd: Site) -> None:
    pytest.importorskip("transformers")
    code = "import sys, foreign_crowd_3.code; print('torch' in sys.modules)"
    assert crowd.python("-c", code).stdout == "True\n"


@pytest.mark.slow
def test_help_takes_less_than_300_ms(crowd: Site) -> None:
    command = [sys.executable, "-m", "stillhouse.core.cli.main", "--help"]

    def seconds() -> float:
        began = time.perf_counter()
        subprocess.run(command, env=crowd.environment(), check=True, capture_output=True)
        return time.perf_counter() - began

    seconds()
    best = min(seconds() for _ in range(15))
    print(f"stillhouse --help with 20 foreign packages: {best * 1e3:.0f} ms, best of 15")
    assert best < 0.3
