"""Parameter counts are the published ones; shapes are as promised down to the smallest clip."""

import pytest
import torch

from mvcgc.errors import UserError
from mvcgc.models import MIN_FRAMES, MIN_SIDE, Arch, BackboneConfig, build_backbone
from mvcgc.models.layers import scaled

DIVISORS = {Arch.s3d: (8, 32), Arch.r2plus1d_18: (8, 16), Arch.r3d_18: (8, 16), Arch.r2plus1d_4: (8, 16)}


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


# The ResNets' are torchvision's figures (33,371,472 and 31,505,325 with 400 classes) less the classifier's
# 512 * 400 + 400.
@pytest.mark.parametrize(
    ("arch", "parameters", "dim"),
    [(Arch.s3d, 7_910_048, 1024), (Arch.r3d_18, 33_166_272, 512), (Arch.r2plus1d_18, 31_300_125, 512)],
)
def test_published_parameter_counts(arch: Arch, parameters: int, dim: int) -> None:
    with torch.device("meta"):
        backbone = build_backbone(BackboneConfig(arch), 3)
    assert count(backbone) == parameters
    assert backbone.dim == dim


def test_motion_differs_in_the_first_convolution_only() -> None:
    with torch.device("meta"):
        rgb, motion = (build_backbone(BackboneConfig(), channels) for channels in (3, 2))
    assert count(rgb) - count(motion) == 64 * 7 * 7
    shapes = [[tuple(p.shape) for p in backbone.parameters()][1:] for backbone in (rgb, motion)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("arch", Arch)
def test_shapes_at_the_papers_input(arch: Arch) -> None:
    time, side = DIVISORS[arch]
    with torch.device("meta"):
        backbone = build_backbone(BackboneConfig(arch), 3)
        features = backbone(torch.empty(2, 3, 32, 128, 128))
    assert features.shape == (2, backbone.dim, 32 // time, 128 // side, 128 // side)


@pytest.mark.parametrize("arch", Arch)
@pytest.mark.parametrize(("frames", "height", "width"), [(8, 32, 32), (9, 33, 48), (16, 56, 40)])
def test_small_inputs_do_not_collapse(arch: Arch, frames: int, height: int, width: int) -> None:
    backbone = build_backbone(BackboneConfig(arch, width=0.0625), 2)
    features = backbone(torch.randn(2, 2, frames, height, width))
    assert features.shape[:2] == (2, backbone.dim)
    assert min(features.shape[2:]) >= 1
    assert features.isfinite().all()
    assert features.std() > 0
    features.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in backbone.parameters())


@pytest.mark.parametrize("shape", [(1, 3, 7, 32, 32), (1, 3, 8, 31, 32), (1, 3, 8, 32, 31)])
def test_too_small_inputs_are_named(shape: tuple[int, ...]) -> None:
    backbone = build_backbone(BackboneConfig(width=0.0625), 3)
    with pytest.raises(ValueError, match=f"{shape[2]} frames of {shape[3]}x{shape[4]} px is too small"):
        backbone(torch.zeros(shape))
    assert (MIN_FRAMES, MIN_SIDE) == (8, 32)


def test_width_scales_channels() -> None:
    assert [scaled(64, width) for width in (1.0, 0.5, 0.25, 0.01)] == [64, 32, 16, 4]
    assert scaled(45, 1.0) == 45
    assert scaled(24, 0.25) == 8  # 6, in steps of 4
    with torch.device("meta"):
        half = build_backbone(BackboneConfig(width=0.5), 3)
    assert half.dim == 512
    assert 7_910_048 / 4.2 < count(half) < 7_910_048 / 3.8


@pytest.mark.parametrize("width", [0.0, -1.0, 5.0, float("nan")])
def test_impossible_widths_are_refused(width: float) -> None:
    with pytest.raises(UserError, match=r"backbone\.width"):
        BackboneConfig(width=width)


def test_memory_layout_of_the_input_does_not_matter() -> None:
    backbone = build_backbone(BackboneConfig(width=0.0625), 3).eval()
    clip = torch.randn(2, 8, 32, 32, 3).permute(0, 4, 1, 2, 3)
    torch.testing.assert_close(backbone(clip), backbone(clip.contiguous()), rtol=0, atol=0)
