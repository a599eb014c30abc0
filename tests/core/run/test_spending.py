"""The loop that spends evaluations, with workers that answer in any order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from stillhouse.core.execute import ExecutionError, Executor, Job, Outcome, WorkerState
from stillhouse.core.plugin import Catalogue
from stillhouse.core.run.goals import Goals
from stillhouse.core.run.ledger import Entry, Ledger
from stillhouse.core.run.spending import Policy, spend
from stillhouse.core.search import FeasibleDraws, KnownCosts, Objective, Problem, Study
from stillhouse.core.search.known import FunctionCosts
from stillhouse.core.space import Choice, Integer, Space

SPACE = Space([Choice("kind", ("a", "b", "c")), Integer("width", 1, 40), Integer("depth", 1, 8)])
GOALS = Goals((Objective("accuracy", True), Objective("parameters", False)))
LADDER = (0.1, 0.3, 1.0)


def accuracy(configuration: object, share: float) -> float:
    genes = dict(configuration)  # type: ignore[call-overload]
    return 1.0 - 0.01 * abs(genes["width"] - 25) - 0.02 * abs(genes["depth"] - 5) + 0.1 * share


class Scrambled(Executor):
    """So many workers, of which a random one ends next; remembers what it was given."""

    def __init__(self, workers: int, seed: int, dies_after: int = 10**9) -> None:
        self._workers, self._rng = workers, np.random.default_rng(seed)
        self._waiting: list[Job] = []
        self.evaluated: list[Job] = []
        self.most_under_way = 0
        self._left = dies_after

    @property
    def capacity(self) -> int:
        return self._workers

    def submit(self, jobs: Sequence[Job]) -> None:
        self._waiting += jobs
        self.most_under_way = max(self.most_under_way, len(self._waiting))

    def finished(self, timeout_s: float | None = None) -> list[Outcome]:
        if not self._left:
            raise InterruptedError
        self._left -= 1
        some = int(self._rng.integers(1, 4))
        return [self._one() for _ in range(some) if self._waiting]

    def _one(self) -> Outcome:
        job = self._waiting.pop(int(self._rng.integers(min(self._workers, len(self._waiting)))))
        self.evaluated.append(job)
        genes, share = job.payload["configuration"], job.payload["share"]
        if genes["width"] == 7:
            return Outcome(job.number, {"error": "seven"}, 1.0)
        if genes["width"] == 8:
            return Outcome(job.number, None, 1.0, "its worker died 3 times", attempts=3)
        return Outcome(job.number, {"values": {"accuracy": accuracy(genes, share)}}, 1.0)

    def withdraw(self) -> list[int]:
        running, waiting = self._waiting[: self._workers], self._waiting[self._workers :]
        self._waiting = running
        return [job.number for job in waiting]

    def workers(self) -> Sequence[WorkerState]:
        return ()

    def close(self) -> None: ...


class Asked:
    """Asks for the end after so many looks."""

    running = 0

    def __init__(self, looks: int) -> None:
        self._looks = looks

    @property
    def asked(self) -> bool:
        self._looks -= 1
        return self._looks < 0


def study(sampler: str = "evolution", seed: int = 3) -> Study:
    costs = FunctionCosts(SPACE, KnownCosts(lambda c: {"parameters": c["width"] * c["depth"]}))
    rng = np.random.default_rng(0)
    feasible = FeasibleDraws(SPACE, costs, SPACE.corners(), rng).pool(8)
    problem = Problem(SPACE, costs, GOALS.objectives, seed, feasible, budget=40)
    catalogue = Catalogue.discover()
    record = catalogue.sampler(sampler)
    return Study(problem, catalogue.resolve(record)(record.params(), problem))  # type: ignore[operator]


@pytest.fixture
def searched(tmp_path: Path) -> Callable[..., list[Entry]]:
    number = iter(range(1000))

    def search(
        policy: Policy, executor: Executor, folder: Path | None = None, **more: object
    ) -> list[Entry]:
        path = (folder or tmp_path / str(next(number))) / "ledger.jsonl"
        path.parent.mkdir(exist_ok=True)
        sampler = str(more.pop("sampler", "evolution"))
        with Ledger(path, "same") as ledger:
            return list(spend(study(sampler), executor, ledger, GOALS, policy, **more))  # type: ignore[arg-type]

    return search


@pytest.mark.parametrize("rungs", [(1.0,), LADDER])
@pytest.mark.parametrize("ahead", [0, 1, 4])
def test_the_outcome_depends_neither_on_workers_nor_on_who_is_first(searched, rungs, ahead):
    policy = Policy(60, batch=4, ahead=ahead, rungs=rungs)
    alone = searched(policy, Scrambled(1, 0))
    assert [entry.number for entry in alone] == list(range(60))
    assert len({(entry.key, entry.fidelity) for entry in alone}) == 60
    for workers, seed in ((2, 1), (5, 2), (64, 3)):
        assert searched(policy, Scrambled(workers, seed)) == alone


def test_batches_ahead_keep_more_evaluations_under_way(searched):
    under_way = []
    for ahead in (0, 1, 3):
        executor = Scrambled(8, 0)
        searched(Policy(80, batch=5, ahead=ahead), executor)
        under_way.append(executor.most_under_way)
    assert under_way == [5, 10, 20]


def test_what_is_known_at_a_proposal_is_set_by_the_batches_ahead(searched):
    plain = searched(Policy(60, batch=4), Scrambled(1, 0))
    later = searched(Policy(60, batch=4, ahead=3), Scrambled(1, 0))
    assert [e.key for e in plain[:4]] == [e.key for e in later[:4]]
    assert [e.key for e in plain] != [e.key for e in later]


@pytest.mark.parametrize("rungs", [(1.0,), LADDER])
@pytest.mark.parametrize("cut", [1, 3, 7, 12])
def test_a_search_cut_off_anywhere_goes_on_without_loss_or_repetition(
    searched, tmp_path, rungs, cut
):
    policy = Policy(60, batch=4, ahead=2, rungs=rungs)
    whole = searched(policy, Scrambled(1, 0))
    first, second = Scrambled(6, 1, dies_after=cut), Scrambled(6, 2)
    with pytest.raises(InterruptedError):
        searched(policy, first, tmp_path / "cut")
    assert searched(policy, second, tmp_path / "cut") == whole
    jobs = [
        (str(j.payload["configuration"]), j.payload["share"])
        for j in (*first.evaluated, *second.evaluated)
    ]
    assert len(jobs) == len(set(jobs)) == 60


def test_failures_are_told_and_written_with_their_reasons(searched):
    entries = searched(Policy(200, batch=10, ahead=2), Scrambled(4, 0), sampler="random")
    reasons = {e.configuration["width"]: e.error for e in entries if not e.values}
    assert reasons == {7: "seven", 8: "its worker died 3 times"}
    assert all(e.values for e in entries if e.configuration["width"] not in (7, 8))


def test_asked_to_stop_it_finishes_what_runs_and_withdraws_the_rest(searched, tmp_path):
    policy, executor = Policy(60, batch=10, ahead=2), Scrambled(4, 0)
    with pytest.raises(KeyboardInterrupt):
        searched(policy, executor, tmp_path / "stopped", stop=Asked(5))
    assert not executor._waiting
    again = Scrambled(4, 1)
    whole = searched(policy, again, tmp_path / "stopped")
    assert len(executor.evaluated) + len(again.evaluated) == 60
    assert whole == searched(policy, Scrambled(1, 0))


@pytest.mark.parametrize("deterministic", [True, False])
def test_asked_to_stop_during_the_last_evaluation_it_stops(searched, tmp_path, deterministic):
    class Late:
        running = asked = False

    class Last(Scrambled):
        def finished(self, timeout_s: float | None = None) -> list[Outcome]:
            stop.asked = len(self.evaluated) >= 19
            return [self._one()]

    stop, policy = Late(), Policy(20, batch=5, deterministic=deterministic)
    with pytest.raises(KeyboardInterrupt):
        searched(policy, Last(1, 0), tmp_path / "late", stop=stop)
    again = Scrambled(1, 0)
    assert len(searched(policy, again, tmp_path / "late")) == 20
    assert not again.evaluated


@pytest.mark.parametrize("rungs", [(1.0,), LADDER])
def test_as_they_come_everything_is_evaluated_once(searched, rungs):
    policy = Policy(60, batch=4, ahead=3, rungs=rungs, deterministic=False)
    executor = Scrambled(4, 0)
    entries = searched(policy, executor)
    assert len(executor.evaluated) == len({(e.key, e.fidelity) for e in entries}) == 60
    assert executor.most_under_way <= 8


@pytest.mark.parametrize("rungs", [(1.0,), LADDER])
def test_as_they_come_it_goes_on_from_all_that_is_known(searched, tmp_path, rungs):
    policy = Policy(60, batch=4, ahead=3, rungs=rungs, deterministic=False)
    first, second = Scrambled(4, 0, dies_after=9), Scrambled(4, 1)
    with pytest.raises(InterruptedError):
        searched(policy, first, tmp_path / "cut")
    entries = searched(policy, second, tmp_path / "cut")
    assert [entry.number for entry in entries] == list(range(60))
    assert len({(e.key, e.fidelity) for e in entries}) == 60
    assert len(first.evaluated) + len(second.evaluated) == 60


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_space_that_is_exhausted_ends_the_search(searched, deterministic):
    policy = Policy(5000, batch=50, ahead=2, deterministic=deterministic)
    entries = searched(policy, Scrambled(8, 0), sampler="random")
    assert len(entries) == 3 * 40 * 8


class Deadly(Scrambled):
    """Workers that die of every job but one in so many."""

    def __init__(self, sound_each: int) -> None:
        super().__init__(4, 0)
        self._sound_each = sound_each

    def _one(self) -> Outcome:
        outcome = super()._one()
        if self._sound_each and len(self.evaluated) % self._sound_each == 0:
            return outcome
        return Outcome(outcome.number, None, 1.0, "its worker died 3 times", attempts=3)


@pytest.mark.parametrize("deterministic", [True, False])
def test_where_every_worker_dies_the_search_ends_and_writes_nothing(
    searched, tmp_path, deterministic
):
    policy = Policy(60, batch=4, ahead=2, deterministic=deterministic)
    with pytest.raises(ExecutionError, match=r"none of the first \d evaluations .* died 3 times"):
        searched(policy, Deadly(0), tmp_path / "deadly")
    assert searched(policy, Scrambled(1, 0), tmp_path / "deadly") == searched(
        policy, Scrambled(1, 0)
    )


def test_deaths_say_nothing_of_candidates_because_the_search_is_stopped(searched, tmp_path):
    policy = Policy(60, batch=10, ahead=2)
    with pytest.raises(KeyboardInterrupt):
        searched(policy, Deadly(0), tmp_path / "stopped", stop=Asked(1))
    assert searched(policy, Scrambled(1, 0), tmp_path / "stopped") == searched(
        policy, Scrambled(1, 0)
    )


def test_a_deadly_candidate_has_failed_though_all_others_ended_before_the_interruption(
    searched, tmp_path
):
    class FirstDeadly(Scrambled):
        """Ends the last job first, one at a time; job 0 kills every worker."""

        def finished(self, timeout_s: float | None = None) -> list[Outcome]:
            if not self._left:
                raise InterruptedError
            self._left -= 1
            job = self._waiting.pop()
            if job.number:
                return [Outcome(job.number, {"values": {"accuracy": 0.5}}, 1.0)]
            return [Outcome(0, None, 1.0, "its worker died 3 times", attempts=3)]

    policy = Policy(4, batch=4)
    with pytest.raises(InterruptedError):
        searched(policy, FirstDeadly(1, 0, dies_after=3), tmp_path / "cut")
    entries = searched(policy, FirstDeadly(1, 0), tmp_path / "cut")
    assert [entry.error for entry in entries] == ["its worker died 3 times", "", "", ""]


def test_one_sound_evaluation_makes_the_deaths_those_of_their_candidates(searched):
    entries = searched(Policy(60, batch=4, ahead=2), Deadly(4))
    assert len(entries) == 60
    assert sum(entry.error == "its worker died 3 times" for entry in entries) >= 45
