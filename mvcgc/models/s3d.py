"""S3D without gating (Xie et al., 2018, "Rethinking Spatiotemporal Feature Learning").

An Inception-v1 whose k x k x k convolutions are split into 1 x k x k and k x 1 x 1. With 3 input channels and
width 1 it has 7,910,048 parameters.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mvcgc.models.backbone import Layered
from mvcgc.models.layers import Conv, MaxPool, scaled

_INIT_STD = (
    0.01  # (CoCLR); every convolution is followed by batch norm, so only the relative step size depends on it
)


class _Widths(NamedTuple):
    """Output channels of an Inception block's convolutions at width 1."""

    point: int
    reduce_a: int
    conv_a: int
    reduce_b: int
    conv_b: int
    pooled: int

    def scaled(self, width: float) -> "_Widths":
        return _Widths(*(scaled(channels, width) for channels in self))

    @property
    def total(self) -> int:
        return self.point + self.conv_a + self.conv_b + self.pooled


_MIXED_3 = (_Widths(64, 96, 128, 16, 32, 32), _Widths(128, 128, 192, 32, 96, 64))
_MIXED_4 = (
    _Widths(192, 96, 208, 16, 48, 64),
    _Widths(160, 112, 224, 24, 64, 64),
    _Widths(128, 128, 256, 24, 64, 64),
    _Widths(112, 144, 288, 32, 64, 64),
    _Widths(256, 160, 320, 32, 128, 128),
)
_MIXED_5 = (_Widths(256, 160, 320, 32, 128, 128), _Widths(384, 192, 384, 48, 128, 128))


def _unit(
    inputs: int, outputs: int, kernel: tuple[int, int, int], stride: tuple[int, int, int] = (1, 1, 1)
) -> list[nn.Module]:
    """Convolution, batch norm, ReLU."""
    conv = Conv(inputs, outputs, kernel, stride)
    nn.init.normal_(conv.weight, std=_INIT_STD)
    return [conv, nn.BatchNorm3d(outputs), nn.ReLU(inplace=True)]


def _point(inputs: int, outputs: int) -> list[nn.Module]:
    return _unit(inputs, outputs, (1, 1, 1))


def _separable(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """A k x k x k convolution in two factors: space, then time."""
    space = _unit(inputs, outputs, (1, kernel, kernel), (1, stride, stride))
    return space + _unit(outputs, outputs, (kernel, 1, 1), (stride, 1, 1))


class _Inception(nn.Module):
    def __init__(self, inputs: int, widths: _Widths) -> None:
        super().__init__()
        self.point = nn.Sequential(*_point(inputs, widths.point))
        self.conv_a = nn.Sequential(
            *_point(inputs, widths.reduce_a), *_separable(widths.reduce_a, widths.conv_a, 3)
        )
        self.conv_b = nn.Sequential(
            *_point(inputs, widths.reduce_b), *_separable(widths.reduce_b, widths.conv_b, 3)
        )
        self.pooled = nn.Sequential(MaxPool((3, 3, 3), (1, 1, 1), (1, 1, 1)), *_point(inputs, widths.pooled))

    def forward(self, x: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B D T H W"]:
        return torch.cat([self.point(x), self.conv_a(x), self.conv_b(x), self.pooled(x)], dim=1)


class S3D(Layered):
    """S3D without gating. Divides T by 8, H and W by 32."""

    version = 1

    @staticmethod
    def build(in_channels: int, width: float) -> tuple[nn.Sequential, int]:
        """Return the layers and their number of output channels."""
        return _layers(in_channels, width)


def _layers(in_channels: int, width: float) -> tuple[nn.Sequential, int]:
    stem, middle = scaled(64, width), scaled(192, width)
    layers: list[nn.Module] = [
        *_separable(in_channels, stem, 7, stride=2),
        MaxPool((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        *_point(stem, stem),
        *_separable(stem, middle, 3),
        MaxPool((1, 3, 3), (1, 2, 2), (0, 1, 1)),
    ]
    channels = middle
    for blocks, pool in (
        (_MIXED_3, MaxPool((3, 3, 3), (2, 2, 2), (1, 1, 1))),
        (_MIXED_4, MaxPool((2, 2, 2), (2, 2, 2), (0, 0, 0))),
        (_MIXED_5, None),
    ):
        for block in blocks:
            widths = block.scaled(width)
            layers.append(_Inception(channels, widths))
            channels = widths.total
        if pool is not None:
            layers.append(pool)
    return nn.Sequential(*layers), channels
