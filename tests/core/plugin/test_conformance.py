"""The conformance kit finds what it is for: each breach by the check of its name."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from stillhouse.core.errors import UserError
from stillhouse.core.plugin.conformance import ConformanceError, Setup, check_plugin, checks

HEAD = """
import copy
import random
from dataclasses import replace
from typing import final
import numpy as np
import torch
from torch import nn
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Artefact, LossTerm, Method, Rebuild

class Scaled(nn.Module):
    def __init__(self, inner, factor):
        super().__init__()
        self.inner, self.factor = inner, factor
    def forward(self, inputs):
        return self.inner(inputs) * self.factor

def scaled(student, name, factor, record=None):
    module = Scaled(copy.deepcopy(student.module), factor).eval()
    change = Rebuild(name, {"factor": factor} if record is None else record)
    return replace(student, module=module, rebuilds=(*student.rebuilds, change))

@final
class Broken(Method):
"""
INFO = """
from stillhouse.core.plugin import Gain, MethodInfo, Params, hookimpl, param

class P(Params):
    factor: float = param(2.0, low=0.1, high=9, phase="apply", help="of the answers")

@hookimpl
def stillhouse_methods():
    yield MethodInfo(name="{name}", summary="made up", build="{package}.code:Broken", params=P,
                     {fields})
"""
SOUND = """
    def apply(self, state, choice, artefact, context):
        return state.with_student(self.skeleton(state.student, choice, context))
    def skeleton(self, student, choice, context):
        return scaled(student, "{name}", choice.params.factor)
    def rebuild(self, skeleton, record):
        return Scaled(copy.deepcopy(skeleton), record["factor"]).eval()
"""
UNSPENT = "changes='form', needs=frozenset({'student', 'float weights'})"
FORM = UNSPENT + ", spends=frozenset({'plain layers'})"
GAIN = (
    "Gain(target='onnxruntime-cpu', network='n', setting='s', speed_up={}, low={}, high=2.0, "
    "size=0.5, machine='m')"
)
TERM = "changes='loss terms', leaves=frozenset({'loss terms'})"
Make = Callable[..., str]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Put a distribution of one method on the path; returns its name."""

    def made(name: str, code: str, fields: str = FORM, info: str = "") -> str:
        package = name.replace("-", "_")
        metadata = tmp_path / f"{package}-1.0.dist-info"
        metadata.mkdir()
        head = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        (metadata / "METADATA").write_text(head)
        (metadata / "entry_points.txt").write_text(
            f"[stillhouse.methods]\n{name} = {package}.info\n"
        )
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
        described = INFO.replace("{name}", name).replace("{package}", package)
        (tmp_path / package / "info.py").write_text(info + described.replace("{fields}", fields))
        body = dedent(HEAD) + code.replace("{name}", name)
        (tmp_path / package / "code.py").write_text(body)
        monkeypatch.syspath_prepend(str(tmp_path))
        return name

    return made


def failed(name: str, *titles: str) -> dict[str, str]:
    """What the checks found, by title; only those of the titles are run where there are any."""
    found = {}
    for check in checks(name):
        if titles and check.title not in titles:
            continue
        try:
            check()
        except ConformanceError as error:
            found[check.title] = str(error)
    return found


