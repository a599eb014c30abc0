"""One training run shared by several processes, each with its share of every batch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Group:
    """This process among `size` that make the same calls in the same order; alone by default.

    Every process draws the same subnets, masks and orders, since these depend on the seed and the
    update alone. `Group.joined()` is the group of `torch.distributed`, which the caller has opened
    (`torch.distributed.init_process_group`, or a launcher such as torchrun or accelerate).
    """

    rank: int = 0
    size: int = 1

    @staticmethod
    def joined() -> Group:
        """RuntimeError when no process group is open."""
        return Group(torch.distributed.get_rank(), torch.distributed.get_world_size())

    @property
    def leads(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def rows(self, samples: int) -> slice:
        """This process's samples of so many; empty where there are fewer samples than processes."""
        each = -(-samples // self.size)
        return slice(min(self.rank * each, samples), min((self.rank + 1) * each, samples))

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Sum tensors over the processes, in place, as one message."""
        parts = list(tensors)
        if self.size == 1 or not parts:
            return
        flat = torch.cat([part.detach().reshape(-1) for part in parts])
        torch.distributed.all_reduce(flat)
        counts = [part.numel() for part in parts]
        for part, total in zip(parts, torch.split(flat, counts), strict=True):
            part.copy_(total.view_as(part))

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Give all processes the first one's tensors, in place."""
        if self.size > 1:
            for tensor in tensors:
                torch.distributed.broadcast(tensor, 0)

    def wait(self) -> None:
        """Go on when all processes have come here."""
        if self.size > 1:
            torch.distributed.barrier()
