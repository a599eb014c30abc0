"""What a file from a stranger cannot do, claim by claim of docs/security.md."""

from __future__ import annotations

import csv
import html.parser
import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from stillhouse.core import plain_json
from stillhouse.core.cli.main import main
from stillhouse.core.config.runfile import load as load_run_file
from stillhouse.core.distill.checkpoint import Checkpoint
from stillhouse.core.errors import ConfigError, DataError, RunDirectoryError, UserError
from stillhouse.core.evaluate.prediction_sheet import read_sheet
from stillhouse.core.measure import DeviceFile
from stillhouse.core.plain_file import room_for
from stillhouse.core.plugin import Catalogue
from stillhouse.core.report import render, results_csv
from stillhouse.core.run.directory import MARK, RunDirectory
from stillhouse.core.run.ledger import Ledger
from stillhouse.core.run.loading import described, load
from stillhouse.core.run.summary import RunSummary
from stillhouse.core.space import Choice, Space, load_space
from stillhouse.plugins.models.encoder.foreign.files import read_weights
from stillhouse.plugins.targets.graph_file import LARGEST_BYTES, checked, read_graph
from stillhouse.plugins.targets.info import OnnxRuntimeCpuParams
from stillhouse.plugins.targets.onnxruntime_cpu import OnnxRuntimeCpu
from stillhouse.plugins.targets.program import Program, Step, operation
from stillhouse.plugins.targets.program_file import read_program, write_program
from stillhouse.plugins.tasks.archive import arrays

SCRIPT = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


