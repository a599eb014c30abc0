from __future__ import annotations

import pytest
import torch

from stillhouse.core.distill.losses import soft_labels, softened
from stillhouse.core.evaluate import Batch, Observation
from stillhouse.plugins.ensemble.lesson import lesson, sources

BEFORE = ("teacher", "large", "small")
BATCH = Batch(torch.zeros(5, 1), torch.zeros(5, dtype=torch.int64), torch.arange(5))


def logits(seed: int) -> torch.Tensor:
    return torch.randn(5, 3, generator=torch.Generator().manual_seed(seed))


STUDENT = Observation(logits(0))
TEACHERS = {name: Observation(logits(k)) for k, name in enumerate(BEFORE, 1)}


@pytest.mark.parametrize(
    ("topology", "expected"),
    [("flat", ("teacher",)), ("cascade", ("small",)), ("dense", BEFORE)],
)
def test_who_an_assistant_learns_from(topology: str, expected: tuple[str, ...]) -> None:
    assert sources(topology, BEFORE) == expected
    assert sources(topology, ("teacher",)) == ("teacher",)


def test_a_lesson_is_the_divergence_from_its_teacher_at_the_temperature() -> None:
    term = lesson(("large",), 0.7, 4.0, sigmoid=False)
    found = term.value(STUDENT, TEACHERS, BATCH, None)
    expected = soft_labels(STUDENT.logits, TEACHERS["large"].logits, 4.0)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert (term.weight, term.teachers) == (0.7, ("large",))
    assert term.name == "lesson(from=large temperature=4)"


def test_of_several_teachers_exactly_one_is_left_out_in_every_update() -> None:
    term = lesson(BEFORE, 0.7, 5.0, sigmoid=False)
    parts = {
        name: float(lesson((name,), 1.0, 5.0, sigmoid=False).value(STUDENT, TEACHERS, BATCH, None))
        for name in BEFORE
    }
    left_out = []
    for update in range(40):
        with torch.random.fork_rng([]):
            torch.manual_seed(update)
            value = float(term.value(STUDENT, TEACHERS, BATCH, None))
        gaps = {name: abs(sum(parts.values()) - part - value) for name, part in parts.items()}
        name = min(gaps, key=lambda one: gaps[one])
        assert gaps[name] < 1e-5
        left_out.append(name)
    assert set(left_out) == set(BEFORE)
    assert max(left_out.count(name) for name in BEFORE) < 24


def test_parts_of_one_update_leave_out_the_same_teacher_whatever_dropout_drew() -> None:
    term = lesson(BEFORE, 0.7, 5.0, sigmoid=False)
    with torch.random.fork_rng([]):
        torch.manual_seed(1)
        first = term.value(STUDENT, TEACHERS, BATCH, None)
        for _ in range(20):
            torch.rand(7)
            assert torch.equal(term.value(STUDENT, TEACHERS, BATCH, None), first)


def test_labels_of_their_own_have_sigmoids() -> None:
    scores = logits(3)
    assert torch.equal(softened(scores, 2.0, several=True), (scores / 2).sigmoid())
    assert torch.equal(softened(scores, 2.0, several=False), (scores / 2).softmax(-1))
