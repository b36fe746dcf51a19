"""Convolution and max pooling over clips, computed by torch's fastest kernel for each shape of window.

Both take and give ``channels_last_3d`` activations, [B, C, T, H, W] in the order B T H W C in memory. In that
order time and space fold into other axes without a copy, and so a window that is one cell wide along some
axes becomes a product of matrices or a two-dimensional operation. On CPUs torch 2.13 has no fast three-
dimensional pooling, and leaves fast convolutions aside for windows of 1 x 1 pixels in small batches, and its
gradient of a weight along time takes longer than the products that make it up; on GPUs its three-dimensional
pooling copies into another layout and back.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.grad import conv2d_input

Window = tuple[int, int, int]
"""Extent along T, H and W."""

ROWS = 2048
"""Rows from which on products of matrices gain nothing by being longer."""


STEP = 4
"""Channel counts are multiples of this, so that narrow networks keep all their branches."""


def scaled(channels: int, width: float) -> int:
    """``channels`` times ``width``, rounded to a multiple of STEP (never less); unchanged at width 1."""
    if width == 1.0:
        return channels
    return max(STEP, round(channels * width / STEP) * STEP)


class Conv(nn.Module):
    """A convolution without bias, padded to keep the size at stride 1; the weight is `nn.Conv3d`'s own,
    [outputs, inputs, kT, kH, kW], and starts as it does there.
    """

    def __init__(self, inputs: int, outputs: int, kernel: Window, stride: Window = (1, 1, 1)) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, *kernel))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        self.kernel, self.stride = kernel, stride
        self.padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)

    def forward(self, x: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B D t h w"]:
        """The convolved clips."""
        along_time, *across = self.kernel
        if self.kernel == (1, 1, 1) and self.stride == (1, 1, 1):
            # Under autocast the product is one in half precision, as that of a convolution would be.
            plain = x.device.type == "cpu" or _autocast(x.device)
            point = functional.linear if plain else _Point.apply
            cells = point(x.permute(0, 2, 3, 4, 1), self.weight.flatten(1))
            return cells.permute(0, 4, 1, 2, 3)
        if along_time > 1 and across == [1, 1] and self.stride[1:] == (1, 1):
            own = x.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
            convolve = _AlongTime.apply if own else _along_time
            rows = convolve(x.flatten(3), self.weight.squeeze(-1), self.stride[0])
            return rows.view(*rows.shape[:3], *x.shape[3:])
        return functional.conv3d(x, self.weight, stride=self.stride, padding=self.padding)

    def extra_repr(self) -> str:
        """Return what ``print`` shows."""
        outputs, inputs = self.weight.shape[:2]
        return f"{inputs}, {outputs}, kernel={self.kernel}, stride={self.stride}"


def _autocast(device: torch.device) -> bool:
    return torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)


@contextmanager
def convolution_precision() -> Iterator[None]:
    """Multiply float32 matrices on GPUs as precisely as cuDNN convolves: in TF32 unless that is off.

    It holds for the whole process meanwhile, so nothing else may compute then.
    """
    matrices, before = torch.backends.cuda.matmul, torch.backends.cuda.matmul.fp32_precision
    matrices.fp32_precision = torch.backends.cudnn.conv.fp32_precision  # type: ignore[attr-defined]
    try:
        yield
    finally:
        matrices.fp32_precision = before


class _Point(torch.autograd.Function):
    """`functional.linear` with the precision of the convolutions around it, forward and backward.

    torch has TF32 on for convolutions and off for products of matrices: for similarities and losses that is
    right, for a network's convolutions it would be several times slower.
    """

    @staticmethod
    def forward(ctx: Any, cells: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(cells, weight)
        with convolution_precision():
            return functional.linear(cells, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        cells, weight = ctx.saved_tensors
        to_cells, to_weight = None, None
        with convolution_precision():
            if ctx.needs_input_grad[0]:
                to_cells = grad @ weight
            if ctx.needs_input_grad[1]:
                to_weight = grad.flatten(0, -2).t() @ cells.flatten(0, -2)
        return to_cells, to_weight


def _along_time(
    x: Float[Tensor, "B C T P"], weight: Float[Tensor, "D C k 1"], stride: int
) -> Float[Tensor, "B D t P"]:
    return functional.conv2d(x, weight, stride=(stride, 1), padding=(weight.shape[2] // 2, 0))


class _AlongTime(torch.autograd.Function):
    """`_along_time` with a faster gradient of the weight."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return _along_time(x, weight, stride)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        taps, to_x, to_weight = weight.shape[2], None, None
        if ctx.needs_input_grad[0]:
            to_x = conv2d_input(x.shape, weight, grad, (ctx.stride, 1), (taps // 2, 0))  # type: ignore[no-untyped-call]
        if ctx.needs_input_grad[1]:
            to_weight = _weight_gradient(x, grad, taps, ctx.stride)
        return to_x, to_weight, None


def _weight_gradient(
    x: Float[Tensor, "B C T P"], grad: Float[Tensor, "B D t P"], taps: int, stride: int
) -> Float[Tensor, "D C k 1"]:
    """The gradient of `_along_time`'s weight, from its input and the gradient of its output."""
    read, made = x.permute(0, 2, 3, 1), grad.permute(0, 2, 3, 1)  # cells with their channels
    clips, frames, cells, channels = made.shape
    # Apart, so that a tap reads frames that follow one another.
    lanes = [read[:, lane::stride].contiguous() for lane in range(stride)]
    gradient = x.new_zeros(channels, taps, x.shape[1])
    together = max(1, ROWS // (frames * cells))
    for tap in range(taps):
        # Frame n of the output reads frame n + offset of the lane, if there is one.
        offset, lane = divmod(tap - taps // 2, stride)
        first, stop = max(0, -offset), min(frames, lanes[lane].shape[1] - offset)
        for clip in range(0, clips if first < stop else 0, together):
            some = slice(clip, clip + together)
            theirs = lanes[lane][some, first + offset : stop + offset]
            gradient[:, tap].addmm_(made[some, first:stop].flatten(0, 2).t(), theirs.flatten(0, 2))
    return gradient.transpose(1, 2).unsqueeze(-1)


class MaxPool(nn.Module):
    """The largest value of each window, over space and then over time; what `nn.MaxPool3d` gives."""

    def __init__(self, kernel: Window, stride: Window, padding: Window) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride, padding

    def forward(self, x: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B C t h w"]:
        """The pooled clips."""
        pictures = functional.max_pool2d(
            x.transpose(1, 2).flatten(0, 1), self.kernel[1:], self.stride[1:], self.padding[1:]
        )
        x = pictures.view(x.shape[0], x.shape[2], *pictures.shape[1:]).transpose(1, 2)
        if self.kernel[0] == 1:
            return x
        rows = functional.max_pool2d(
            x.flatten(3), (self.kernel[0], 1), (self.stride[0], 1), (self.padding[0], 0)
        )
        return rows.view(*rows.shape[:3], *x.shape[3:])

    def extra_repr(self) -> str:
        """Return what ``print`` shows."""
        return f"kernel={self.kernel}, stride={self.stride}, padding={self.padding}"


def lay_out(module: nn.Module) -> None:
    """Lay the weights of 3D convolutions out as the activations are, in place.

    Their gradients then arrive in the layout of the parameters, and no convolution has to turn its weights.
    """
    for parameter in module.parameters():
        if parameter.dim() == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