def test_importing_the_kit_imports_neither_torch_nor_numpy() -> None:
    code = (
        "import sys, stillhouse.core.plugin.conformance; "
        "print([m for m in ('torch', 'numpy', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.slow
def test_a_sound_method_that_changes_the_form_passes_every_check(make: Make) -> None:
    check_plugin(make("sound-form", SOUND))


APPLY = "    def apply(self, state, choice, artefact, context):\n"
BREACHES = {
    "form-unspent": (
        SOUND,
        UNSPENT,
        "capabilities",
        "expected 'plain layers' in spends of a method that changes the form",
    ),
    "global-draw": (
        APPLY + "        torch.rand(1)\n        return state\n",
        "changes='student', needs=frozenset({'student'})",
        "global generators",
        "expected apply to leave torch's global generator as it was",
    ),
    "unseeded-weights": (
        APPLY + "        module = copy.deepcopy(state.student.module)\n"
        "        with torch.no_grad(), torch.random.fork_rng([]):\n"
        "            next(module.parameters()).add_(torch.rand(1))\n"
        "        return state.with_student(replace(state.student, module=module))\n",
        "changes='student', needs=frozenset({'student'})",
        "determinism",
        "expected equal weights of two applies from one seed, got another",
    ),
    "in-place": (
        APPLY + "        with torch.no_grad():\n"
        "            next(state.student.module.parameters()).mul_(2)\n        return state\n",
        "changes='student', needs=frozenset({'student'})",
        "given state",
        "of the student; copy first",
    ),
    "no-skeleton": (
        APPLY + "        return state.with_student(scaled(state.student, '{name}', 2.0))\n",
        FORM,
        "skeleton",
        "expected the rebuilds of the skeleton as that of apply",
    ),
    "other-rebuild": (
        SOUND.replace('record["factor"]', '1 + record["factor"]'),
        FORM,
        "rebuild",
        "expected the loaded model to answer as the student does",
    ),
    "tensor-record": (
        SOUND.replace(
            "choice.params.factor)", "choice.params.factor, {{'factor': np.float32(2)}})"
        ).replace("{{", "{").replace("}}", "}"),
        FORM,
        "rebuild",
        "expected a record of a Rebuild that JSON gives back",
    ),
    "wrong-sheet": (
        SOUND + "    def sheet(self, sheet, columns, context):\n"
        "        return sheet.map(lambda row: {'outputs': row['outputs'] + 1})\n",
        FORM,
        "sheet",
        "expected parameters of the sheet as counted from the networks",
    ),
    "bare-error": (
        SOUND.replace("return scaled(", "student.module.blocks[0]\n        return scaled("),
        FORM,
        "unsupported model",
        "got AttributeError: 'Strange' object has no attribute 'blocks'",
    ),
    "kept-adapter": (
        SOUND.replace(
            "        return Scaled(copy.deepcopy(skeleton), record[\"factor\"]).eval()",
            "        module = Scaled(copy.deepcopy(skeleton), record[\"factor\"])\n"
            "        module.adapter = nn.Parameter(torch.zeros(3))\n        return module.eval()",
        ).replace(
            "return scaled(student, \"{name}\", choice.params.factor)",
            "found = scaled(student, \"{name}\", choice.params.factor)\n"
            "        found.module.adapter = nn.Parameter(torch.zeros(3))\n        return found",
        ),
        FORM,
        "export",
        "expected every parameter to take part in the answers, got idle: adapter",
    ),
    "kept-teacher": (
        APPLY + "        module = Scaled(copy.deepcopy(state.student.module), 1.0)\n"
        "        module.teacher = state.teachers['teacher'].module\n"
        "        return state.with_student(replace(state.student, module=module.eval()))\n",
        FORM,
        "export",
        "expected a student of its own layers, got 'teacher', a layer of 'teacher'",
    ),
    "unknown-target": (
        SOUND,
        FORM + ", speeds_up=frozenset({'onnxruntime-gpu'})",
        "speed claims",
        "got 'onnxruntime-gpu'; name the target that the gain was measured on; did you mean",
    ),
    "claim-without-measurement": (
        SOUND,
        FORM + ", speeds_up=frozenset({'onnxruntime-cpu'})",
        "speed claims",
        "expected speeds_up=[], the targets that measured is surely faster on, got "
        "speeds_up=['onnxruntime-cpu']; measure it",
    ),
    "claim-of-a-loss": (
        SOUND,
        FORM + ", speeds_up=frozenset({'onnxruntime-cpu'}), "
        "measured=(" + GAIN.format(1.01, 0.97) + ",)",
        "speed claims",
        "expected speeds_up=[], the targets that measured is surely faster on, got speeds_up=['o",
    ),
    "unclaimed-gain": (
        SOUND,
        FORM + ", measured=(" + GAIN.format(1.5, 1.4) + ",)",
        "speed claims",
        "expected speeds_up=['onnxruntime-cpu'], the targets that measured is surely faster on",
    ),
    "impossible-gain": (
        SOUND,
        FORM + ", measured=(" + GAIN.format(3.0, 0.9) + ",)",
        "speed claims",
        "expected 0 < low <= speed_up <= high and a size above 0 in measured, got Gain(",
    ),
    "undeclared-term": (
        APPLY + "        term = LossTerm('zero', 1.0, lambda s, t, b, a: 0 * s.logits.sum())\n"
        "        return state.with_term(term)\n",
        "changes='loss terms'",
        "capabilities",
        "leaves=[] of a method that leaves one; correct the record",
    ),
    "undeclared-prepare": (
        "    def prepare(self, state, params, context):\n        return Artefact()\n"
        + APPLY + "        return state\n",
        TERM,
        "code",
        "expected prepares=True, since the class has a prepare, got prepares=False",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BREACHES)
def test_a_breach_is_found_by_the_check_of_its_name(name: str, make: Make) -> None:
    code, fields, title, said = BREACHES[name]
    make(name, code, fields)
    found = failed(name, title)
    assert said in found[title]
    assert found[title].startswith(f"method '{name}' of {name} 1.0: {title}: expected")


def test_a_heavy_light_module_is_found_in_a_fresh_process(make: Make) -> None:
    make("heavy-info", SOUND, info="import torch\n")
    found = failed("heavy-info", "light import")["light import"]
    assert "expected heavy_info.info to import none of torch" in found
    assert "got torch; import it in the module that `build` names" in found


def test_a_class_that_can_be_derived_from_is_refused(make: Make) -> None:
    make("open-class", SOUND + "\nBroken.__final__ = False\n")
    assert "expected Broken to be final" in failed("open-class", "code")["code"]


def test_all_failures_are_told_at_once(make: Make) -> None:
    name = make("two-breaches", BREACHES["global-draw"][0], "changes='form', prepares=True")
    with pytest.raises(ConformanceError) as caught:
        check_plugin(name)
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("checks failed")
    assert {line.split(": ")[1] for line in lines[1:]} >= {"code", "global generators"}


def test_an_error_is_placed_in_the_plugins_own_code(make: Make) -> None:
    code = """
    def apply(self, state, choice, artefact, context):
        return torch.zeros(2) @ torch.zeros(3)
"""
    said = failed(make("erring", code, "changes='form'"), "code", "determinism")["determinism"]
    assert re.search(r"got RuntimeError: .* \(.*/code\.py, line \d+\); mend that", said)


def test_an_apply_that_returns_nothing_is_named(make: Make) -> None:
    code = "\n    def apply(self, state, choice, artefact, context):\n        pass\n"
    said = failed(make("silent", code, "changes='form'"), "given state")["given state"]
    assert "TypeError: expected it to return the State, got None" in said


def test_a_name_in_conflict_fails_alone(make: Make) -> None:
    """The name that two others share is nothing to a third package, nor to the kit."""
    twins = "\n    def apply(self, state, choice, artefact, context):\n        return state\n"
    make("distil", twins, "changes='form'")
    (conflict,) = checks("distil")
    with pytest.raises(ConformanceError, match=r"stillhouse .* and distil .*: record: .*2 plugins"):
        conflict()
    assert failed(make("sound", SOUND), "record", "sheet") == {}


def test_a_need_that_no_method_leaves_is_named(make: Make) -> None:
    make("lonely", SOUND, "changes='form', needs=frozenset({'a third eye'})")
    said = failed("lonely", "capabilities")["capabilities"]
    assert "expected some method to leave 'a third eye', which it needs, got none" in said


def test_unknown_distributions_and_setups_are_refused(make: Make) -> None:
    with pytest.raises(UserError, match="no distribution 'nowhere' supplies plugins"):
        check_plugin("nowhere")
    with pytest.raises(UserError, match=r"'prune' is a plugin: .* distribution, 'stillhouse'"):
        check_plugin("prune")
    with pytest.raises(UserError, match="sound supplies no plugin 'other'"):
        check_plugin(make("sound", SOUND), {"other": Setup()})
