"""One rank of `mvcgc bench scale`: ``python -m mvcgc.bench.scale_rank DEVICE ARCH FRAMES SIZE BATCH``.

Ranks find each other as those of a stage do. Rank 0 prints a line of JSON: see `mvcgc.bench.scale.Ranks`.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import Any
from unittest.mock import patch

import torch
import torch.distributed as td
from torch import Tensor
from torch.distributed import GradBucket  # type: ignore[attr-defined]
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.futures import Future
from torch.nn.parallel import DistributedDataParallel

from mvcgc import dist
from mvcgc.bench import measure, workload
from mvcgc.bench.pretrain_step import PretrainStep, Setting, backbone_of
from mvcgc.bench.workload import Shape
from mvcgc.phases import observed

SIZES = tuple(1 << power for power in range(10, 25, 2))
"""Bytes of the sums that are timed alone."""
REPEATS = 5


class Traffic:
    """Bytes that this rank hands to collectives, by the phase in which it does; gradients are one, too."""

    def __init__(self) -> None:
        self.bytes: dict[str, int] = {}
        self._open: list[str] = []

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """The observer to give to `mvcgc.phases.observed`."""
        self._open.append(name)
        try:
            yield
        finally:
            self._open.pop()

    @contextmanager
    def counted(self) -> Iterator[None]:
        """See the collectives of `mvcgc.dist` and `mvcgc.method.shuffle` meanwhile."""
        with ExitStack() as stack:
            for name, position in (("all_reduce", 0), ("all_gather", 1), ("all_to_all_single", 1)):
                stack.enter_context(patch.object(td, name, self._counting(getattr(td, name), position)))
            stack.enter_context(observed(self.phase))
            yield

    def gradients(self, group: td.ProcessGroup, bucket: GradBucket) -> Future[Tensor]:
        """A hook for DDP that does what it does by itself, and counts."""
        self._add("gradients", bucket.buffer())
        return allreduce_hook(group, bucket)

    def _counting(self, collective: Callable[..., Any], position: int) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self._add(self._open[-1] if self._open else "other", arguments[position])
            return collective(*arguments, **named)

        return call

    def _add(self, kind: str, tensor: Tensor) -> None:
        self.bytes[kind] = self.bytes.get(kind, 0) + tensor.nbytes


def main(device: str, backbone: str, frames: int, size: int, batch: int) -> None:
    """Take steps, count what they communicate, and time sums of several sizes."""
    place = dist.setup(dist.Device(device))
    setting = Setting("cross", backbone_of(backbone), Shape(frames, size, batch))
    batches = [
        workload.synthetic_batch(setting.shape, setting.views, seed * place.world + place.rank, place.device)
        for seed in range(2)
    ]
    ours = PretrainStep(setting, place)
    ours.take(batches[0])  # warms up
    dist.barrier()

    def both() -> None:
        for each in batches:
            ours.take(each)

    spent = measure.timed(both, place.device)
    traffic = Traffic()
    net = ours.state.net
    if isinstance(net, DistributedDataParallel):
        net.register_comm_hook(td.group.WORLD, traffic.gradients)
    with traffic.counted():
        ours.take(batches[0])
    sums = {str(size): _sum_s(size // 4, place.device) for size in SIZES} if place.world > 1 else {}
    told = {
        "ranks": place.world,
        "step_s": spent.wall / len(batches),
        "cpu_s": spent.cpu / len(batches),
        "bytes": traffic.bytes,
        "sums_s": sums,
    }
    if place.is_main:
        print(json.dumps(told))
    dist.barrier()
    dist.teardown()


def _sum_s(numbers: int, device: torch.device) -> float:
    tensor = torch.ones(numbers, device=device)
    found = []
    for _ in range(REPEATS + 1):
        dist.barrier()
        found.append(measure.timed(lambda: td.all_reduce(tensor), device).wall)
    return median(found[1:])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *(int(argument) for argument in sys.argv[3:]))
