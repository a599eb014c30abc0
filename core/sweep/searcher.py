"""Our samplers under Ray Tune's searcher interface."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np
from ray.tune.search import Searcher

from stillhouse.core import plain_json
from stillhouse.core.atomic import write_atomically
from stillhouse.core.config.records import SearchRange
from stillhouse.core.errors import UserError
from stillhouse.core.search import AskTell, Codes, KnownCosts, open_study
from stillhouse.core.space import Space
from stillhouse.core.sweep.space import space_of

if TYPE_CHECKING:
    from stillhouse.core.plugin import Catalogue

FORMAT: Final = 1


@final
class StudySearcher(Searcher):
    """An ask-tell study as a searcher for any Tune script, sampler plugins and Optuna's included.

        searcher = StudySearcher(
            {"lr": {"low": 1e-4, "high": 1e-1, "log": True}, "layers": {"choices": [2, 4, 6]}},
            maximize=["accuracy"], limits=["latency_ms <= 2"], sampler="optuna-tpe", seed=0,
        )
        tune.Tuner(trainable, tune_config=tune.TuneConfig(search_alg=searcher, num_samples=50))

    A trial's configuration holds one value for each dimension, and with `number` also the trial's
    place among the proposals (from 0) under that name. Its result holds a number for each objective
    and each limited value; a trial that ends without one of them, or with one that is not finite,
    has failed. Which result counts says `when`: a trial's "first" one or its "last".

    `space` is a `Space`, or ranges as a run file writes them, by name. All other arguments are
    those of `open_study`; with a `ledger` the study goes on where an earlier one on that file
    stopped, and proposes again first what was proposed and has no result (with `again="all"`:
    everything that was proposed, so that a scheduler sees all results again).

    Tune stores the searcher's state as plain data and restores it by leading the sampler through
    it again (`Tuner.restore`). Metric and mode of `TuneConfig` are for the scheduler alone.
    """

    def __init__(
        self,
        space: Space | Mapping[str, Any],
        *,
        maximize: Sequence[str] = (),
        minimize: Sequence[str] = (),
        costs: KnownCosts | None = None,
        limits: Sequence[str] = (),
        measures: Sequence[str] = (),
        sampler: str | None = None,
        params: Mapping[str, Any] | None = None,
        seed: int = 0,
        budget: int | None = None,
        ledger: str | Path | None = None,
        catalogue: Catalogue | None = None,
        number: str = "",
        when: str = "last",
        again: str = "untold",
    ) -> None:
        """Raises as `open_study` does, and UserError for a range or a word that is none."""
        super().__init__()
        if when not in ("first", "last") or again not in ("untold", "all"):
            raise UserError(
                f"expected when: first or last, and again: untold or all; got {when} and {again}"
            )
        self._space = space if isinstance(space, Space) else space_of(_ranges(space))
        self._made: dict[str, Any] = {
            "maximize": maximize, "minimize": minimize, "costs": costs, "limits": limits,
            "measures": measures, "sampler": sampler, "params": params, "seed": seed,
            "budget": budget, "ledger": ledger, "catalogue": catalogue,
        }  # fmt: skip
        self._number, self._when, self._again = number, when, again
        self._open()

    @property
    def study(self) -> AskTell:
        """What was proposed and told; its `front` and `best` are the sweep's."""
        return self._study

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: Mapping[str, Any], **spec: Any
    ) -> bool:
        """Constants of `param_space` go to every trial; what is searched is given to us."""
        from ray.tune.search.variant_generator import parse_spec_vars

        _, domains, grid = parse_spec_vars(dict(config))
        if domains or grid:
            raise UserError(
                "param_space: expected constants alone beside a StudySearcher, which is given the "
                "space itself"
            )
        self._metric, self._mode = metric, mode
        return True

    def suggest(self, trial_id: str) -> Any:
        """The next configuration; FINISHED at the end of the budget or of the space."""
        if self._queue:
            number = self._queue.popleft()
            codes = self._codes[number]
            if number not in self._told:
                self._study.ask(1)
        else:
            asked = self._study.ask(1)
            if not len(asked):
                return Searcher.FINISHED
            number, codes = len(self._codes), asked[0]
            self._codes.append(codes)
            self._events.append({"ask": codes.tolist()})
        self._trials[trial_id] = number
        return self._configuration(number)

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        if self._when == "first":
            self._tell(trial_id, result)

    def on_trial_complete(
        self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False
    ) -> None:
        self._tell(trial_id, {} if error or result is None else result)

    def number_of(self, trial_id: str) -> int:
        """The trial's place among the proposals."""
        return self._trials[trial_id]

    def save(self, checkpoint_path: str) -> None:
        """The events as JSON; with a ledger that file has them already, and this is a copy."""
        state = {"format": FORMAT, "events": self._events, "trials": self._trials}
        write_atomically(Path(checkpoint_path), json.dumps(state, allow_nan=False))

    def restore(self, checkpoint_path: str) -> None:
        """Lead a fresh study through the events. Raises UserError for a foreign file."""
        path = Path(checkpoint_path)
        try:
            state = plain_json.read(path)
            if state.get("format") != FORMAT:
                raise ValueError(f"expected format {FORMAT}, got {state.get('format')}")
            self._replay(state["events"], state["trials"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path}: not the state of this searcher ({error})") from None

    def __getstate__(self) -> dict[str, Any]:
        """Plain: the arguments and the events. Neither sampler, ledger nor catalogue travels."""
        skipped = ("_study", "_codes", "_told", "_queue")
        state = {name: value for name, value in self.__dict__.items() if name not in skipped}
        return {**state, "_made": {**self._made, "ledger": None, "catalogue": None}}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._replay(self._events, self._trials)

    def close(self) -> None:
        """Let go of the ledger; another searcher may be opened on it."""
        self._study.close()

    def _open(self) -> None:
        self._study = open_study(self._space, **self._made)
        self._codes: list[Codes] = list(self._study.asked)
        self._trials: dict[str, int] = {}
        self._events: list[dict[str, Any]] = []
        keys = {trial.codes.tobytes() for trial in self._study.trials}
        self._told = {n for n, codes in enumerate(self._codes) if codes.tobytes() in keys}
        numbers = range(len(self._codes))
        self._queue = deque(n for n in numbers if self._again == "all" or n not in self._told)

    def _replay(self, events: Sequence[Mapping[str, Any]], trials: Mapping[str, int]) -> None:
        if self._made["ledger"] is not None:
            raise UserError("a searcher with a ledger goes on from that, and is not restored")
        self._open()
        for event in events:
            if "ask" in event:
                codes = self._study.ask(1)
                if not np.array_equal(codes, [event["ask"]]):
                    raise ValueError("the sampler proposes other candidates than it holds")
                self._codes.append(codes[0])
            else:
                self._told_of(event["tell"], event["values"])
        self._events, self._trials = [dict(event) for event in events], dict(trials)
        self._queue.clear()

    def _configuration(self, number: int) -> dict[str, Any]:
        values = dict(self._space.decode(self._codes[number]))
        return {**values, self._number: number} if self._number else values

    def _tell(self, trial_id: str, result: Mapping[str, Any]) -> None:
        number = self._trials[trial_id]
        if number in self._told:
            return
        values = {name: _number(result.get(name)) for name in self._study.measured}
        kept = {name: None if value != value else value for name, value in values.items()}
        self._events.append({"tell": number, "values": kept})
        self._told_of(number, kept)

    def _told_of(self, number: int, values: Mapping[str, float | None]) -> None:
        told = {name: [np.nan if v is None else v] for name, v in values.items()}
        self._study.tell(self._codes[number][None], told)
        self._told.add(number)


def _number(value: Any) -> float:
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    return float(value) if number and np.isfinite(value) else float("nan")


def _ranges(space: Mapping[str, Any]) -> dict[str, SearchRange]:
    found = {}
    for name, given in space.items():
        keys = set(given) if isinstance(given, Mapping) else set()
        if keys == {"choices"} and given["choices"]:
            found[name] = SearchRange(choices=tuple(given["choices"]))
        elif {"low", "high"} <= keys <= {"low", "high", "log"}:
            found[name] = SearchRange(given["low"], given["high"], bool(given.get("log", False)))
        else:
            raise UserError(
                f"{name}: expected {{choices: [...]}} or {{low: A, high: B, log: true}}, got "
                f"{given!r}"
            )
    return found
