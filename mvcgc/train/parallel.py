"""One network on many ranks."""

import inspect
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from mvcgc import dist
from mvcgc.models.layers import lay_out
from mvcgc.train.sync_norm import synchronise
from mvcgc.train.task import Task

# torch 2.13 renamed the switch, and warns of the old name.
_BUFFERS = (
    "forward_sync_buffers"
    if "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters
    else "broadcast_buffers"
)


def spread(task: Task, device: torch.device, sync_bn: bool) -> nn.Module:
    """Move ``task`` to the device, and wrap it so that a backward pass leaves the mean gradient of all ranks.

    With one rank that is ``task`` itself. Buffers are not broadcast: queues agree by construction, and
    statistics of batch norm by `average_statistics` or, with ``sync_bn``, because they are computed together.
    """
    lay_out(task.to(device))
    if dist.world() == 1:
        return task
    if sync_bn:
        synchronise(task, device)
    quiet: dict[str, Any] = {_BUFFERS: False}
    return DistributedDataParallel(task, find_unused_parameters=task.leaves_parameters_out, **quiet)


def alone(net: nn.Module) -> AbstractContextManager[None]:
    """The context in which backward passes exchange no gradients yet."""
    return net.no_sync() if isinstance(net, DistributedDataParallel) else nullcontext()


@torch.no_grad()
def average_statistics(modules: Iterable[nn.Module]) -> None:
    """Give the training batch norms of all ranks their mean running statistics.

    Each rank normalises by its own batch; without this their running statistics, which evaluation uses, would
    drift apart, and a checkpoint could hold one rank's only.
    """
    norms = [module for module in modules if isinstance(module, _BatchNorm) and module.training]
    running = [
        buffer for norm in norms for buffer in (norm.running_mean, norm.running_var) if buffer is not None
    ]
    if dist.world() == 1 or not running:
        return
    mean = dist.all_reduce_mean(torch.cat(running))
    for buffer, part in zip(running, torch.split(mean, [buffer.numel() for buffer in running]), strict=True):
        buffer.copy_(part)
