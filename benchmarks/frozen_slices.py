"""Are slices of a supernet that an update did not sample better held still?

AdamW moves weights without gradient: their moments go on, and so does weight decay. For each seed
and sampler a supernet of spoken digits is trained with these slices held (`freeze_unsampled`) and
without; judged by the mean log-loss of the same random subnets on the validation split.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final, cast

import numpy as np
import torch
from record import arguments, averaged, parser, save, show, shown
from scipy import stats

from stillhouse.core.distill.paths import gene_by_gene
from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.training import fit
from stillhouse.core.evaluate import Artefact, Choice, Context, ModuleTeacher, State, Task
from stillhouse.core.evaluate.evaluator import predict
from stillhouse.core.plugin import Catalogue
from stillhouse.core.space import Space, load_space
from stillhouse.plugins.distil.soft_labels import soft_labels_term
from stillhouse.plugins.models.keyword_transformer import KeywordTransformerFamily
from stillhouse.plugins.supernet.info import SupernetParams
from stillhouse.plugins.supernet.supernet import Supernet

SPACE: Final = "keyword-transformer-small"
SAMPLERS: Final = ("size_bins", "uniform")
WAYS: Final = {"moves": False, "held": True}
SUBNETS: Final = 40


def main() -> None:
    made = parser(__doc__ or "", "100-104", "benchmarks/results/frozen_slices.json")
    made.add_argument("--full-epochs", type=int, default=4)
    made.add_argument("--epochs", type=int, default=24)
    given = arguments(made)
    torch.set_num_threads(1)
    catalogue = Catalogue.discover()
    space = load_space(catalogue.space_text(catalogue.space(SPACE)), SPACE)
    context, state = ground(catalogue, space)
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    for sampler in SAMPLERS:
        found[sampler] = {way: [] for way in WAYS}
        for seed in given.seeds:
            for way, held in WAYS.items():
                params = SupernetParams(
                    space=SPACE, full_epochs=given.full_epochs, epochs=given.epochs,
                    sampler=sampler, learning_rate=2e-3, freeze_unsampled=held,
                )  # fmt: skip
                cell = trained(params, seed, context, state)
                found[sampler][way].append(cell)
                print(sampler, seed, way, cell, flush=True)
    results = {sampler: compared(ways) for sampler, ways in found.items()}
    show(
        f"Mean log-loss of {SUBNETS} subnets, {len(given.seeds)} seeds",
        ("sampler", "slices move", "slices held", "held - moves, 95 %", "s moves", "s held"),
        [row(sampler, one) for sampler, one in results.items()],
    )
    save(given, {"space": SPACE, "subnets": SUBNETS, "samplers": results})


def ground(catalogue: Catalogue, space: Space) -> tuple[Context, State]:
    """One split of the data and one teacher for all seeds, so that only training varies."""
    record = catalogue.task("spoken-digits")
    task = cast(Task, cast(Any, catalogue.resolve(record))(record.params()))
    family = KeywordTransformerFamily()
    model = catalogue.model(family.name)
    shape = model.params(width=96, depth=6, heads=6, ffn_ratio=2.0)
    full = family.structure(shape, task.input_shape, task.outputs)
    context = Context(task, family, full, root_seed=0, spaces={"supernet": space})
    module = family.build(full, torch.Generator().manual_seed(0))
    settings = TrainSettings(epochs=12)
    plain = State({}, task.data)
    fit(module, structure=full, state=plain, settings=settings, context=context, label="teacher")
    taps = family.taps(full)
    state = State({"teacher": ModuleTeacher(module, tuple(taps), taps)}, task.data)
    return context, state.with_term(soft_labels_term(4.0, 1.0))


def trained(params: Any, seed: int, context: Context, state: State) -> dict[str, float]:
    """Losses and accuracy of the fixed subnets, means, and seconds of CPU that training took."""
    context = Context(
        context.task, context.family, context.full, root_seed=seed, spaces=context.spaces
    )
    began = time.process_time()
    artefact = Supernet().prepare(state, params, context)
    seconds = time.process_time() - began
    scores = [scored(genes, params, artefact, context, state) for genes in fixed(context)]
    means = {name: float(np.mean([one[name] for one in scores])) for name in scores[0]}
    return {**means, "seconds": seconds}


def fixed(context: Context) -> list[Mapping[str, Any]]:
    space = context.spaces["supernet"]
    return [space.decode(row) for row in gene_by_gene(space, SUBNETS, np.random.default_rng(5))]


def scored(
    genes: Mapping[str, Any], params: Any, artefact: Artefact, context: Context, state: State
) -> Mapping[str, float]:
    student = Supernet().apply(state, Choice(params, genes), artefact, context).student
    assert student is not None
    split = state.data.validation
    return context.task.score(predict(student, split), split.targets)


def compared(ways: Mapping[str, list[dict[str, float]]]) -> dict[str, Any]:
    names = ways["held"][0]
    found: dict[str, Any] = {
        way: {name: averaged(cell[name] for cell in cells) for name in names}
        for way, cells in ways.items()
    }
    pairs = zip(ways["held"], ways["moves"], strict=True)
    gaps = np.array([held["log_loss"] - moves["log_loss"] for held, moves in pairs])
    half = stats.t.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / np.sqrt(len(gaps))
    found["held_minus_moves"] = {
        "mean": float(gaps.mean()), "half_width_95": float(half), "per_seed": gaps.tolist(),
    }  # fmt: skip
    return found


def row(sampler: str, one: Mapping[str, Any]) -> list[str]:
    gap = one["held_minus_moves"]
    return [
        sampler,
        *(shown(one[way]["log_loss"], 4) for way in WAYS),
        f"{gap['mean']:+.4f} ± {gap['half_width_95']:.4f}",
        *(shown(one[way]["seconds"], 1) for way in WAYS),
    ]


if __name__ == "__main__":
    main()
