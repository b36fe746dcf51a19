"""Batch norm whose statistics are those of all ranks together, for the CPU.

torch's own SyncBatchNorm computes on GPUs only. With it there and with this here, several ranks train as one
would with the whole batch.
"""

from typing import Any

import torch
import torch.distributed as td
from torch import Tensor, nn
from torch.autograd.function import Function
from torch.nn.modules.batchnorm import _BatchNorm

from mvcgc import dist


class _GatherEqual(Function):
    """All ranks' tensors of one shape, stacked; the gradient of each goes back to the rank it came from."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:  # noqa: ARG004 - autograd's form
        parts = [torch.empty_like(own) for _ in range(dist.world())]
        td.all_gather(parts, own.contiguous())
        return torch.stack(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ARG004 - autograd's form
        total = dist.all_reduce_sum(gradients[0].contiguous())
        return total[dist.rank()]


class SyncBatchNorm(_BatchNorm):
    """Batch norm over the ranks' batches together, for inputs [B, C, ...] with as many samples on each
    rank.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"batch norm wants inputs [B, C, ...], this one is {tuple(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or dist.world() == 1:
            return super().forward(input)
        self._check_input_dim(input)
        axes = [axis for axis in range(input.dim()) if axis != 1]
        wide = input.float() if input.itemsize < 4 else input
        variance, mean = torch.var_mean(wide, dim=axes, correction=0)
        every = _gather(torch.stack([mean, variance]))
        # Equal counts: the whole's mean is the mean of means, and its variance adds the spread of the means.
        mean = every[:, 0].mean(dim=0)
        variance = every[:, 1].mean(dim=0) + (every[:, 0] - mean).square().mean(dim=0)
        self._remember(mean, variance, dist.world() * input.numel() // input.shape[1])
        shape = [1, -1] + [1] * (input.dim() - 2)
        scale = torch.rsqrt(variance + self.eps)
        shift = -mean * scale
        if self.affine:
            scale, shift = scale * self.weight, shift * self.weight + self.bias
        return (wide * scale.view(shape) + shift.view(shape)).to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean), share)
        self.running_var.lerp_((variance * count / max(1, count - 1)).to(self.running_var), share)


def _gather(own: Tensor) -> Tensor:
    stacked: Tensor = _GatherEqual.apply(own)  # type: ignore[no-untyped-call]
    return stacked


def synchronise(module: nn.Module, device: torch.device) -> None:
    """Make every batch norm within ``module`` compute over all ranks, in place; parameters stay the same
    objects.
    """
    for name, child in module.named_children():
        if isinstance(child, _BatchNorm):
            setattr(module, name, _synchronised(child, device))
        else:
            synchronise(child, device)


def _synchronised(norm: _BatchNorm, device: torch.device) -> nn.Module:
    if device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(norm)  # type: ignore[no-untyped-call]
        return converted
    twin = SyncBatchNorm(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    twin._parameters = norm._parameters
    twin._buffers = norm._buffers
    return twin.train(norm.training)
