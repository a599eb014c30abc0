"""AdamW with what training needs around it: clipping, scaling, frozen slices, saved moments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn

from stillhouse.core.distill.settings import TrainSettings

_STATE = ("step", "exp_avg", "exp_avg_sq")


@final
class Optimiser:
    """AdamW over a network and its adapters; weight decay spares vectors (biases, norms).

    With `zeros_stay` the entries of the network's weight matrices that are 0 stay 0, exactly: they
    get no gradient, so that moments and decay leave them alone. A matrix of nothing but zeros has
    not been given weights yet, and trains.
    """

    def __init__(
        self,
        modules: nn.ModuleDict,
        settings: TrainSettings,
        precision: str,
        *,
        zeros_stay: bool = False,
    ) -> None:
        named = [(name, p) for name, p in modules.named_parameters() if p.requires_grad]
        self._names = dict(named)
        self._parameters = [p for _, p in named]
        self._settings = settings
        self._zeros = _zeros(modules) if zeros_stay else []
        decayed = [p for p in self._parameters if p.ndim > 1]
        plain = [p for p in self._parameters if p.ndim <= 1]
        groups = [
            {"params": decayed, "weight_decay": settings.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        self._adamw = torch.optim.AdamW(
            [group for group in groups if group["params"]], lr=settings.learning_rate, fused=True
        )
        device = self._parameters[0].device.type
        self._scaler = torch.amp.GradScaler(device, enabled=precision == "float16")

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss to those gathered since the last `step`."""
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def gradients(self) -> list[Tensor]:
        """Those gathered since the last `step`, in the order of the parameters."""
        return [p.grad for p in self._parameters if p.grad is not None]

    def step(self, rate: float) -> None:
        """One update at a learning rate with the gradients gathered, which are then dropped."""
        for group in self._adamw.param_groups:
            group["lr"] = rate
        self._scaler.unscale_(self._adamw)
        for weight, zero in self._zeros:
            if weight.grad is not None:
                weight.grad.masked_fill_(zero, 0.0)
        if self._settings.clip is not None:
            nn.utils.clip_grad_norm_(self._parameters, self._settings.clip)
        held = self._snapshot() if self._settings.freeze_unsampled else []
        self._scaler.step(self._adamw)
        self._scaler.update()
        for unsampled, now, before in held:
            now.copy_(torch.where(unsampled, before, now))
        self._adamw.zero_grad(set_to_none=True)

    def tensors(self) -> dict[str, Tensor]:
        """Moments and step counts by parameter name, as `restore` takes them."""
        state = self._adamw.state
        return {
            f"{name}/{key}": state[p][key]
            for name, p in self._names.items()
            if p in state
            for key in _STATE
        }

    def restore(self, tensors: Mapping[str, Tensor], scaler: Mapping[str, float]) -> None:
        """Take up moments that `tensors` gave and a scaler state that `scaling` gave."""
        for name, p in self._names.items():
            if f"{name}/step" in tensors:
                self._adamw.state[p] = {
                    key: tensors[f"{name}/{key}"].to(p.device, copy=True) for key in _STATE
                }
        if scaler:
            self._scaler.load_state_dict(dict(scaler))

    def scaling(self) -> dict[str, float]:
        """The loss scaler's state; empty unless training runs in float16."""
        return dict(self._scaler.state_dict())

    @torch.no_grad()
    def _snapshot(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        """(mask of zero gradients, tensor, copy) for weights and moments about to be stepped."""
        held = []
        for p in self._parameters:
            if p.grad is None:
                continue
            state = self._adamw.state.get(p, {})
            moving = [p.data, *(state[key] for key in _STATE[1:] if key in state)]
            held += [(p.grad == 0, tensor, tensor.clone()) for tensor in moving]
        return held


def _zeros(modules: nn.ModuleDict) -> list[tuple[nn.Parameter, Tensor]]:
    """The network's matrices that have zeros among other entries, and where."""
    found = []
    for name, weight in modules.named_parameters():
        zero = weight.detach() == 0
        if name.startswith("network.") and weight.ndim > 1 and zero.any() and not zero.all():
            found.append((weight, zero))
    return found
