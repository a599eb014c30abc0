"""The records of the built-in model families."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

from stillhouse.core.evaluate import ModelFamily
from stillhouse.core.plugin import declared
from stillhouse.plugins.models.info import stillhouse_models


def test_every_record_names_a_family_of_the_same_name() -> None:
    records = list(stillhouse_models())
    assert {"keyword-transformer", "hubert"} <= {record.name for record in records}
    for record in records:
        module, attribute = record.build.split(":")
        family = getattr(import_module(module), attribute)()
        assert isinstance(family, ModelFamily)
        assert family.name == record.name


def test_defaults_fit_their_own_declarations() -> None:
    for record in stillhouse_models():
        problems = {p.name: p.problem(p.default) for p in declared(record.params)}
        assert set(problems.values()) == {None}, problems


def test_reading_the_records_imports_no_torch() -> None:
    code = (
        "import sys, stillhouse.plugins.models.info as info; list(info.stillhouse_models()); "
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
