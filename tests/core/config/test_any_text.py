"""Whatever the text, `parse` returns a run file or raises ConfigError; nothing else."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stillhouse.core.config import RunFile, load, parse
from stillhouse.core.errors import ConfigError

quick = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PIECES = st.sampled_from(
    [
        *("task", "teacher", "recipe", "search", "target", "supernet", "model", "spoken-digits"),
        *(": ", ":", "\n", "\n  ", "\n- ", "[", "]", "{", "}", ", ", "? ", "- ", "| ", "> ", "#"),
        *("&a ", "*a", "!!str ", "!x ", "%YAML 1.1\n", "%TAG ! x\n", "---\n", "...\n", "<<: "),
        *('"', "'", "\\x", "\\U0011ffff", "\t", "\r", "\0", "\ufeff", "\ud800", "\u2028", "é"),
        *("0", "-1", "1e999", ".nan", "1:30", "0x1f", "2020-01-01", "~", "true", "10%", "<= 2"),
    ]
)
yaml_like = st.lists(PIECES, max_size=40).map("".join)


def outcome(read):
    """The run file, or the message of the one error that is allowed."""
    try:
        return read()
    except ConfigError as error:
        return str(error)


def only_config_errors(text, catalogue, sets=(), limits=()):
    found = outcome(lambda: parse(text, "run.yaml", catalogue, sets, limits))
    if isinstance(found, RunFile):
        assert parse(found.to_yaml(), "run.yaml", catalogue) == found
    else:
        lines = found.split("\n")
        assert 1 <= len(lines) <= 6
        assert all(line.isprintable() for line in lines)


@quick
@given(text=st.text(max_size=200) | yaml_like)
def test_any_text(catalogue, text):
    only_config_errors(text, catalogue)


@quick
@given(data=st.data())
def test_any_damage_to_a_valid_file(catalogue, run_text, data):
    text = run_text
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 12)))
        text = text[:start] + data.draw(PIECES | st.text(max_size=4)) + text[end:]
    only_config_errors(text, catalogue)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@quick
@given(value=VALUES, where=st.integers(0, 40))
def test_any_value_in_any_place(catalogue, run_text, value, where):
    import json

    lines = run_text.splitlines()
    at = where % len(lines)
    key = lines[at].split(":")[0]
    lines[at] = f"{key}: {json.dumps(value)}"
    only_config_errors("\n".join(lines), catalogue)


KEYS = st.sampled_from(["recipe", "supernet", "soft-labels", "0", "search", "limits", "task", "²"])


@quick
@given(
    path=st.lists(KEYS | st.text(max_size=5), max_size=5).map(".".join),
    value=st.text(max_size=10) | yaml_like,
    limit=st.text(max_size=12),
)
def test_any_override(catalogue, run_text, path, value, limit):
    only_config_errors(run_text, catalogue, sets=[f"{path}={value}", "search.seed=1"])
    only_config_errors(run_text, catalogue, limits=[limit])
    only_config_errors(run_text, catalogue, limits=[f"macs <={limit}"])


@quick
@given(raw=st.binary(max_size=80))
def test_any_bytes(catalogue, tmp_path, raw):
    path = tmp_path / "run.yaml"
    path.write_bytes(raw)
    found = outcome(lambda: load(path, catalogue))
    assert isinstance(found, RunFile) or found.startswith(str(path))
