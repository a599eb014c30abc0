"""The training loss: the task's own, the gathered terms, and in-place distillation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, cast, final

import torch
from torch import Tensor, nn

from stillhouse.core.distill.losses import distilled, soft_labels
from stillhouse.core.distill.masking import MASKED, Masking, SpanMask, hidden_in, masking_point
from stillhouse.core.distill.settings import TrainSettings
from stillhouse.core.distill.taps import Taps, tapped
from stillhouse.core.errors import UserError, nearest
from stillhouse.core.evaluate.context import Context
from stillhouse.core.evaluate.data import Batch
from stillhouse.core.evaluate.family import ElasticModule
from stillhouse.core.evaluate.padding import real_positions
from stillhouse.core.evaluate.state import LAST, LossTerm, Structure
from stillhouse.core.evaluate.teacher import Observation, Teacher

_MASK: Final = "mask"
_SCALES: Final = "scales"
_TINY: Final = 1e-12
_AUTOCAST: Final = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@final
class Objective:
    """Runs a network and its teachers on a batch and weighs what they show.

    `names` are those of the losses: their weighted sum first, then the addends.

    Raises:
        UserError: when a term asks for a teacher or a tap that is not there, or the state for
            masks that the network cannot have.
    """

    def __init__(
        self,
        module: nn.Module,
        structure: Structure,
        teachers: Mapping[str, Teacher],
        terms: tuple[LossTerm, ...],
        settings: TrainSettings,
        context: Context,
        masking: Masking | None = None,
    ) -> None:
        self._module, self._structure, self._terms = module, structure, terms
        self._context, self._inplace = context, settings.inplace
        self.begun = False
        self._teachers = _wanted(teachers, terms)
        inplace = ["in-place"] if settings.inplace != "none" else []
        self.names = ("loss", "task", *(term.name for term in terms), *inplace)
        self._weights = (
            settings.task_weight,
            *(term.weight for term in terms),
            *[1.0 for _ in inplace],
        )
        self._wanted = _unique(tap for term in terms for tap in term.student_taps)
        self.adapters = self._build_adapters()
        if any(term.normalised for term in terms):
            self.adapters[_SCALES] = Scales(len(terms))
        self.mask = None if masking is None else self._build_mask(masking)
        if self.mask is not None:
            self.adapters[_MASK] = self.mask

    @contextmanager
    def taps(self) -> Iterator[Taps]:
        """Hooks on every student tap that a term may read, and the mask, while training lasts."""
        real = [tap for tap in self._wanted if tap != LAST]
        shallower = real and isinstance(self._module, ElasticModule)
        depth = self._depth_order(None) if LAST in self._wanted or shallower else ()
        handles = []
        if self.mask is not None:
            point = self._module.get_submodule(self._point())
            handles.append(point.register_forward_hook(hidden_in(self.mask)))
        try:
            with Taps(self._module, _unique((*real, *depth))) as taps:
                yield taps
        finally:
            for handle in handles:
                handle.remove()

    @torch.no_grad()
    def begin(self, batch: Batch, taps: Taps, configuration: Mapping[str, Any] | None) -> None:
        """Show the terms a first batch, and set what those that are normalised are divided by.

        The network's running statistics stay as they are. Nothing where it has `begun` already.
        """
        if self.begun or not any(term.begin or term.normalised for term in self._terms):
            return
        kept = {name: buffer.clone() for name, buffer in self._module.named_buffers()}
        seen, teachers = self.see(batch.inputs, taps, configuration), self.targets(batch)
        for name, buffer in self._module.named_buffers():
            buffer.copy_(kept[name])
        for i, term in enumerate(self._terms):
            if term.begin is not None and term.weight:
                term.begin(seen, teachers, batch, self._adapter(i))
            if term.normalised and term.weight:
                self._scales().take(i, term.value(seen, teachers, batch, self._adapter(i)))

    def targets(self, batch: Batch) -> dict[str, Observation]:
        """What every teacher that a term needs shows on what teachers are given of a batch, with
        the taps asked for."""
        with self._autocast():
            return {
                name: teacher.observe(batch.seen, taps)
                for name, (teacher, taps) in self._teachers.items()
            }

    def see(
        self, inputs: Tensor, taps: Taps, configuration: Mapping[str, Any] | None
    ) -> Observation:
        """Run the network (or the subnet of a configuration) with gradient."""
        taps.features.clear()
        if configuration is not None and isinstance(self._module, ElasticModule):
            self._module.set_active(configuration)
        with self._autocast():
            logits = self._module(inputs)
        features = {tap: self._feature(tap, taps, configuration) for tap in self._wanted}
        if self.mask is not None:
            features[MASKED] = self.mask.shown()
        return Observation(_widened(logits), features, real_positions(self._module, inputs))

    def losses(
        self,
        seen: Observation,
        teachers: Mapping[str, Observation],
        batch: Batch,
        largest: Tensor | None,
    ) -> Tensor:
        """Every loss by position in `names`, shape (names,); an addend of weight 0 is 0.

        `largest` holds the largest subnet's detached logits when another subnet was seen.
        """
        absent = seen.logits.new_zeros(())
        replaced = largest is not None and self._inplace == "replace"
        parts = [absent] * (1 + len(self._terms))
        if not replaced:
            parts = self._addends(seen, teachers, batch, absent)
        if self._inplace != "none":
            parts.append(absent if largest is None else self._in_place(seen.logits, largest))
        total = sum((w * p for w, p in zip(self._weights, parts, strict=True)), absent)
        return torch.stack([total, *parts])

    def _in_place(self, logits: Tensor, largest: Tensor) -> Tensor:
        if self._context.task.several:
            return distilled(logits, largest.sigmoid(), 1.0, several=True)
        return soft_labels(logits, largest)

    def _addends(
        self,
        seen: Observation,
        teachers: Mapping[str, Observation],
        batch: Batch,
        absent: Tensor,
    ) -> list[Tensor]:
        task = self._context.task.loss(seen.logits, batch.targets) if self._weights[0] else absent
        values = [
            self._scaled(i, term.value(seen, teachers, batch, self._adapter(i)))
            if term.weight
            else absent
            for i, term in enumerate(self._terms)
        ]
        return [task, *values]

    def _scaled(self, position: int, value: Tensor) -> Tensor:
        if not self._terms[position].normalised:
            return value
        return value * self._scales().factors[position]

    def _scales(self) -> Scales:
        return cast("Scales", self.adapters[_SCALES])

    def _adapter(self, position: int) -> nn.Module | None:
        key = str(position)
        return self.adapters[key] if key in self.adapters else None  # noqa: SIM401 (no get)

    def _build_adapters(self) -> nn.ModuleDict:
        widths = self._context.family.taps(self._structure) if self._wanted else {}
        if LAST in self._wanted:
            widths = {**widths, LAST: widths[next(reversed(widths))]}
        return nn.ModuleDict(
            {
                str(i): term.adapter({tap: _width(tap, widths) for tap in term.student_taps})
                for i, term in enumerate(self._terms)
                if term.adapter is not None
            }
        )

    def _point(self) -> str:
        return masking_point(self._context.family, self._structure)

    @torch.no_grad()
    def _build_mask(self, masking: Masking) -> SpanMask:
        """A vector as wide as what the full network shows at the masking point."""
        point = self._point()
        inputs = self._context.task.example(1).to(self._context.device)
        training = self._module.training
        _, shown = tapped(self._module.eval(), inputs, (point,))
        self._module.train(training)
        _, positions, width = shown[point].shape
        masking.check(positions)
        return SpanMask(width, masking)

    def _feature(self, tap: str, taps: Taps, configuration: Mapping[str, Any] | None) -> Tensor:
        name = self._depth_order(configuration)[-1] if tap == LAST else tap
        if name not in taps.features:
            name = self._before(name, taps, configuration)
        return _widened(taps.features[name])

    def _before(self, name: str, taps: Taps, configuration: Mapping[str, Any] | None) -> str:
        """In a subnet without that layer, the last one before it that runs."""
        order = self._depth_order(None)
        earlier = order[: order.index(name)] if name in order else ()
        running = [tap for tap in earlier if tap in taps.features]
        if configuration is None or not running:
            raise UserError(
                f"student tap '{name}' does not run in {dict(configuration or {})}; "
                f"tap '{LAST}' instead, or keep its block in every subnet"
            )
        return running[-1]

    def _depth_order(self, configuration: Mapping[str, Any] | None) -> tuple[str, ...]:
        family, elastic = self._context.family, self._module
        if configuration is None or not isinstance(elastic, ElasticModule):
            return tuple(family.taps(self._structure))
        taps = family.taps(elastic.structure(configuration))
        return tuple(elastic.tap(name, configuration) for name in taps)

    def _autocast(self) -> torch.autocast:
        dtype = _AUTOCAST.get(self._context.precision)
        device = self._context.device.split(":")[0]
        return torch.autocast(device, dtype=dtype, enabled=dtype is not None)


@final
class Scales(nn.Module):
    """One over each term's value on the first batch; 1 where that is 0 or there is none."""

    factors: Tensor

    def __init__(self, terms: int) -> None:
        super().__init__()
        self.register_buffer("factors", torch.ones(terms))

    def take(self, position: int, value: Tensor) -> None:
        size = float(value.detach().abs())
        self.factors[position] = 1 / size if size > _TINY else 1.0


def _wanted(
    teachers: Mapping[str, Teacher], terms: tuple[LossTerm, ...]
) -> dict[str, tuple[Teacher, tuple[str, ...]]]:
    names = _unique(n for term in terms for n in (*term.teachers, *term.teacher_taps))
    for name in names:
        if name not in teachers:
            raise UserError(
                f"a loss term learns from teacher '{name}', but the run has "
                f"{', '.join(sorted(teachers)) or 'none'}{nearest(name, teachers)}"
            )
    return {
        name: (
            teachers[name],
            _unique(t for term in terms for t in term.teacher_taps.get(name, ())),
        )
        for name in names
    }


def _width(tap: str, widths: Mapping[str, int]) -> int:
    if tap not in widths:
        raise UserError(
            f"a loss term learns at student tap '{tap}', but the network that trains has "
            f"{', '.join(widths)}{nearest(tap, widths)}; give the section student the shape of the "
            "network that trains (of a supernet the largest of its space), or choose other taps"
        )
    return widths[tap]


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _widened(values: Tensor) -> Tensor:
    """Half-precision activations as float32, so that losses are computed in it."""
    return values if values.dtype in (torch.float32, torch.float64) else values.float()
