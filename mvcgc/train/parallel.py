"""One network on many ranks."""

import inspect
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn
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
    statistics of batch norm by `RunningStatistics` or, with ``sync_bn``, because they are computed together.
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
