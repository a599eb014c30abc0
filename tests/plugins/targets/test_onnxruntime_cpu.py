from __future__ import annotations

import itertools
import json
import logging
import mmap
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.core.errors import UserError
from stillhouse.core.measure import ExportError
from stillhouse.core.measure.processor import cores
from stillhouse.plugins.targets.info import OnnxRuntimeCpuParams
from stillhouse.plugins.targets.onnxruntime_cpu import OnnxRuntimeCpu


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class _Block(nn.Module):
    """Attention with packed heads that do not add up to the width, then a feed-forward."""

    def __init__(self, spelt_out: bool = False) -> None:
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(16), nn.Linear(16, 3 * 24), nn.Linear(24, 16)
        self.up, self.down, self.spelt_out = nn.Linear(16, 32), nn.Linear(32, 16), spelt_out

    def forward(self, x: Tensor) -> Tensor:
        parts = self.qkv(self.norm(x)).unflatten(-1, (3, 3, 8)).permute(2, 0, 3, 1, 4)
        q, k, v = parts.unbind(0)
        if self.spelt_out:
            mixed = (q @ k.transpose(-1, -2) * 8**-0.5).softmax(-1) @ v
        else:
            mixed = functional.scaled_dot_product_attention(q, k, v)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.down(functional.gelu(self.up(x)))


class _Net(nn.Module):
    """Two blocks over 5 frames of 6 features, four classes; dropout that export must drop."""

    def __init__(self, spelt_out: bool = False) -> None:
        super().__init__()
        self.frames, self.dropout = nn.Linear(6, 16), nn.Dropout(0.5)
        self.blocks = nn.Sequential(_Block(spelt_out), _Block(spelt_out))
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 4)
        with torch.no_grad():
            for seed, parameter in enumerate(self.parameters()):
                parameter.copy_(torch.randn(parameter.shape, generator=_generator(seed)) * 0.3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.dropout(self.frames(x)))).mean(1))


class _Apply(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def _target(**params: object) -> OnnxRuntimeCpu:
    """One that waits for nobody: these tests are not about speed."""
    return OnnxRuntimeCpu(OnnxRuntimeCpuParams(**{"patience_s": 0.0, **params}))  # type: ignore[arg-type]


def _example(batch: int = 1, seed: int = 1) -> Tensor:
    return torch.randn(batch, 5, 6, generator=_generator(seed))


def _operators(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


def test_an_export_answers_as_torch_does_for_inputs_it_has_not_seen(tmp_path: Path) -> None:
    net, target = _Net(), _target()
    exported = target.export(net, _example(), tmp_path / "net.onnx")
    inputs = _example(7, seed=2)
    with torch.no_grad():
        expected = net.eval()(inputs).numpy()
    outputs = target.run(exported.path, inputs)
    assert outputs.shape == (7, 4)
    assert np.abs(outputs - expected).max() < 1e-5
    assert exported.max_difference < 1e-5
    assert exported.exporter == "torchscript"
    assert exported.size_bytes == exported.path.stat().st_size


def test_a_file_is_a_valid_standard_model_that_plain_onnxruntime_loads(tmp_path: Path) -> None:
    path = _target().export(_Net(), _example(), tmp_path / "net.onnx").path
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 23)]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [(i.name, i.shape) for i in session.get_inputs()] == [("input", [1, 5, 6])]
    assert [(o.name, o.shape) for o in session.get_outputs()] == [("logits", [1, 4])]
    assert not model.graph.value_info
    assert not model.metadata_props
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)


def test_a_file_is_little_larger_than_its_weights(tmp_path: Path) -> None:
    net = _Net()
    exported = _target().export(net, _example(), tmp_path / "net.onnx")
    weights = 4 * sum(p.numel() for p in net.parameters())
    assert weights < exported.size_bytes < weights + 4_000


def test_a_files_size_does_not_depend_on_the_weights(tmp_path: Path) -> None:
    trained, fresh = _Net(), _Net()
    for module in fresh.modules():
        if isinstance(module, nn.LayerNorm):
            nn.init.zeros_(module.bias)
            nn.init.ones_(module.weight)
    target = _target()
    one = target.export(trained, _example(), tmp_path / "one.onnx")
    two = target.export(fresh, _example(), tmp_path / "two.onnx")
    assert one.size_bytes == two.size_bytes


