from __future__ import annotations

import pytest

from stillhouse.core.config.target_alone import target_alone
from stillhouse.core.errors import ConfigError
from stillhouse.core.plugin import Catalogue

CATALOGUE = Catalogue.discover()


def test_settings_are_read_as_in_a_run_file() -> None:
    section = target_alone("onnxruntime-cpu", ["threads=2", "repeats=7"], CATALOGUE)
    assert section.runtime.name == "onnxruntime-cpu"
    assert section.runtime.fixed["threads"] == 2
    assert section.runtime.fixed["batch"] == 1
    assert section.repeats == 7


@pytest.mark.parametrize(
    ("name", "option", "said"),
    [
        ("onnxruntime", "batch=1", "did you mean 'onnxruntime-cpu'"),
        ("onnxruntime-cpu", "bath=1", "did you mean 'batch'"),
        ("onnxruntime-cpu", "batch=0", "--set batch=0: batch"),
        ("onnxruntime-cpu", "batch", "expected KEY.PATH=VALUE"),
        ("onnxruntime-cpu", "batch={low: 1, high: 2}", "expected a fixed value"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_option(name: str, option: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        target_alone(name, [option], CATALOGUE)
    assert said in str(refused.value)
