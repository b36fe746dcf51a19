"""Folded convolutions and pooling against torch's own three-dimensional ones, value and gradient."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from mvcgc.models import layers
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


class Precisions(TorchDispatchMode):
    """Notes with what precision GPUs would multiply matrices, at each product."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ in ("mm", "bmm", "addmm", "linear"):
            self.found.append(torch.backends.cuda.matmul.fp32_precision)
        return func(*args, **(kwargs or {}))


@pytest.fixture(params=["tf32", "ieee"])
def precision(request: pytest.FixtureRequest) -> Iterator[str]:
    """That of convolutions on GPUs."""
    before = torch.backends.cudnn.conv.fp32_precision
    torch.backends.cudnn.conv.fp32_precision = request.param
    yield request.param
    torch.backends.cudnn.conv.fp32_precision = before


def test_a_convolution_of_one_cell_is_as_precise_as_the_others(precision: str) -> None:
    """On the meta device, which is no CPU: a GPU's way, forward and backward."""
    before = torch.backends.cuda.matmul.fp32_precision
    assert before not in ("tf32", "ieee")
    conv, similarity = Conv(6, 4, (1, 1, 1)).to("meta"), torch.empty(3, 6, device="meta")
    with Precisions() as seen:
        conv(torch.empty(SHAPE, device="meta", requires_grad=True)).sum().backward()
        similarity @ similarity.T
    assert seen.found == [precision] * 3 + [before]


def test_a_product_of_one_cell_is_linear() -> None:
    x = torch.randn(2, 3, 4, 5, 6, dtype=torch.float64)
    weight = torch.randn(7, 6, dtype=torch.float64)
    found = []
    for point in (layers._Point.apply, nn.functional.linear):
        own, weights = x.clone().requires_grad_(), weight.clone().requires_grad_()
        y = point(own, weights)
        found.append((y, *torch.autograd.grad((y * torch.arange(7)).sum(), [own, weights])))
    for mine, expected in zip(*found, strict=True):
        torch.testing.assert_close(mine, expected)


@pytest.mark.parametrize("rows", [1, 250, 10_000])
@pytest.mark.parametrize("taps", [3, 7])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("frames", [1, 2, 8, 9])
def test_gradients_along_time_are_torchs(
    monkeypatch: pytest.MonkeyPatch, rows: int, taps: int, stride: int, frames: int
) -> None:
    """However many clips are multiplied together, and where hardly a tap meets a frame."""
    monkeypatch.setattr(layers, "ROWS", rows)
    ours = Conv(6, 4, (taps, 1, 1), (stride, 1, 1)).double()
    torchs = nn.Conv3d(6, 4, (taps, 1, 1), (stride, 1, 1), padding=(taps // 2, 0, 0), bias=False).double()
    torchs.load_state_dict(ours.state_dict())
    x = torch.randn(5, 6, frames, 4, 5, dtype=torch.float64)
    found = []
    for layer in (ours, torchs):
        own = x.clone(memory_format=torch.channels_last_3d).requires_grad_()
        y = layer(own)
        weights = torch.linspace(-1, 1, y.numel(), dtype=torch.float64).view_as(y)
        found.append(torch.autograd.grad((y * weights).sum(), [own, layer.weight]))
    for mine, expected in zip(*found, strict=True):
        torch.testing.assert_close(mine, expected)


def test_gradients_along_time_where_only_some_are_wanted() -> None:
    layer, x = Conv(6, 4, (3, 1, 1)), clips()
    layer.weight.requires_grad_(requires_grad=False)
    layer(x).sum().backward()
    assert x.grad is not None
    assert layer.weight.grad is None
    layer.weight.requires_grad_()
    layer(clips().detach()).sum().backward()
    assert layer.weight.grad is not None
    with torch.no_grad():
        assert not layer(x).requires_grad


def test_gradients_along_time_in_mixed_precision() -> None:
    layer, x = Conv(6, 4, (3, 1, 1)), clips()
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype is torch.bfloat16
    y.float().square().sum().backward()
    halved = layer.weight.grad
    layer.weight.grad = None
    layer(x).square().sum().backward()
    torch.testing.assert_close(halved, layer.weight.grad, rtol=0.05, atol=0.5)


def test_the_weights_gradient_lies_as_the_weight_does() -> None:
    """Else the optimiser would take it apart, parameter by parameter."""
    layer = Conv(6, 4, (3, 1, 1))
    lay_out(layer)
    layer(clips()).sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.stride()[:3] == layer.weight.stride()[:3]


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