def test_the_same_model_exports_to_the_same_bytes(tmp_path: Path) -> None:
    paths = [tmp_path / "a.onnx", tmp_path / "b.onnx"]
    for path in paths:
        _target().export(_Net(), _example(), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("spelt_out", [False, True])
def test_attention_becomes_one_operator_in_each_block(tmp_path: Path, spelt_out: bool) -> None:
    path = _target().export(_Net(spelt_out), _example(), tmp_path / "net.onnx").path
    operators = _operators(path)
    assert operators.count("Attention") == 2
    assert not {"Softmax", "Transpose", "Squeeze"}.intersection(operators)


def test_an_older_opset_keeps_attention_spelt_out(tmp_path: Path) -> None:
    target = _target(opset=20)
    exported = target.export(_Net(), _example(), tmp_path / "net.onnx")
    assert onnx.load(exported.path).opset_import[0].version == 20
    assert _operators(exported.path).count("Softmax") == 2


def test_exporting_leaves_the_model_the_generators_and_the_log_as_they_were(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    net = _Net().train()
    net.norm.eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    modes = [module.training for module in net.modules()]
    state, filters, disabled = (
        torch.get_rng_state(), list(warnings.filters), logging.root.manager.disable,
    )  # fmt: skip
    _target().export(net, _example(), tmp_path / "net.onnx")
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert list(warnings.filters) == filters
    assert logging.root.manager.disable == disabled
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_where_torchscript_fails_auto_takes_dynamo_and_says_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    target = _target()
    exported = target.export(_Apply(torch.special.erfcx), torch.zeros(1, 3), tmp_path / "a.onnx")
    assert exported.exporter == "dynamo"
    assert capfd.readouterr() == ("", "")
    assert target.run(exported.path, torch.zeros(1, 3)) == pytest.approx(1.0)


def test_an_operator_that_onnx_lacks_is_named(tmp_path: Path) -> None:
    target = _target(exporter="torchscript")
    with pytest.raises(ExportError, match=r"cannot export _Apply .*aten::special_bessel_j0"):
        target.export(_Apply(torch.special.bessel_j0), torch.zeros(1, 3), tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_outputs_that_differ_by_more_than_the_tolerance_are_refused(tmp_path: Path) -> None:
    target = _target(tolerance=0.0)
    with pytest.raises(ExportError, match=r"_Net: .*more than the tolerance of 0"):
        target.export(_Net(), _example(), tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_branch_that_tracing_froze_is_caught(tmp_path: Path) -> None:
    branching = _Apply(lambda x: x if x.sum() > 0 else -2 * x)
    with pytest.raises(ExportError, match="differ from torch's"):
        _target(exporter="torchscript").export(branching, torch.ones(1, 3), tmp_path / "a.onnx")


def test_outputs_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="differ from torch's by nan"):
        _target().export(_Apply(torch.log), torch.ones(1, 3), tmp_path / "a.onnx")


def test_more_threads_than_cores_are_refused() -> None:
    with pytest.raises(UserError, match=rf"threads: expected 1 to {cores()} .*got {cores() + 1}"):
        _target(threads=cores() + 1)
    with pytest.raises(UserError, match=r"onnxruntime-cpu: threads: .*got 0"):
        _target(threads=0)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x0a\x12"])
def test_a_file_that_is_no_model_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"cannot load .*broken\.onnx"):
        _target().measure([path], _example(), repeats=3, warmup=0)
    with pytest.raises(UserError, match=r"cannot load .*missing\.onnx"):
        _target().run(tmp_path / "missing.onnx", _example())


def test_an_example_of_another_batch_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="batches of 2, the example has 1"):
        _target(batch=2).export(_Net(), _example(1), tmp_path / "net.onnx")


def test_a_batch_larger_than_the_inputs_is_filled_up(tmp_path: Path) -> None:
    net, target = _Net(), _target(batch=4)
    path = target.export(net, _example(4), tmp_path / "net.onnx").path
    inputs = _example(6, seed=3)
    with torch.no_grad():
        expected = net.eval()(inputs).numpy()
    assert np.abs(target.run(path, inputs) - expected).max() < 1e-5


def test_measurements_come_from_the_given_clock_and_date(tmp_path: Path) -> None:
    ticks = itertools.count(0, 250_000_000)
    target = OnnxRuntimeCpu(
        OnnxRuntimeCpuParams(), clock=lambda: next(ticks), today=lambda: "2026-01-02"
    )
    path = target.export(_Net(), _example(), tmp_path / "net.onnx").path
    latencies = target.measure([path, path], _example(), repeats=6, warmup=1)
    assert [(x.latency_ms, x.p95_ms, x.repeats, x.date) for x in latencies] == [
        (250.0, 250.0, 6, "2026-01-02"),
        (250.0, 250.0, 6, "2026-01-02"),
    ]


def test_a_real_measurement_is_a_positive_time(tmp_path: Path) -> None:
    target = _target()
    path = target.export(_Net(), _example(), tmp_path / "net.onnx").path
    (latency,) = target.measure([path], _example(), repeats=9, warmup=2)
    assert 0 < latency.latency_ms <= latency.p95_ms
    assert latency.repeats >= 9


def _identity_model(path: Path, kind: int, shape: list[int | str], op: str = "Identity") -> Path:
    """A model of one operator whose input and output bear other names than our exports'."""
    given = onnx.helper.make_tensor_value_info("x", kind, shape)
    answer = onnx.helper.make_tensor_value_info("y", kind, shape)
    node = onnx.helper.make_node(op, ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [given], [answer])
    opset = onnx.helper.make_opsetid("", 18)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("kind", ["FLOAT", "INT64", "BOOL", "FLOAT16", "UINT8"])
def test_foreign_models_are_measured_whatever_their_names_and_types(
    tmp_path: Path, kind: str
) -> None:
    path = _identity_model(tmp_path / "foreign.onnx", getattr(onnx.TensorProto, kind), [1, 3])
    (latency,) = _target().measure([path], None, repeats=3, warmup=0)
    assert latency.latency_ms > 0


def test_a_foreign_model_runs_and_is_measured_on_given_inputs(tmp_path: Path) -> None:
    path = _identity_model(tmp_path / "foreign.onnx", onnx.TensorProto.FLOAT, [1, 3])
    inputs = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert np.array_equal(_target().run(path, inputs), inputs.numpy())
    (latency,) = _target().measure([path], inputs[:1], repeats=3, warmup=0)
    assert latency.latency_ms > 0


def test_a_model_without_a_fixed_shape_is_refused(tmp_path: Path) -> None:
    path = _identity_model(tmp_path / "open.onnx", onnx.TensorProto.FLOAT, ["batch", 3])
    with pytest.raises(
        UserError, match=r"open\.onnx: input x: expected .* fixed shape, got .*batch"
    ):
        _target().measure([path], None, repeats=3, warmup=0)


def test_an_operator_that_the_runtime_lacks_is_named(tmp_path: Path) -> None:
    path = _identity_model(tmp_path / "a.onnx", onnx.TensorProto.FLOAT, [1, 3], op="Teleport")
    with pytest.raises(UserError, match=r"cannot load .*a\.onnx .*Teleport"):
        _target().measure([path], None, repeats=3, warmup=0)


def test_an_input_of_another_length_than_the_artefacts_is_refused(tmp_path: Path) -> None:
    path = _target().export(_Net(), _example(), tmp_path / "net.onnx").path
    longer = torch.zeros(1, 9, 6)
    with pytest.raises(UserError, match=r"takes inputs of shape \(1, 5, 6\), got \(1, 9, 6\)"):
        _target().measure([path], longer, repeats=3, warmup=0)
    with pytest.raises(UserError, match=r"takes inputs of shape \(5, 6\), got \(9, 6\)"):
        _target().run(path, longer)


def test_a_module_is_measured_at_several_input_lengths() -> None:
    examples = [torch.zeros(1, frames, 6) for frames in (5, 400)]
    short, long = _target().measure_lengths(_Net(), examples, repeats=9, warmup=2)
    assert short.latency_ms < long.latency_ms


def test_batches_of_the_users_size_are_measured(tmp_path: Path) -> None:
    one, many = _target(), _target(batch=64)
    paths = [
        target.export(_Net(), _example(size), tmp_path / f"{size}.onnx").path
        for target, size in ((one, 1), (many, 64))
    ]
    (single,), (batched,) = (
        target.measure([path], None, repeats=9, warmup=2)
        for target, path in zip((one, many), paths, strict=True)
    )
    assert single.latency_ms < batched.latency_ms


def test_pinning_ends_with_the_measurement(tmp_path: Path) -> None:
    target, before = _target(affinity="pinned"), os.sched_getaffinity(0)
    path = target.export(_Net(), _example(), tmp_path / "net.onnx").path
    target.measure([path], None, repeats=3, warmup=0)
    assert os.sched_getaffinity(0) == before
    with pytest.raises(UserError):
        target.measure([tmp_path / "missing.onnx"], None, repeats=3, warmup=0)
    assert os.sched_getaffinity(0) == before


def test_the_best_time_of_the_reference_is_learned_and_gone_by(tmp_path: Path) -> None:
    target = _target()
    path = target.export(_Net(), _example(), tmp_path / "net.onnx").path
    assert target.reference_ms is None
    target.measure([path], None, repeats=3, warmup=0)
    assert target.reference_ms is not None
    assert target.reference_ms > 0
    target.reference_ms = 1e-6
    (latency,) = target.measure([path], None, repeats=3, warmup=0)
    assert target.reference_ms == 1e-6
    assert latency.conditions == "throttled"
    assert latency.low_ms < latency.latency_ms / 100


def test_settings_that_change_a_latency_change_the_identity() -> None:
    identity = _target().identity()
    assert identity == json.loads(json.dumps(identity))
    for changed in (
        {"batch": 2}, {"opset": 20}, {"exporter": "dynamo"}, {"affinity": "pinned"},
    ):  # fmt: skip
        assert _target(**changed).identity() != identity
    assert _target(tolerance=1e-3, patience_s=3.0).identity() == identity


def test_fresh_processes_measure_what_this_one_does(tmp_path: Path) -> None:
    target = _target()
    small = target.export(_Net(), _example(), tmp_path / "small.onnx").path
    large = _identity_model(tmp_path / "large.onnx", onnx.TensorProto.FLOAT, [2000, 2000], "Exp")
    found = target.measure_afresh([small, large], repeats=3, warmup=1, processes=2)
    assert [len(process) for process in found] == [2, 2]
    assert all(0 < small.latency_ms < large.latency_ms for small, large in found)
    assert target.reference_ms is not None
    assert target.measure_afresh([], repeats=3, warmup=1, processes=2) == [[], []]


def test_a_failure_in_a_fresh_process_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"in a fresh process failed: cannot load .*missing\.onnx"):
        _target().measure_afresh([tmp_path / "missing.onnx"], repeats=3, warmup=0, processes=1)