class Trap:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def object_array(path: Path) -> bytes:
    out = io.BytesIO()
    np.save(out, np.array([Trap(path)], dtype=object), allow_pickle=True)
    return out.getvalue()


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_pickles_in_data_are_refused_and_not_run(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    (tmp_path / "plain.npz").write_bytes(pickle.dumps(Trap(sprung)))
    zipped(tmp_path / "inside.npz", {"x.npy": object_array(sprung)})
    for name in ("plain.npz", "inside.npz"):
        with pytest.raises(DataError):
            arrays(tmp_path / name)
    assert not sprung.exists()


def npy(shape: str, content: bytes = b"\0" * 8) -> bytes:
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + content


@pytest.mark.parametrize("shape", ["(1000000000000,)", "(10**12,)", "(-1,)", "(True,)", "(" * 900])
def test_an_array_that_claims_terabytes_is_refused(tmp_path: Path, shape: str) -> None:
    with pytest.raises(DataError):
        arrays(zipped(tmp_path / "x.npz", {"x.npy": npy(shape)}))


def test_an_archive_that_unpacks_to_more_than_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = zipped(tmp_path / "x.npz", {"x.npy": npy("(1000000,)", b"\0" * 8_000_000)})
    assert path.stat().st_size < 20_000
    assert arrays(path)["x"].shape == (1_000_000,)
    monkeypatch.setattr(os, "sysconf", lambda name: 1_000)
    with pytest.raises(DataError, match=r"unpacks to 0\.008 GB"):
        arrays(path)


def test_members_of_archives_are_arrays_by_name_and_nothing_is_unpacked(tmp_path: Path) -> None:
    members = {"../../evil.npy": npy("(1,)"), "/abs.npy": npy("(1,)")}
    before = sorted(tmp_path.parent.iterdir())
    assert set(arrays(zipped(tmp_path / "x.npz", members))) == {"../../evil", "/abs"}
    assert sorted(tmp_path.parent.iterdir()) == before
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.system [echo]", "!!python/name:os.system", "task: !x {}",
        "a: &a [x, x]\n" + "".join(f"b{i}: &b{i} [*a, *a]\n" for i in range(3)) + "<<: *a",
        "[" * 1_500, "a: " + "9" * 100_000, "a: .inf", "a: \0", "x" * 300_000,
    ],
)  # fmt: skip
def test_yaml_is_plain_data_of_bounded_size(
    tmp_path: Path, catalogue: Catalogue, text: str
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        load_run_file(path, catalogue)
    with pytest.raises(ConfigError):
        load_space(path)


@pytest.mark.parametrize(
    "dimensions",
    [
        "a: {simplex: 1000000000}",
        "a: {taps: 2, of: 1000000000}",
        "d: {low: 0, high: 9999}\n  a: {low: 0, high: 9007199254740990, per: d}",
        "d: {low: 1, high: 9999}\n  a: {simplex: 9999, per: d}",
    ],
)
def test_a_search_space_of_absurd_size_is_refused(dimensions: str) -> None:
    with pytest.raises(ConfigError):
        load_space(f"dimensions:\n  {dimensions}\n")


def test_a_chain_of_conditions_may_be_long() -> None:
    whens = [None, *((f"a{i}", (1,)) for i in range(1_099))]
    assert Space([Choice(f"a{i}", (1,), when=when) for i, when in enumerate(whens)]).width == 1_100


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200 + "]" * 200,
        "[" * 100_000,
        "NaN",
        "-Infinity",
        "1e999",
        "1" * 30,
        '"\\ud800"',
        "\xff",
    ],
)
def test_json_is_bounded_and_finite(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        plain_json.parsed(text.encode("latin-1"))


def test_pipes_devices_and_large_files_are_no_data(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match=r"."):
            plain_json.read(path)
    (tmp_path / "large").write_bytes(b" " * 11)
    with pytest.raises(ValueError, match="at most 10 bytes"):
        plain_json.content(tmp_path / "large", 10)


@pytest.fixture
def model(samples: dict[str, Any]) -> Any:
    """Edits `model.json` for the time of a test."""
    path = samples["model.json"].path
    before = path.read_bytes()

    def edited(**structure: Any) -> Path:
        record = json.loads(before)
        record["structure"].update(structure)
        path.write_text(json.dumps(record))
        return Path(path.parent)

    yield edited
    path.write_bytes(before)


@pytest.mark.parametrize(
    "claim",
    [
        {"width": 2_000_000},
        {"width": 10**9},
        {"depth": 30_000, "heads": [1] * 30_000, "hidden": [8] * 30_000},
        {"heads": [10**5]},
    ],
)
def test_a_model_far_larger_than_its_weights_is_not_built(
    model: Callable[..., Path], catalogue: Catalogue, claim: dict[str, Any]
) -> None:
    with pytest.raises(RunDirectoryError, match="cannot be built"):
        load(model(**claim), catalogue)


def test_a_model_names_a_plugin_and_never_code(
    samples: dict[str, Any], catalogue: Catalogue
) -> None:
    path = samples["model.json"].path
    before = path.read_text()
    try:
        for family in ("os:system", "stillhouse.core.cli.main:main", "../cnn", "", "__init__"):
            path.write_text(json.dumps({**json.loads(before), "family": family}))
            with pytest.raises(UserError):
                load(path.parent, catalogue)
    finally:
        path.write_text(before)


def test_a_program_names_no_operator_that_opens_files() -> None:
    for name in ("from_file", "from_file.default", "from_file.out", "__init__", "save.default"):
        with pytest.raises(ValueError, match="no ATen operator"):
            operation(name)


def test_a_program_puts_no_python_into_what_torch_writes_out(tmp_path: Path) -> None:
    step = Step("relu.default", ("x",), {"a=print(1) or b": 1})
    write_program(Program((1,), "float32", (step,), "%0", {}), tmp_path / "x")
    with pytest.raises(UserError, match="no name"):
        read_program(tmp_path / "x")


def strangers_run(folder: Path) -> RunDirectory:
    folder.mkdir()
    (folder / MARK).touch()
    (folder / "run.yaml").touch()
    return RunDirectory.existing(folder)


def test_links_in_a_run_lead_to_no_file_that_is_written(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("precious, without a line's end")
    run = strangers_run(tmp_path / "run")
    run.ledger.symlink_to(mine)
    with pytest.raises(RunDirectoryError):
        Ledger(run.ledger, "print")
    (run.folder / ".lock").symlink_to(mine)
    with pytest.raises(RunDirectoryError), run:
        pass
    assert mine.read_text() == "precious, without a line's end"


@pytest.mark.parametrize("name", ["summary.json", "best", "best/model.onnx", "artefacts/a", "loop"])
def test_a_link_out_of_a_run_keeps_the_run_from_being_opened(tmp_path: Path, name: str) -> None:
    run = strangers_run(tmp_path / "run")
    (tmp_path / "mine").mkdir()
    link = run.folder / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(link if name == "loop" else tmp_path / "mine")
    for command in (["report"], ["certify"], ["search", "--reuse"], ["search", "--resume"]):
        assert main([*command, str(run.folder)]) == 2
    with pytest.raises(RunDirectoryError, match=f"{name}: .* put a copy"):
        RunDirectory.existing(run.folder)
    assert list((tmp_path / "mine").iterdir()) == []


def test_links_within_a_run_and_to_a_run_are_followed(tmp_path: Path) -> None:
    run = strangers_run(tmp_path / "run")
    (run.folder / "latest").symlink_to("run.yaml")
    (tmp_path / "alias").symlink_to(run.folder)
    assert RunDirectory.existing(tmp_path / "alias").run_file.is_file()


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_a_model_whose_file_is_elsewhere_is_not_loaded(
    samples: dict[str, Any], catalogue: Catalogue, tmp_path: Path, name: str
) -> None:
    best = tmp_path / "run" / "best"
    shutil.copytree(samples["model.json"].path.parent, best)
    (best / name).rename(tmp_path / name)
    (best / name).symlink_to(tmp_path / name)
    with pytest.raises(RunDirectoryError, match=r"link that leads out"):
        load(tmp_path / "run", catalogue)


def test_what_a_run_names_is_opened_by_nothing_that_only_looks(
    samples: dict[str, Any], catalogue: Catalogue, capsys: pytest.CaptureFixture[str]
) -> None:
    run = samples["costs"].path.parent
    named = [run / "waves.npz", run / "device.json"]
    assert all(path.name in (run / "run.yaml").read_text() for path in named)
    for path in named:
        os.mkfifo(path)  # whoever opens one waits for ever
    try:
        before = {path: path.lstat().st_mtime_ns for path in run.parent.iterdir()}
        assert main(["report", str(run)]) == 0
        assert main(["search", "--reuse", str(run), "--limit", "parameters <= 1000"]) == 0
        assert described(run)["family"] == "keyword-transformer"
        assert {p: p.lstat().st_mtime_ns for p in run.parent.iterdir() if p != run} == {
            p: at for p, at in before.items() if p != run
        }
    finally:
        for path in named:
            path.unlink()


def holes(path: Path, size_bytes: int, header: bytes) -> None:
    """A safetensors file that takes no room, of one tensor that fills it."""
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(size_bytes)


def test_weights_far_larger_than_their_model_are_not_read(
    samples: dict[str, Any], catalogue: Catalogue, tmp_path: Path
) -> None:
    shutil.copytree(samples["model.json"].path.parent, tmp_path / "model")
    most = room_for(samples["model.safetensors"].path.stat().st_size)
    holes(tmp_path / "model" / "model.safetensors", most, b"{}")
    with pytest.raises(RunDirectoryError, match="expected at most"):
        load(tmp_path / "model", catalogue)


def test_a_checkpoint_far_larger_than_its_network_is_not_read(tmp_path: Path) -> None:
    kept = Checkpoint(tmp_path, "teacher", "print")
    assert kept.path is not None
    size = 10**13
    tensor = {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}
    meta = {"stillhouse": json.dumps({"fingerprint": "print"})}
    header = json.dumps({"__metadata__": meta, "w": tensor}).encode()
    holes(kept.path, 8 + len(header) + size, header)
    for largest in (room_for(1_000), None):
        with pytest.raises(RunDirectoryError, match=r"expected at most .* delete it"):
            kept.load(largest)


@pytest.mark.parametrize("name", ["artefact.safetensors", "program", "pool"])
def test_tensors_beyond_memory_are_not_read(
    samples: dict[str, Any], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(os, "sysconf", lambda what: 3)
    with pytest.raises(UserError, match=r"expected at most .* MB"):
        samples[name].read(samples[name].path)


def test_predictions_that_unpack_to_more_than_memory_are_refused(
    samples: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sysconf", lambda what: 3)
    with pytest.raises(DataError, match="unpacks to"):
        read_sheet(samples["rows.npz"].path)
    with pytest.raises(DataError, match="expected at most"):
        read_sheet(samples["rows.csv"].path)


@pytest.mark.parametrize("place", ["../secret", "{folder}/secret", "link", ""])
def test_an_onnx_model_takes_no_weights_from_another_folder(
    tmp_path: Path, onnx_model: Callable[..., onnx.ModelProto], place: str
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "secret").write_bytes(b"\0" * 16)
    (tmp_path / "model" / "link").symlink_to(tmp_path / "secret")
    path = tmp_path / "model" / "x.onnx"
    path.write_bytes(onnx_model(place.format(folder=tmp_path)).SerializeToString())
    with pytest.raises(UserError, match=r"x\.onnx .* lie in another place"):
        read_graph(path)
    target = OnnxRuntimeCpu(OnnxRuntimeCpuParams())
    uses: tuple[Callable[[], object], ...] = (
        lambda: target.run(path, torch.zeros(4)),
        lambda: target.measure_afresh([path], repeats=1, warmup=0, processes=1),
        lambda: target.peak_memory([path]),
    )
    for use in uses:
        with pytest.raises(UserError, match="lie in another place"):
            use()


def test_an_onnx_model_may_have_its_weights_beside_it(
    tmp_path: Path, onnx_model: Callable[..., onnx.ModelProto]
) -> None:
    (tmp_path / "weights").write_bytes(b"\0" * 16)
    model = onnx_model("weights")
    (tmp_path / "x.onnx").write_bytes(model.SerializeToString())
    assert read_graph(tmp_path / "x.onnx") == model
    with pytest.raises(UserError, match=r"a tensor.* lie in another place"):
        checked(model, "a tensor")


def nested(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model's graph as one way of an `If`."""
    branch = onnx.helper.make_node("If", ["c"], ["z"], then_branch=model.graph)
    graph = onnx.helper.make_graph([branch], "outer", [], [])
    return onnx.helper.make_model(graph)


def test_an_onnx_model_has_the_runtimes_own_operators_alone(
    tmp_path: Path, onnx_model: Callable[..., onnx.ModelProto]
) -> None:
    for model in (onnx_model(domain="evil"), nested(onnx_model(domain="evil"))):
        with pytest.raises(UserError, match="evil::Add is no operator of ONNX"):
            checked(model, "x.onnx")
    with pytest.raises(UserError, match="lie in another place"):
        checked(nested(onnx_model("../secret")), "x.onnx", tmp_path)
    model = onnx_model()
    model.functions.add(name="f", domain="")
    with pytest.raises(UserError, match="defines the function 'f'"):
        checked(model, "x.onnx")
    model = onnx_model()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2**40
    with pytest.raises(UserError, match="has the shape"):
        checked(model, "x.onnx")


def test_an_onnx_file_is_a_plain_one_of_bounded_size(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(LARGEST_BYTES + 1)
    for name in ("pipe", "large", "absent"):
        with pytest.raises(UserError, match=f"{name} as an ONNX model"):
            read_graph(tmp_path / name)


def test_a_file_that_is_no_ledger_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text("no ledger\nand no line's end")
    with pytest.raises(RunDirectoryError):
        Ledger(path, "print")
    assert path.read_text() == "no ledger\nand no line's end"


def test_only_a_device_file_is_written_over(tmp_path: Path) -> None:
    for content in ("precious", "{}", '{"format": 2}'):
        (tmp_path / "mine").write_text(content)
        with pytest.raises(UserError):
            DeviceFile.open(tmp_path / "mine", {"target": "t"})
        assert (tmp_path / "mine").read_text() == content


@pytest.mark.parametrize("name", ["../up", "/abs", "a/b", "..", ".hidden", "a\0b", ""])
def test_a_runs_name_is_no_path(tmp_path: Path, catalogue: Catalogue, name: str) -> None:
    (tmp_path / "run.yaml").write_text(f"name: {json.dumps(name)}\n")
    with pytest.raises(ConfigError):
        load_run_file(tmp_path / "run.yaml", catalogue)


class Page(html.parser.HTMLParser):
    """Counts scripts, and keeps what else could run or be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.active: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        named = [pair for pair in attrs if pair[0].startswith("on") or pair[0] in ("src", "href")]
        self.active += [pair for pair in named if pair != ("href", "data:,")]


def with_text(value: Any, text: str) -> Any:
    """The value with every text in it replaced, and every key of a mapping but those of fields."""
    if isinstance(value, str):
        return text
    if isinstance(value, (list, tuple)):
        return [with_text(item, text) for item in value]
    if isinstance(value, dict):
        return {key: with_text(item, text) for key, item in value.items()}
    return value


def test_a_report_runs_and_fetches_nothing_that_a_summary_says(samples: dict[str, Any]) -> None:
    summary = RunSummary.read(samples["summary"].path)
    plain, strange = Page(), Page()
    plain.feed(render(summary))
    texts = {"name": SCRIPT, "task": SCRIPT, "sampler": SCRIPT, "space_size": SCRIPT}
    rows = [replace(row, label=SCRIPT) for row in summary.rows]
    certificate = replace(
        summary.certificate, machine={SCRIPT: SCRIPT}, exporter=SCRIPT, date=SCRIPT, sha256=SCRIPT
    )
    strange.feed(
        render(
            replace(
                summary, **texts, rows=rows, certificate=certificate, notes=[SCRIPT],
                versions={SCRIPT: SCRIPT}, stages={SCRIPT: 1.0}, found={SCRIPT: SCRIPT},
                full={SCRIPT: SCRIPT}, limits=[replace(summary.limits[0], text=SCRIPT)],
                evaluations=[replace(summary.evaluations[0], configuration={SCRIPT: SCRIPT})],
            )
        )
    )  # fmt: skip
    assert strange.tags.count("script") == plain.tags.count("script") == 2
    assert "img" not in strange.tags
    assert strange.active == []
    assert "default-src 'none'" in render(summary)


@pytest.mark.parametrize("inputs", [{"dtype": "x\nimport os"}, {"ids": ["0)\nprint(1)", 1]}])
def test_code_to_copy_holds_no_code_of_the_summarys(
    samples: dict[str, Any], inputs: dict[str, Any]
) -> None:
    summary = RunSummary.read(samples["summary"].path)
    with pytest.raises(ValueError, match=r"."):
        render(replace(summary, inputs=inputs))


@pytest.mark.parametrize(
    "text",
    [
        *("=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", " =1", "a;=1", "a|=1", "a\t@b"),
        *('";=1', "a\r=1", "a\n=1, b", "a\r\n=1;"),
    ],
)
def test_a_table_holds_no_formulas(samples: dict[str, Any], text: str) -> None:
    summary = RunSummary.read(samples["summary"].path)
    genes = {"text": text, "deep": [{text: text}], "number": -2, "real": -0.5}
    table = results_csv(
        replace(
            summary,
            evaluations=[replace(summary.evaluations[0], key=text, configuration=genes)],
        )
    )
    for separator in ",;|\t":
        cells = [c for row in csv.reader(io.StringIO(table), delimiter=separator) for c in row]
        if separator == ",":
            assert {"-2", "-0.5"} < set(cells)
            cells = [cell for cell in cells if cell not in ("-2", "-0.5")]
        assert not any(cell.lstrip(' "').startswith(tuple("=+-@\t\r")) for cell in cells)


def test_messages_move_no_cursor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = strangers_run(tmp_path / "run")
    run.summary.write_text(json.dumps({"\x1b[2J\x1b]0;title\x07": 1}))
    assert main(["report", str(run.folder)]) == 2
    told = capsys.readouterr().err
    assert "unknown field" in told
    assert all(c.isprintable() or c == "\n" for c in told)
    assert main(["report", str(tmp_path / "\x1b[2J")]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_a_pickled_transformers_model_is_never_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(UserError, match="found none"):
        read_weights(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(UserError, match="safetensors"):
        read_weights(tmp_path)
    assert not (tmp_path / "sprung").exists()
