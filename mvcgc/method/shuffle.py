"""Batch shuffling across ranks (MoCo), so that batch-norm statistics leak nothing.

A query and its key would otherwise be normalised with statistics of the same few samples, by which they can
be matched without looking at their content; shuffled key batches mix samples of all ranks. On one process
there is one batch, and nothing to mix.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed
from torch import Tensor

from mvcgc import dist


@dataclass
class Shuffle:
    """A permutation of the global batch: position p receives sample ``order[p]``.

    order: [world * B] int64 on the CPU; samples are numbered rank by rank. All ranks must build
    it with the same order and hold B samples each.
    """

    order: Tensor
    rank: int
    world: int

    def __post_init__(self) -> None:
        assert 0 <= self.rank < self.world
        assert len(self.order) % self.world == 0

    @classmethod
    def draw(cls, seed: int, per_rank: int) -> "Shuffle":
        """The permutation of ``seed`` for the running ranks."""
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(dist.world() * per_rank, generator=generator)
        return cls(order, dist.rank(), dist.world())

    def apply(self, local: Tensor) -> Tensor:
        """The samples (first axis) that this rank holds after shuffling; on one rank, ``local`` as it is."""
        if self.world == 1:
            return local
        per_rank = len(self.order) // self.world
        assert len(local) == per_rank, f"{len(local)} samples on rank {self.rank}, {per_rank} expected"
        blocks = self.order.view(self.world, per_rank)
        leaving = [block[block // per_rank == self.rank] % per_rank for block in blocks]
        source = blocks[self.rank] // per_rank
        outgoing = local[_beside(torch.cat(leaving), local)].contiguous()
        incoming = torch.empty_like(outgoing)
        torch.distributed.all_to_all_single(
            incoming,
            outgoing,
            output_split_sizes=torch.bincount(source, minlength=self.world).tolist(),
            input_split_sizes=[len(samples) for samples in leaving],
        )
        # What arrives is ordered by source rank, and within it by destination.
        return incoming[_beside(source.argsort(stable=True).argsort(), local)]

    def apply_to_all(self, local: Sequence[Tensor]) -> list[Tensor]:
        """`apply` to several tensors [B, ...] of any types, in one exchange per device."""
        if self.world == 1:
            return list(local)
        arrived: dict[torch.device, list[Tensor]] = {}
        for device in dict.fromkeys(tensor.device for tensor in local):
            together = [tensor for tensor in local if tensor.device == device]
            arrived[device] = dist.unpacked(self.apply(dist.packed(together)), together)
        return [arrived[tensor.device].pop(0) for tensor in local]

    def restore(self, everyones: Tensor) -> Tensor:
        """What was computed from the shuffled samples, of all ranks in their order, in the global batch's
        order.
        """
        return everyones if self.world == 1 else everyones[_beside(self.order.argsort(), everyones)]


def _beside(index: Tensor, other: Tensor) -> Tensor:
    """``index`` on the device of ``other``, without waiting for that device."""
    return index.to(other.device, non_blocking=True)
