from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stillhouse.core.evaluate import ModuleTeacher, Split
from stillhouse.core.evaluate.answers import Answers

IDS = torch.randperm(200, generator=torch.Generator().manual_seed(0)).reshape(100, 2)
SPLIT = Split("train", IDS, torch.zeros(100, dtype=torch.int64))


class Counting:
    """Two tensors a batch, one with its positions in a row; counts the samples it has seen."""

    def __init__(self) -> None:
        self.samples = 0

    def __call__(self, inputs: Tensor) -> Sequence[Tensor]:
        self.samples += len(inputs)
        return [inputs.float(), inputs.reshape(-1, 1).expand(-1, 3).float()]


def test_each_input_is_run_once_however_batches_are_mixed() -> None:
    show, answers = Counting(), Answers(SPLIT)
    for seed in range(3):
        for batch in SPLIT.batches(16, seed):
            found = answers.to(batch.inputs, "all", show)
            for one, other in zip(found, Counting()(batch.inputs), strict=True):
                assert torch.equal(one, other)
    assert show.samples == 100


def test_another_question_is_another_run() -> None:
    show, answers = Counting(), Answers(SPLIT)
    for question in ("one", "other", "one"):
        answers.to(IDS[:5], question, show)
    assert show.samples == 200


def test_unknown_inputs_are_run_as_they_come() -> None:
    show, answers = Counting(), Answers(SPLIT)
    other = torch.cat([IDS[:3], IDS[:1] + 1000])
    assert torch.equal(answers.to(other, "all", show)[0], other.float())
    assert show.samples == 4


def test_answers_that_take_too_much_memory_are_not_kept() -> None:
    show, answers = Counting(), Answers(SPLIT, most_bytes=1000)
    for _ in range(2):
        assert torch.equal(answers.to(IDS[:5], "all", show)[0], IDS[:5].float())
    assert show.samples == 64 + 5 + 5


def test_a_teacher_that_remembers_shows_what_it_showed() -> None:
    module = nn.Sequential(nn.Embedding(200, 4), nn.Flatten(), nn.Linear(8, 3))
    taps, widths = ("0",), {"0": 4}
    plain, kept = ModuleTeacher(module, taps, widths), ModuleTeacher(module, taps, widths, SPLIT)
    first = kept.observe(IDS, taps)
    for batch in SPLIT.batches(16, seed=1):
        seen, now = kept.observe(batch.inputs, taps), plain.observe(batch.inputs, taps)
        assert torch.equal(seen.logits, first.logits[batch.indices])
        assert torch.equal(seen.features["0"], now.features["0"])
        torch.testing.assert_close(seen.logits, now.logits)
