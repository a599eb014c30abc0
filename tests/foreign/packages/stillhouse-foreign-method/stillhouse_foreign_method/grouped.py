"""Grouped layers (Krizhevsky et al. 2012, section 3.2), cut out of whole ones."""

import copy
from dataclasses import replace
from typing import final

import torch
from torch import nn

from stillhouse.core.errors import UserError
from stillhouse.core.evaluate import Method, Rebuild

LAYER = "feed_forward.up"


@final
class GroupedFeedForward(Method):
    """Keeps the blocks on the diagonal: one weight in so many as there are groups."""

    def apply(self, state, choice, artefact, context):
        return state.with_student(self.skeleton(state.student, choice, context))

    def skeleton(self, student, choice, context):
        change = Rebuild("grouped-feed-forward", {"groups": choice.params.groups})
        module = self.rebuild(student.module, change.record)
        return replace(student, module=module, rebuilds=(*student.rebuilds, change))

    def rebuild(self, skeleton, record):
        network = copy.deepcopy(skeleton)
        layers = [(n, m) for n, m in network.named_modules() if n.endswith(LAYER)]
        if not layers:
            raise UserError(f"grouped-feed-forward: expected layers called {LAYER}, found none")
        for name, layer in layers:
            if not (layer.in_features % record["groups"] or layer.out_features % record["groups"]):
                network.set_submodule(name, Grouped(layer, record["groups"]))
        return network.eval()


@final
class Grouped(nn.Module):
    """Layers side by side, each with its share of the inputs and of the outputs."""

    def __init__(self, layer, groups):
        super().__init__()
        rows = layer.weight.detach().chunk(groups, 0)
        blocks = [row.chunk(groups, 1)[place] for place, row in enumerate(rows)]
        biases = layer.bias.detach().chunk(groups)
        self.parts = nn.ModuleList(map(linear, blocks, biases))

    def forward(self, inputs):
        shares = inputs.chunk(len(self.parts), -1)
        return torch.cat([part(share) for part, share in zip(self.parts, shares, strict=True)], -1)


def linear(weight, bias):
    # On the meta device torch draws no weights from its global generator.
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    layer.weight, layer.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())
    return layer