@pytest.mark.slow
def test_peak_memory_grows_with_what_a_model_holds(tmp_path: Path) -> None:
    small, large = (
        _identity_model(tmp_path / f"{side}.onnx", onnx.TensorProto.FLOAT, [side, side], "Exp")
        for side in (4, 2000)
    )
    low, high = _target().peak_memory([small, large])
    # Input and output of 16 MB each.
    assert 32e6 < high - low < 60e6


@pytest.mark.slow
def test_fresh_processes_see_the_packages_of_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _target().export(_Net(), _example(), tmp_path / "net.onnx").path
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "sitecustomize.py").write_text(
        "import os, pathlib, sys\n"
        f"place = pathlib.Path({str(tmp_path / 'packages')!r}, str(os.getpid()))\n"
        "place.write_text(str(sys.flags.safe_path))\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "packages"))
    assert _target().peak_memory([path])[0] >= mmap.PAGESIZE
    started = [p.read_text() for p in (tmp_path / "packages").iterdir() if p.name.isdecimal()]
    assert started == ["True"] * 3, "the script, and two children of its own"


def test_describing_the_target_imports_neither_torch_nor_onnxruntime() -> None:
    code = (
        "import sys; from stillhouse.plugins.targets.info import stillhouse_targets as t; "
        "names = [i.name for i in t()]; print(names, "
        "sorted({'torch', 'onnx', 'onnxruntime', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['onnxruntime-cpu', 'torch-cpu', 'torch-cuda'] []"
