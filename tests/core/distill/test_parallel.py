from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from stillhouse.core.distill.parallel import Group

SCRIPT = """
import os
import sys

import torch
import torch._dynamo  # the first optimiser does, which takes seconds: here once for all processes
from safetensors.torch import save_file

from stillhouse.core.distill.masking import Masking
from stillhouse.core.distill.parallel import Group
from stillhouse.core.distill.paths import Sandwich
from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.training import fit
from stillhouse.core.evaluate import Classification, Context, Split, State, TaskData
from stillhouse.core.space import Choice, Space
from stillhouse.plugins.models.info import KeywordTransformerParams
from stillhouse.plugins.models.keyword_transformer import KeywordTransformerFamily

size, folder = sys.argv[1:]
rank, others = 0, []
for number in range(1, int(size)):
    # A copy of this process, which has imported all it needs and started nothing.
    if not (child := os.fork()):
        rank, others = number, []
        break
    others.append(child)
torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)


def split(name, samples):
    targets = torch.arange(samples) % 3
    inputs = torch.randn(samples, 8, 5, generator=generator) + targets[:, None, None]
    return Split(name, inputs, targets)


sizes = {"train": 25, "tuning": 3, "validation": 6, "test": 3}
data = TaskData(*(split(name, count) for name, count in sizes.items()), "")
task = Classification("tiny", data, ("a", "b", "c"), noise=0.1)
family = KeywordTransformerFamily()
params = KeywordTransformerParams(width=16, depth=2, heads=2, head_dim=8)
full = family.structure(params, (8, 5), 3)
group = Group()
if int(size) > 1:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=int(size)
    )
    group = Group.joined()
context = Context(task, family, full, group=group)
elastic = family.elastic(family.build(full, torch.Generator().manual_seed(1)))
drawn = []
space = Space([Choice("width", (8, 12, 16)), Choice("depth", (1, 2))])
sampler = Sandwich(space, 1)
draw = sampler.draw
sampler.draw = lambda step, rng: drawn.append(draw(step, rng)) or drawn[-1]
result = fit(
    elastic,
    structure=full,
    state=State({}, data, masking=Masking(0.5, 2)),
    settings=TrainSettings(epochs=2, batch_size=4, gradient_accumulation=2, learning_rate=0.01),
    context=context,
    label="shared",
    paths=sampler,
)
metadata = {"drawn": repr(drawn), "losses": repr([line.losses for line in result.history])}
save_file(
    {**elastic.state_dict(), **result.adapters}, f"{folder}/{size}-{rank}.safetensors", metadata
)
assert all(os.waitpid(child, 0)[1] == 0 for child in others)
"""


def trained(folder: Path, size: int) -> list[Path]:
    """What `size` processes that train together end with."""
    command = [sys.executable, "-c", SCRIPT, str(size), str(folder)]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [folder / f"{size}-{rank}.safetensors" for rank in range(size)]


def alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What one process ends with: this one."""
    monkeypatch.setattr(sys, "argv", ["-c", "1", str(folder)])
    script = folder / "script.py"
    script.write_text(SCRIPT)
    runpy.run_path(str(script))
    return folder / "1-0.safetensors"


def told(path: Path, what: str) -> str:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return str(file.metadata()[what])


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = trained(tmp_path, 2)
    single = alone(tmp_path, monkeypatch)
    assert told(first, "drawn") == told(second, "drawn") == told(single, "drawn")
    assert told(first, "losses") == told(second, "losses")
    one, two, whole = load_file(first), load_file(second), load_file(single)
    assert all(torch.equal(one[name], two[name]) for name in one)
    for name, weight in whole.items():
        # Attention does not depend on the bias of its keys: Adam makes steps of rounding errors.
        kept = slice(None, None, 2) if name.endswith("qkv_bias") else slice(None)
        torch.testing.assert_close(one[name][kept], weight[kept], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("samples", "expected"), [(8, (3, 3, 2)), (2, (1, 1, 0)), (1, (1, 0, 0))])
def test_every_sample_belongs_to_one_process(samples: int, expected: tuple[int, ...]) -> None:
    rows = [Group(rank, 3).rows(samples) for rank in range(3)]
    assert tuple(part.stop - part.start for part in rows) == expected
    assert [place for part in rows for place in range(part.start, part.stop)] == [*range(samples)]


def test_one_process_alone_needs_no_group() -> None:
    tensors = [torch.ones(2), torch.zeros(3)]
    group = Group()
    group.add_up(tensors)
    group.share(tensors)
    group.wait()
    assert group.leads
    assert torch.equal(tensors[0], torch.ones(2))
