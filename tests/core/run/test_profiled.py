from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from stillhouse.core.config.runfile import load
from stillhouse.core.cost.latency import FittedLatency, Roofline
from stillhouse.core.cost.latency.shapes import SESSION, Shape, shapes_of
from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Silent
from stillhouse.core.measure import DeviceFile, Latency
from stillhouse.core.measure.blocks import latency_models, wanted_shapes
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.device_models import choice_from, other_model
from stillhouse.core.run.device_profile import opened_for_profile
from stillhouse.core.run.opened import Opened
from stillhouse.core.run.profiled import (
    CONFIGURATION,
    chosen_of,
    measured_candidates,
    pool_of,
    run_identity,
    run_profile,
    sheet_of,
)

RUN_FILE = """\
task: {npz: {path: data.npz}}
teacher: {model: keyword-transformer, width: 32, depth: 2, heads: 2, epochs: 1}
recipe:
  - supernet: {space: keyword-transformer-tiny, epochs: 1, full_epochs: 1}
search: {maximize: accuracy, evaluations: 4}
target: {runtime: onnxruntime-cpu, profile: 8}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    rng = np.random.default_rng(0)
    np.savez(folder / "data.npz", x=rng.standard_normal((60, 6, 3)), y=np.arange(60) % 3)
    (folder / "run.yaml").write_text(RUN_FILE)
    return folder


@pytest.fixture(scope="module")
def opened(project: Path) -> Iterator[Opened]:
    catalogue = Catalogue.discover()
    plan = make_plan(load(project / "run.yaml", catalogue), catalogue)
    with opened_for_profile(plan, catalogue, Silent()) as opened:
        yield opened


def _latency(ms: float) -> Latency:
    return Latency(ms, ms, 9, "2026-01-02", ms, ms, ms)


def _priced(shape: Shape) -> float:
    """A device of 0.1 us a unit of work and 2 us an operator."""
    return 2e-3 + 1e-7 * shape.positions * (1 + shape.inputs) * shape.outputs * shape.groups


@pytest.fixture
def device(opened: Opened, tmp_path: Path) -> DeviceFile:
    return DeviceFile.open(tmp_path / "device.json", run_identity(opened))


def _with_networks(opened: Opened, device: DeviceFile) -> DeviceFile:
    """Every network of the profile takes a microsecond a feature, whatever it is."""
    wanted = run_profile(opened)
    for key, structure in wanted.structures.items():
        plain = structure["structure"]
        device.put(key, _latency(1e-3 * plain["width"] * (1 + plain["depth"])), 100)
    device.put_structures(wanted.family, wanted.structures)
    return device


def _with_blocks(device: DeviceFile, shapes: list[Shape]) -> DeviceFile:
    session = {SESSION: (Shape(SESSION).to_json(), _latency(0.01))}
    measured = {shape.key: (shape.to_json(), _latency(_priced(shape))) for shape in shapes}
    device.put_blocks({**session, **measured})
    return device


def test_a_profile_is_the_same_whenever_it_is_asked_for(opened: Opened) -> None:
    first, second = run_profile(opened), run_profile(opened)
    assert first.structures == second.structures
    assert list(first.structures) == list(second.structures)


def test_the_teacher_and_the_smallest_candidate_come_first(opened: Opened) -> None:
    teacher, smallest, *rest = run_profile(opened, 5).structures.values()
    assert teacher == {"family": opened.family.name, "structure": opened.full, "rebuilds": []}
    assert smallest["structure"]["width"] == 16
    assert smallest["structure"]["depth"] == 1
    assert 3 <= len(rest) <= 5


def test_what_was_measured_elsewhere_is_found_again_by_its_genes(
    opened: Opened, device: DeviceFile
) -> None:
    codes, found = measured_candidates(opened, _with_networks(opened, device))
    assert len(codes) == len(found) >= 5
    for row, measured in zip(codes, found, strict=True):
        genes = opened.plan.space.decode(row)
        width, depth = genes["supernet.width"], genes["supernet.depth"]
        assert measured.latency.latency_ms == 1e-3 * width * (1 + depth)


def test_structures_of_another_space_are_passed_over(opened: Opened, device: DeviceFile) -> None:
    _with_networks(opened, device)
    key, structure = list(run_profile(opened).structures.items())[-1]
    before = len(measured_candidates(opened, device)[0])
    for changed in (
        {**structure, CONFIGURATION: {**structure[CONFIGURATION], "supernet.width": 17}},
        {**structure, CONFIGURATION: 3},
        {**structure, "rebuilds": [{"method": "int8", "record": {}}]},
    ):
        device.put_structures(opened.family.name, {key: changed})
        assert len(measured_candidates(opened, device)[0]) == before - 1


def test_a_model_is_chosen_from_the_file_alone(opened: Opened, device: DeviceFile) -> None:
    choice = choice_from(opened, _with_networks(opened, device), "fitted")
    assert isinstance(choice.model, FittedLatency)
    codes, found = measured_candidates(opened, device)
    milliseconds = [one.latency.latency_ms for one in found]
    assert choice.model.predict(sheet_of(opened, codes)) == pytest.approx(milliseconds, rel=0.2)


def test_operators_alone_give_a_model(opened: Opened, device: DeviceFile) -> None:
    shapes = wanted_shapes(run_profile(opened).sheet)
    choice = choice_from(opened, _with_blocks(device, shapes))
    assert choice.model.kind in ("table", "roofline")
    sheet = run_profile(opened).sheet
    exact = sheet.candidates * 0.01 + sum(_priced(s) * n for s, n in shapes_of(sheet).items())
    assert choice.model.predict(sheet).sum() == pytest.approx(exact, rel=0.05)


def test_missing_operators_are_named_with_the_command_that_measures_them(
    opened: Opened, device: DeviceFile
) -> None:
    shapes = [
        s for s in wanted_shapes(run_profile(opened).sheet) if s.kind not in ("norm", "attention")
    ]
    with pytest.raises(UserError, match=r"contain: attention, norm\..*--run RUN_FILE --bundle DIR"):
        choice_from(opened, _with_blocks(device, shapes))


def test_a_file_that_knows_nothing_of_the_run_is_refused(
    opened: Opened, device: DeviceFile
) -> None:
    with pytest.raises(UserError, match="knows 0 networks of this run and no operators"):
        choice_from(opened, device)
    assert other_model(device) is None


def test_another_devices_model_is_read_back_or_refused_by_name(
    opened: Opened, device: DeviceFile
) -> None:
    sheet = run_profile(opened).sheet
    _, roofline = latency_models(_with_blocks(device, wanted_shapes(sheet)), sheet)
    device.set_adapted_from(device, roofline.to_json())
    assert isinstance(other_model(device), Roofline)
    device.set_adapted_from(device, {"kind": "roofline"})
    with pytest.raises(UserError, match=r"device\.json: damaged, adapted_from\.model"):
        other_model(device)


def test_every_kind_and_width_of_operators_is_profiled_however_few_candidates(
    project: Path,
) -> None:
    catalogue = Catalogue.discover()
    sets = ["recipe.int8.attention={choices: [none, dynamic, static]}", "recipe.int8.scheme=none"]
    text = RUN_FILE.replace("search:", "  - int8: {scheme: none}\nsearch:")
    (project / "int8.yaml").write_text(text)
    plan = make_plan(load(project / "int8.yaml", catalogue, sets=sets), catalogue)
    with opened_for_profile(plan, catalogue, Silent()) as opened:
        few = chosen_of(opened, pool_of(opened, np.random.default_rng(0)), 1)
        bits = {shape.layout for shape in shapes_of(sheet_of(opened, few))}
    assert {"linear", "linear w8a8", "linear w8a8 dynamic"} <= bits
