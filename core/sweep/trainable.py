"""A trial as Ray Tune runs it: each step is a rung, answered from disk where it was run before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, final

from ray.tune import Trainable

from stillhouse.core.errors import StillhouseError
from stillhouse.core.plain_json import read
from stillhouse.core.plugin import Catalogue
from stillhouse.core.sweep.directory import SweepDirectory
from stillhouse.core.sweep.outcomes import WORST, Point, known, score
from stillhouse.core.sweep.space import goals_of, point_of
from stillhouse.core.sweep.trial import Trials

SPEC: Final = "sweep"
"""Key of the constants in a trial's configuration."""
SCORE, TIME, OUTCOME, FAULT = "score", "rung", "outcome", "fault"
_STEP: Final = "step.json"


@final
class TrialRun(Trainable):
    """Runs trials one after the other in one process; Tune reuses it from trial to trial.

    A step's result holds the `outcome` as plain data, its `score` (higher is better) and its place
    on the rungs (`rung`: 1, eta, eta², ..., so that halving promotes from one to the next). A
    machine's fault is a result too (`fault`: class and text), which ends the sweep.
    """

    def setup(self, config: Mapping[str, Any]) -> None:
        spec = config[SPEC]
        folder = Path(spec["folder"])
        catalogue = Catalogue.discover()
        if spec["code"]:
            catalogue = catalogue.beside(folder / spec["code"])
        self._trials = Trials(SweepDirectory.existing(folder), catalogue)
        self.reset_config(config)

    def reset_config(self, new_config: Mapping[str, Any]) -> bool:
        self._step, self._start = 0, ""
        given = new_config.get("point", new_config)
        self._values = point_of(given, self._trials.section.parameters)
        return True

    def step(self) -> dict[str, Any]:
        section = self._trials.section
        last = len(section.budget.rungs) if section.budget else 1
        eta = (section.scheduler.settings or {}).get("eta", 1)
        time = eta**self._step if eta > 1 else self._step + 1
        point = Point(int(self.trial_name), self._step, self._values, self._start)
        try:
            found = self._trials.outcome(point)
        except StillhouseError as error:
            fault = {"kind": type(error).__name__, "text": str(error)}
            return {FAULT: fault, SCORE: WORST, TIME: time, "done": True}
        self._step += 1
        self._start = found.artefact or self._start
        over = found.error and section.scheduler.name != "pbt"
        return {
            OUTCOME: asdict(found),
            **known(found),
            SCORE: score(found, goals_of(section)),
            TIME: time,
            "done": bool(over) or self._step == last,
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        state = {"step": self._step, "start": self._start}
        (Path(checkpoint_dir) / _STEP).write_text(json.dumps(state), "utf-8")

    def load_checkpoint(self, checkpoint: Any) -> None:
        state = read(Path(checkpoint) / _STEP)
        self._step, self._start = int(state["step"]), str(state["start"])
