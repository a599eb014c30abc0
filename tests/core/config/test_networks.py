"""Methods that list networks and files: sections like the teacher's, paths like any other."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from stillhouse.core.config import TeacherTraining, parse
from stillhouse.core.errors import ConfigError

RUN = """\
task: spoken-digits
teacher: {model: keyword-transformer}
recipe:
  - ensemble:
      assistants:
        - {model: keyword-transformer, width: 64, epochs: 3, draw: 4, channels: [1, 0]}
        - model: front-end
          name: "no"
          folder: ../hubert
          checkpoint: weights/a.safetensors
      runs: [runs/a, /runs/b]
search: {maximize: accuracy}
target: {runtime: onnxruntime-cpu}
"""
TRAINING = {**asdict(TeacherTraining()), "name": "", "checkpoint": None, "draw": 0}


@pytest.fixture
def fixed(catalogue):
    """The values of the method after some replacements and overrides."""

    def read(*sets, text=RUN):
        return parse(text, "/project/run.yaml", catalogue, sets).recipe[0].fixed

    return read


def test_a_network_is_a_plain_dict_with_every_default_filled_in(fixed):
    drawn, given = fixed()["assistants"]
    assert drawn == {
        "model": "keyword-transformer", "width": 64, "depth": 6,
        **TRAINING, "epochs": 3, "draw": 4, "channels": (1, 0),
    }  # fmt: skip
    assert json.loads(json.dumps(drawn)) == {**drawn, "channels": [1, 0]}
    assert given["name"] == "no"


def test_a_family_that_has_channels_of_its_own_keeps_them(fixed):
    assert fixed()["assistants"][1]["channels"] == 512


def test_paths_of_networks_and_lists_start_at_the_run_file(fixed):
    found = fixed()
    assert found["assistants"][1]["checkpoint"] == "/project/weights/a.safetensors"
    assert found["assistants"][1]["folder"] == "/project/../hubert"
    assert found["runs"] == ("/project/runs/a", "/runs/b")


def test_without_them_there_is_no_network_and_the_default_path(fixed):
    found = fixed("recipe.0=ensemble")
    assert (found["assistants"], found["runs"]) == ((), ("/project/found",))
    assert fixed("recipe.ensemble.runs=[]")["runs"] == ()


def test_a_default_is_read_like_what_is_given_and_none_stays_none(fixed):
    found = fixed()
    assert found["even"] == (0.25, 0.75)
    assert found["others"] is None
    assert found["shares"] is None
    assert fixed("recipe.ensemble.others=null", "recipe.ensemble.shares=null") == found


def test_networks_and_paths_read_back_equal(catalogue):
    run = parse(RUN, "/project/run.yaml", catalogue)
    again = parse(run.to_yaml(), "/elsewhere/resolved.yaml", catalogue)
    assert again == run
    assert again.to_yaml() == run.to_yaml()


def test_one_network_of_a_list_is_changed_from_the_command_line(fixed):
    found = fixed("recipe.ensemble.assistants.0.width=12", "recipe.0.runs.1=c")
    assert found["assistants"][0]["width"] == 12
    assert found["assistants"][1] == fixed()["assistants"][1]
    assert found["runs"] == ("/project/runs/a", "/project/c")


def test_an_item_that_is_not_there_is_named_by_its_place(fixed):
    said = r"recipe\.ensemble\.assistants: no item '2'; it has 2 items"
    for method in ("ensemble", "0"):
        with pytest.raises(ConfigError, match=said):
            fixed(f"recipe.{method}.assistants.2.width=12")


MISTAKES = [
    (
        "width: 64", "widht: 64",
        "run.yaml:6:40: recipe.ensemble.assistants.0.widht: unknown key; did you mean 'width'? "
        "(stillhouse plugins show keyword-transformer)",
    ),
    ("draw: 4", "darw: 4", "assistants.0.darw: unknown key; did you mean 'draw'?"),
    ("draw: 4", "draw: -1", "assistants.0.draw: expected a whole number, 0 to 64, got -1"),
    ("width: 64", "width: 2", "assistants.0.width: expected a whole number, 8 to 1024, got 2"),
    (
        "width: 64", "width: {choices: [8, 16]}",
        "assistants.0.width: expected a fixed value (a whole number, 8 to 1024), got {choices: "
        "[8, 16]}: a network of a list is not searched",
    ),
    ("epochs: 3", "epochs: {low: 1, high: 3}", "got {low: 1, high: 3}: a network of a list is"),
    ("model: front-end", "model: frontend", "assistants.1.model: unknown model 'frontend'; did"),
    ("model: front-end", "modle: front-end", "assistants.1.model: missing; expected the name of"),
    ("channels: [1, 0]", "channels: [1, 1]", "assistants.0.channels: expected a list of whole"),
    ("weights/a.safetensors", '""', "assistants.1.checkpoint: expected a path, got ''"),
    ("[runs/a, /runs/b]", "[runs/a, 3]", "run.yaml:11:22: recipe.ensemble.runs.1: expected a path"),
    ("[runs/a, /runs/b]", "[a, null]", "recipe.ensemble.runs.1: expected a path, got nothing"),
    ("[runs/a, /runs/b]", "runs/a", "recipe.ensemble.runs: expected a list of paths, got 'runs/a'"),
    (
        "[runs/a, /runs/b]", "{choices: [[a], [b]]}",
        "recipe.ensemble.runs: expected a fixed value (a list of paths), got {choices: [['a'], "
        "['b']]}: paths cannot be searched",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "said"), MISTAKES)
def test_a_mistake_is_named_with_its_place(fixed, old, new, said):
    with pytest.raises(ConfigError) as refused:
        fixed(text=RUN.replace(old, new))
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("{model: front-end}", "expected a list of networks, each {model: NAME, ...}, got {model:"),
        ("front-end", "expected a list of networks, each {model: NAME, ...}, got 'front-end'"),
        ("null", "expected a list of networks, each {model: NAME, ...}, got nothing"),
        ("[front-end]", "assistants.0: expected {model: NAME, ...}, got 'front-end'"),
        ("[[front-end]]", "assistants.0: expected {model: NAME, ...}, got ['front-end']"),
        ("{choices: [[], []]}", "expected a list of networks"),
    ],
)
def test_what_is_no_list_of_networks_is_refused(fixed, value, said):
    with pytest.raises(ConfigError) as refused:
        fixed(f"recipe.ensemble.assistants={value}")
    assert said in str(refused.value)


def test_unknown_keys_of_several_networks_are_reported_together(fixed):
    text = RUN.replace("draw: 4", "darw: 4").replace("folder:", "fodler:")
    with pytest.raises(ConfigError) as refused:
        fixed(text=text)
    assert [line.split(": ")[1] for line in str(refused.value).splitlines()] == [
        "recipe.ensemble.assistants.0.darw",
        "recipe.ensemble.assistants.1.fodler",
    ]
