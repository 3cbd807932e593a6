"""Several processes training as one, a device each, as `torchrun` starts them.

Every rank takes its rows of every global batch, sees the vectors of all ranks as negatives, and makes the same step
with the summed gradient; rank 0 writes. It knows tensors, not what is trained. All ranks must see one file system.

Letters: B rows of this rank, G rows of all ranks, D dimensions.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import Parameter

from ground.errors import Refusal
from models.device import resolve_device

_LONGEST_WAIT = timedelta(days=2)
"""Others wait while rank 0 reads a cohort or scores; torchrun ends them all when one dies, so it may be long."""


@dataclass(frozen=True)
class Ranks:
    """This process's number among `count`. One process alone needs no process group: every method is then trivial."""

    number: int = 0
    count: int = 1

    @property
    def is_main(self) -> bool:
        return self.number == 0

    def shares(self, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Rows of a global batch by rank; sizes differ by one at most. Refusal when a rank would get none."""
        if len(rows) < self.count:
            raise Refusal(
                "too_many_ranks", f"a batch of {len(rows)} pairs cannot be shared among {self.count} processes"
            )
        return [rows[number :: self.count] for number in range(self.count)]

    def gather(self, own_BD: Tensor, sizes: Sequence[int]) -> Tensor:
        """(G, D): the rows of all ranks, rank after rank; `sizes` says how many each has.

        Only the own rows carry a graph. When each rank computes the whole loss from what it gathered, the gradient on
        its own rows is the whole gradient on them, so nothing has to travel back; parameter gradients then add up.
        """
        if self.count == 1:
            return own_BD
        padded = own_BD.new_zeros(max(sizes), own_BD.shape[1])
        padded[: len(own_BD)] = own_BD.detach()
        gathered = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(gathered, padded)
        parts = [part[:size] for part, size in zip(gathered, sizes, strict=True)]
        parts[self.number] = own_BD
        return torch.cat(parts)

    def sum_gradients(self, parameters: Iterable[Parameter]) -> None:
        """Replaces every gradient by the sum over ranks, in one exchange; all ranks must have the same ones."""
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        pieces = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, piece in zip(gradients, pieces, strict=True):
            gradient.copy_(piece.view_as(gradient))

    def from_main(self, value: float) -> float:
        """Rank 0's number on every rank; what the others hand in does not count."""
        if self.count == 1:
            return value
        box: list[float] = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def wait(self) -> None:
        """Until every rank is here."""
        if self.count > 1:
            dist.barrier()

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """The ranks run the block one after the other: later ones find what rank 0 left on the disk, unlocked."""
        for _ in range(self.number):
            self.wait()
        yield
        for _ in range(self.number, self.count):
            self.wait()


ALONE = Ranks()


@contextmanager
def torchrun_ranks(device: str) -> Iterator[tuple[Ranks, str]]:
    """The ranks that torchrun's environment names and this one's device; outside torchrun `ALONE` and `device`.

    On CUDA every process takes the GPU of its local rank. The process group ends with the block.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield ALONE, device
        return
    if resolve_device(device).type == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
        dist.init_process_group("nccl", timeout=_LONGEST_WAIT, device_id=torch.device(device))
    else:
        dist.init_process_group("gloo", timeout=_LONGEST_WAIT)
    try:
        yield Ranks(dist.get_rank(), count), device
    finally:
        dist.destroy_process_group()
