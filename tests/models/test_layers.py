"""Folded convolutions and pooling against torch's own three-dimensional ones, value and gradient."""

import pytest
import torch
from torch import Tensor, nn

from mvcgc.models.layers import Conv, MaxPool, Window, lay_out

SHAPE = (2, 6, 5, 9, 10)
KERNELS = [
    ((1, 1, 1), (1, 1, 1)),
    ((1, 1, 1), (2, 2, 2)),
    ((3, 1, 1), (1, 1, 1)),
    ((7, 1, 1), (2, 1, 1)),
    ((1, 3, 3), (1, 2, 2)),
    ((3, 3, 3), (2, 2, 2)),
]
POOLS = [
    ((1, 3, 3), (1, 2, 2), (0, 1, 1)),
    ((3, 3, 3), (1, 1, 1), (1, 1, 1)),
    ((3, 3, 3), (2, 2, 2), (1, 1, 1)),
    ((2, 2, 2), (2, 2, 2), (0, 0, 0)),
]


def clips(seed: int = 0, levels: int | None = None) -> Tensor:
    """Channels last; with few ``levels`` most windows have several largest values."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(SHAPE, generator=generator)
    if levels is not None:
        x = (x * levels).round() / levels
    return x.contiguous(memory_format=torch.channels_last_3d).requires_grad_()


def through(layer: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """What the layer gives, and the gradient at its input of a loss that weighs each value differently."""
    y = layer(x)
    weights = torch.linspace(-1, 1, y.numel()).view_as(y)
    (gradient,) = torch.autograd.grad((y * weights).sum(), x, retain_graph=True)
    return y, gradient


@pytest.mark.parametrize(("kernel", "stride"), KERNELS)
def test_a_convolution_is_torchs(kernel: Window, stride: Window) -> None:
    ours = Conv(6, 4, kernel, stride)
    torchs = nn.Conv3d(6, 4, kernel, stride, padding=tuple(k // 2 for k in kernel), bias=False)
    torchs.load_state_dict(ours.state_dict())
    x = clips()
    plain = x.detach().contiguous().requires_grad_()  # torch 2.13 aborts on some that are channels last
    for mine, expected in zip(through(ours, x), through(torchs, plain), strict=True):
        torch.testing.assert_close(mine, expected)
    ours(x).square().sum().backward()
    torchs(plain).square().sum().backward()
    torch.testing.assert_close(ours.weight.grad, torchs.weight.grad, rtol=1e-4, atol=1e-4)


def test_a_convolution_starts_as_torchs() -> None:
    torch.manual_seed(3)
    ours = Conv(6, 4, (3, 1, 1))
    torch.manual_seed(3)
    assert torch.equal(ours.weight, nn.Conv3d(6, 4, (3, 1, 1), bias=False).weight)


@pytest.mark.parametrize(("kernel", "stride", "padding"), POOLS)
@pytest.mark.parametrize("levels", [None, 1])
def test_pooling_is_torchs(kernel: Window, stride: Window, padding: Window, levels: int | None) -> None:
    x = clips(1, levels)
    ours, torchs = MaxPool(kernel, stride, padding), nn.MaxPool3d(kernel, stride, padding)
    (mine, to_mine), (expected, to_expected) = through(ours, x), through(torchs, x)
    assert torch.equal(mine, expected)
    torch.testing.assert_close(to_mine, to_expected)  # of equal values the first gets the gradient in both


def test_not_a_number_passes_through_pooling() -> None:
    x = clips().detach()
    x[0, 0, 2, 4, 4] = torch.nan
    assert MaxPool(*POOLS[1])(x)[0, 0, 1:4, 3:6, 3:6].isnan().all()


@pytest.mark.parametrize(("kernel", "stride"), KERNELS)
def test_activations_stay_channels_last(kernel: Window, stride: Window) -> None:
    """Else the next layer would copy them."""
    layer = nn.Sequential(Conv(6, 4, kernel, stride), MaxPool(*POOLS[0]), Conv(4, 8, (3, 1, 1)))
    lay_out(layer)
    x = clips().detach()
    for part in layer:
        x = part(x)
        assert x.is_contiguous(memory_format=torch.channels_last_3d), part
