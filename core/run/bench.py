"""A run's evaluations as a bench: in this process, or opened again by any worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from stillhouse.core.config.runfile import load
from stillhouse.core.errors import PluginError
from stillhouse.core.evaluate import Silent
from stillhouse.core.evaluate.evaluator import CandidateError, Evaluator
from stillhouse.core.execute import Bench, Work
from stillhouse.core.plan import make_plan
from stillhouse.core.plugin import Catalogue
from stillhouse.core.plugin.versions import refuse_mismatch, versions_of
from stillhouse.core.run.bringing import brought_files, inputs, relocated
from stillhouse.core.run.directory import RUN_FILE, RunDirectory
from stillhouse.core.run.opened import Opened, open_run
from stillhouse.core.run.teaching import initial_state, train_teacher
from stillhouse.core.run.together import prepare_all


def bench_of(evaluator: Evaluator) -> Bench:
    """Scores configurations on the validation split.

    Payload: `configuration`, and `share` of the full budget. Result: `values` by metric, or an
    `error` where the candidate cannot be had or has a quality that is not finite.
    """

    def evaluated(payload: Mapping[str, Any]) -> Mapping[str, Any]:
        split = evaluator.initial.data.validation
        try:
            values = evaluator.scored(payload["configuration"], payload["share"], split)
        except CandidateError as failed:
            return {"error": str(failed)}
        if not all(np.isfinite(value) for value in values.values()):
            return {"error": f"not a finite quality: {values}"}
        return {"values": values}

    return evaluated


def work_of(opened: Opened, code: Mapping[str, str]) -> Work:
    """How a worker, on this machine or another, opens the same bench.

    `code` are the versions that this process runs (`core.plugin.versions`), as found when the run
    was opened. Everything that is prepared before the search must be: workers find it in the run's
    folder.
    """
    run, folder = opened.plan.run, opened.directory.folder.resolve()
    file = opened.catalogue.file
    spec = {
        "folder": str(folder),
        "plugins": file.name if file else "",
        "versions": dict(code),
        "origin": opened.origin,
        "machine": dict(opened.context.machine),
        "device": run.train.device,
        "inputs": inputs(run, opened.catalogue),
    }
    threads = run.execute.threads
    return Work(f"{__name__}:open_bench", spec, brought_files(opened), threads)


def open_bench(spec: Mapping[str, Any]) -> Bench:
    """The bench of a run that another process began; nothing is trained but what is missing.

    Raises:
        PluginError: plugins or data here are not those of the run; names both.
        StillhouseError: as opening a run does.
    """
    import torch

    folder = Path(spec.get("brought") or spec["folder"])
    threads = torch.get_num_threads()
    catalogue = Catalogue.discover()
    if spec["plugins"]:
        catalogue = catalogue.beside(folder / spec["plugins"])
    refuse_mismatch(spec["versions"], versions_of(spec["versions"], catalogue), "this worker")
    run = load(folder / RUN_FILE, catalogue)
    if "brought" in spec:
        run = relocated(run, folder, spec["inputs"], catalogue)
    plan = make_plan(run, catalogue)
    opened = open_run(plan, catalogue, RunDirectory(folder), Silent())
    torch.set_num_threads(threads)
    if opened.origin != spec["origin"]:
        raise PluginError(
            f"{folder / RUN_FILE}: expected the run's data, teacher and settings (fingerprint "
            f"{spec['origin']}), got {opened.origin} on this worker; the files that the run names "
            "differ here: give every machine the same ones"
        )
    context = replace(opened.context, machine=spec["machine"])
    opened = replace(opened, context=context)
    state = initial_state(opened, train_teacher(opened))
    evaluator = Evaluator(opened.steps, state, opened.context, opened.store, opened.origin)
    prepare_all(opened, evaluator)
    return _short_of_memory(bench_of(evaluator))


def _short_of_memory(bench: Bench) -> Bench:
    """Says so where memory ran out, which costs a worker an attempt but must not end the run."""
    import torch

    def evaluated(payload: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return bench(payload)
        except PluginError as error:
            if isinstance(error.__cause__, (MemoryError, torch.OutOfMemoryError)):
                raise MemoryError(str(error)) from error
            raise

    return evaluated
