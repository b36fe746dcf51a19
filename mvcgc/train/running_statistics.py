"""Running statistics of batch norm that are those of all ranks' samples together.

Each rank normalises by its own batch. Evaluation uses the running statistics, and a checkpoint holds one
rank's: they must be the same on all ranks, and those that a single process would have for the whole batch.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mvcgc import dist
from mvcgc.errors import UserError
from mvcgc.phases import phase


class RunningStatistics:
    """Combines the ranks' running means and variances after every pass, forward and backward.

    By the law of total variance a variance over all samples is the mean of the ranks' variances plus the
    variance of their means. All ranks have as many samples, and start from the same statistics.
    """

    def __init__(self, module: nn.Module) -> None:
        found = [one for one in module.modules() if isinstance(one, _BatchNorm)] if dist.world() > 1 else []
        self._norms = [norm for norm in found if norm.running_mean is not None]
        self._counts: dict[int, int] = {}
        self._known: dict[tuple[tuple[int, int], ...], tuple[Tensor, Tensor]] = {}
        for place, norm in enumerate(self._norms):
            assert norm.momentum is not None, "a cumulative average has no momentum to combine by"
            norm.register_forward_hook(partial(self._note, place))

    @contextmanager
    def combined(self) -> Iterator[None]:
        """One pass within; the norms that train in it have the statistics of all ranks after it.

        The backward pass belongs to it: autograd refuses running statistics that have changed. All ranks call
        it. Raises UserError for a norm that a pass uses twice.
        """
        if not self._norms:
            yield
            return
        self._counts = {}
        before = torch.cat([_buffers(norm)[1] for norm in self._norms])
        yield
        if self._counts:
            with phase("statistics"), torch.no_grad():
                self._combine(before)

    def _note(self, place: int, norm: nn.Module, _inputs: Any, output: Tensor) -> None:
        """Remember that a norm has trained, and on how many values per channel."""
        if not norm.training:
            return
        if place in self._counts:
            raise UserError(
                "optim.sync_bn=false: the network uses a batch norm twice in a pass, and its statistics "
                "cannot be combined over ranks: use optim.sync_bn=true"
            )
        self._counts[place] = output.numel() // output.shape[1]

    def _combine(self, before: Tensor) -> None:
        places = tuple(sorted(self._counts.items()))
        parts = torch.split(before, [norm.num_features for norm in self._norms])
        old = torch.cat([parts[place] for place, _ in places]).double()
        means, variances = zip(*(_buffers(self._norms[place]) for place, _ in places), strict=True)
        running = [*means, *variances]
        mean, variance = torch.cat(running).double().chunk(2)
        # Doubles: the spread of the means is a small difference of their squares.
        total = dist.all_reduce_mean(torch.cat([mean, mean.square(), variance]))
        mean, square, variance = total.chunk(3)
        momentum, count = self._constants(places, before.device)
        between = (square - mean.square()).clamp_(min=0) / momentum.square()
        within = (variance - (1 - momentum) * old) / momentum
        # ``within`` has each rank's n / (n - 1); all samples together have n * world / (n * world - 1).
        extra = (between * count - within * (dist.world() - 1)) / (count - 1)
        combined = torch.cat([mean, variance + momentum * extra]).to(before.dtype)
        torch._foreach_copy_(running, torch.split(combined, [buffer.numel() for buffer in running]))

    def _constants(self, places: tuple[tuple[int, int], ...], device: torch.device) -> tuple[Tensor, Tensor]:
        """Momentum, and values per channel over all ranks, of every channel of the norms that trained."""
        if places not in self._known:
            norms = [self._norms[place] for place, _ in places]
            sizes = torch.tensor([norm.num_features for norm in norms])
            momenta = torch.tensor([norm.momentum for norm in norms], dtype=torch.float64)
            counts = torch.tensor([dist.world() * count for _, count in places], dtype=torch.float64)
            momentum, count = (values.repeat_interleave(sizes).to(device) for values in (momenta, counts))
            self._known[places] = momentum, count
        return self._known[places]


def _buffers(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return norm.running_mean, norm.running_var
