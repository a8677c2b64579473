"""The processes that share one run: who does which part, and how all of them learn the same results.

Every process runs the same code in lockstep. What only one of them works out is summed over all, so
that each holds the same bits and takes the same way at every branch.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from gensweep.errors import InputError
from gensweep.place import ALONE, Place

PATIENCE = timedelta(minutes=30)  # with a process that neither answers nor dies
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Ranks:
    """This process among those that share its run; alone by default.

    Args:
        place: Which of how many.
        device: Where this one computes.
    """

    place: Place = ALONE
    device: torch.device = CPU

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self.place.world > 1

    @property
    def writes(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.place.rank == 0

    def share(self, n: int) -> slice:
        """The part of n items that this process takes; the parts differ by at most one item.

        >>> [Ranks(Place(r, 3)).share(8) for r in range(3)]
        [slice(0, 2, None), slice(2, 5, None), slice(5, 8, None)]
        """
        rank, world = self.place.rank, self.place.world
        return slice(rank * n // world, (rank + 1) * n // world)

    def total(self, part: Tensor) -> Tensor:
        """The sum over all processes, the same bits in each; ``part`` itself when there is only one."""
        if not self.several:
            return part
        whole = part.detach().clone()
        dist.all_reduce(whole)
        return whole

    def most(self, number: int) -> int:
        """The largest that any process has, in every process."""
        if not self.several:
            return number
        whole = torch.tensor(number, device=self.device)
        dist.all_reduce(whole, dist.ReduceOp.MAX)
        return int(whole)

    def total_with_gradient(self, part: Tensor) -> Tensor:
        """The same sum, which autograd follows back into every process."""
        return _Total.apply(part) if self.several else part

    def gathered(self, part: Tensor, n: int) -> Tensor:
        """All n items, (n, …), from the parts that the processes took by ``share``."""
        if not self.several:
            return part
        whole = part.new_zeros((n, *part.shape[1:]))
        whole[self.share(n)] = part.detach()
        return self.total(whole)

    def agreed(self, word: Any) -> Any:
        """What rank 0 says, in every process; plain data."""
        if not self.several:
            return word
        said = [word]
        dist.broadcast_object_list(said, device=CPU)
        return said[0]


class _Total(torch.autograd.Function):
    """A sum over processes; what flows back into each part is the sum of what flows into the copies."""

    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        whole = part.clone()
        dist.all_reduce(whole)
        return whole

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        whole = slope.clone()
        dist.all_reduce(whole)
        return whole


_current = Ranks()


def current() -> Ranks:
    """This process among those of the run under way; alone outside any."""
    return _current


@contextlib.contextmanager
def joined(place: Place, accelerator: str) -> Iterator[Ranks]:
    """Meet the other processes, and part from them at the end.

    Args:
        place: Which of how many processes this is; one alone meets nobody.
        accelerator: ``cpu``, ``cuda``, or ``auto`` for a GPU where there is one. Tensors travel by NCCL
            between GPUs, by gloo else.

    Raises:
        InputError: There is no such device.
    """
    global _current
    before, _current = _current, Ranks(place, device(accelerator, place.local))
    if _current.device.type == "cuda":
        exactly()
    if place.world > 1:
        backend = "cpu:gloo,cuda:nccl" if _current.device.type == "cuda" else "gloo"
        where = f"tcp://{place.address}" if place.address else "env://"
        dist.init_process_group(backend, where, rank=place.rank, world_size=place.world, timeout=PATIENCE)
    try:
        yield _current
    finally:
        _current = before
    if place.world > 1:  # after an error the others may never answer again
        dist.destroy_process_group()


def exactly() -> None:
    """Let a GPU compute float32 as float32, and the same bits each time, or name the step that cannot."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


def device(accelerator: str, local: int) -> torch.device:
    """Where a process computes: on a GPU of its own, or on the CPU.

    Args:
        accelerator: As in `joined`.
        local: Which of the processes on this machine.

    Raises:
        InputError: There is no GPU for it.
    """
    gpus = torch.cuda.device_count()
    if accelerator == "cpu" or (accelerator == "auto" and gpus == 0):
        return CPU
    if local >= gpus:
        raise InputError(
            f"hardware.accelerator={accelerator} needs a GPU for each process, and PyTorch finds {gpus} here "
            f"for process {local + 1}; choose hardware=cpu, or a smaller hardware.processes"
        )
    return torch.device("cuda", local)
