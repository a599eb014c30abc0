from __future__ import annotations

import subprocess
import sys

from stillhouse.core.plugin import declared
from stillhouse.plugins.samplers.info import stillhouse_samplers


def test_every_sampler_is_described() -> None:
    records = list(stillhouse_samplers())
    names = {record.name for record in records}
    optuna = {"optuna-tpe", "optuna-nsga2", "optuna-gp", "optuna-cmaes", "optuna-qmc"}
    assert {"random", "evolution", "optuna-random", *optuna} <= names
    assert all(record.summary for record in records)
    assert all(
        param.problem(param.default) is None for r in records for param in declared(r.params)
    )


def test_describing_samplers_imports_nothing_heavy() -> None:
    heavy = ["optuna", "torch", "scipy", "moocore", "numpy"]
    code = (
        "import sys; from stillhouse.plugins.samplers.info import stillhouse_samplers; "
        f"list(stillhouse_samplers()); print([n for n in {heavy} if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
