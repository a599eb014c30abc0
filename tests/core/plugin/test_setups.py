"""Setups of the conformance kit written down in a project's pyproject.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse.core.errors import UserError
from stillhouse.core.plugin.conformance import Setup, setups_in


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "pyproject.toml"
    path.write_text(text)
    return path


def test_every_field_of_a_setup_can_be_written(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        [tool.stillhouse.check.thin]
        params = {rank = 2}
        model = "bert"
        model_params = {width = 8}
        shape = [7]
        tokens = 20
        before = ["soft-labels", {fresh = {}}]
        after = []
        runtime = "torch-cpu"
        """,
    )
    assert setups_in(path) == {
        "thin": Setup(
            params={"rank": 2}, model="bert", model_params={"width": 8}, shape=(7,), tokens=20,
            before=["soft-labels", {"fresh": {}}], after=[], runtime="torch-cpu",
        )
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "[tool.other]\nx = 1", "[tool.stillhouse]\ncheck = {}"])
def test_a_project_without_setups_has_none(text: str, tmp_path: Path) -> None:
    assert setups_in(written(tmp_path, text)) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[tool.stillhouse.check.thin]\nparam = {}",
            r"thin\.param: unknown key; did you mean 'par",
        ),
        ("[tool.stillhouse.check.thin]\nshape = 3", r"thin\.shape: expected a list, got 3"),
        ("[tool.stillhouse.check.thin]\ntokens = true", r"expected a whole number, got True"),
        ("[tool.stillhouse.check]\nthin = 3", r"check\.thin: expected a table such as .* got 3"),
        ("[tool", "expected a TOML file"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(
    text: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=said):
        setups_in(written(tmp_path, text))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected a TOML file: .*No such file"):
        setups_in(tmp_path / "pyproject.toml")
