"""Parameter counts are the published ones; shapes are as promised down to the smallest clip."""

from dataclasses import dataclass

import pytest
import torch

from mvcgc.errors import UserError
from mvcgc.models import Backbone, BackboneConfig, Encoder, build_backbone
from mvcgc.models.backbone import Layered, backbone_params
from mvcgc.models.layers import scaled
from mvcgc.models.resnet3d import R3D18, R2Plus1D18
from mvcgc.models.s3d import S3D
from mvcgc.models.tiny import R2Plus1D4
from mvcgc.parts import title

DIVISORS = {S3D: (8, 32), R2Plus1D18: (8, 16), R3D18: (8, 16), R2Plus1D4: (8, 16)}


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


# The ResNets' are torchvision's figures (33,371,472 and 31,505,325 with 400 classes) less the classifier's
# 512 * 400 + 400.
@pytest.mark.parametrize(
    ("network", "parameters", "dim"),
    [(S3D, 7_910_048, 1024), (R3D18, 33_166_272, 512), (R2Plus1D18, 31_300_125, 512)],
)
def test_published_parameter_counts(network: type[Layered], parameters: int, dim: int) -> None:
    with torch.device("meta"):
        backbone = build_backbone(network.Config(), 3)
    assert count(backbone) == parameters
    assert backbone.dim == dim


def test_motion_differs_in_the_first_convolution_only() -> None:
    with torch.device("meta"):
        rgb, motion = (build_backbone(S3D.Config(), channels) for channels in (3, 2))
    assert count(rgb) - count(motion) == 64 * 7 * 7
    shapes = [[tuple(p.shape) for p in backbone.parameters()][1:] for backbone in (rgb, motion)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("network", DIVISORS)
def test_shapes_at_the_papers_input(network: type[Layered]) -> None:
    time, side = DIVISORS[network]
    with torch.device("meta"):
        backbone = build_backbone(network.Config(), 3)
        features = backbone(torch.empty(2, 3, 32, 128, 128))
    assert features.shape == (2, backbone.dim, 32 // time, 128 // side, 128 // side)


@pytest.mark.parametrize("network", DIVISORS)
@pytest.mark.parametrize(("frames", "height", "width"), [(8, 32, 32), (9, 33, 48), (16, 56, 40)])
def test_small_inputs_do_not_collapse(network: type[Layered], frames: int, height: int, width: int) -> None:
    backbone = build_backbone(network.Config(width=0.0625), 2)
    features = backbone(torch.randn(2, 2, frames, height, width))
    assert features.shape[:2] == (2, backbone.dim)
    assert min(features.shape[2:]) >= 1
    assert features.isfinite().all()
    assert features.std() > 0
    features.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in backbone.parameters())


@pytest.mark.parametrize("shape", [(1, 3, 7, 32, 32), (1, 3, 8, 31, 32), (1, 3, 8, 32, 31)])
def test_too_small_inputs_are_named(shape: tuple[int, ...]) -> None:
    backbone = build_backbone(S3D.Config(width=0.0625), 3)
    with pytest.raises(ValueError, match=f"{shape[2]} frames of {shape[3]}x{shape[4]} px is too small"):
        backbone(torch.zeros(shape))
    assert (S3D.min_frames, S3D.min_side) == (8, 32)


def test_width_scales_channels() -> None:
    assert [scaled(64, width) for width in (1.0, 0.5, 0.25, 0.01)] == [64, 32, 16, 4]
    assert scaled(45, 1.0) == 45
    assert scaled(24, 0.25) == 8  # 6, in steps of 4
    with torch.device("meta"):
        half = build_backbone(S3D.Config(width=0.5), 3)
    assert half.dim == 512
    assert 7_910_048 / 4.2 < count(half) < 7_910_048 / 3.8


@pytest.mark.parametrize("width", [0.0, -1.0, 5.0, float("nan")])
def test_impossible_widths_are_refused(width: float) -> None:
    with pytest.raises(UserError, match=r"backbone\.width"):
        S3D.Config(width=width)


def test_memory_layout_of_the_input_does_not_matter() -> None:
    backbone = build_backbone(S3D.Config(width=0.0625), 3).eval()
    clip = torch.randn(2, 8, 32, 32, 3).permute(0, 4, 1, 2, 3)
    torch.testing.assert_close(backbone(clip), backbone(clip.contiguous()), rtol=0, atol=0)


def test_names_and_parameters_of_a_run() -> None:
    assert [network.label for network in DIVISORS] == ["s3d", "r2plus1d_18", "r3d_18", "r2plus1d_4"]
    assert backbone_params(R3D18.Config(width=0.5)) == {"arch": "r3d_18", "width": 0.5}
    assert [title(config) for config in (S3D.Config(), S3D.Config(0.5))] == ["s3d", "s3d, width=0.5"]


class Wrapper(Backbone):
    """Any module, as a user wraps it."""

    version = 1

    @dataclass
    class Config(BackboneConfig):
        channels: int = 6

    def __init__(self, config: Config, in_channels: int) -> None:
        super().__init__(config, in_channels)
        self.network = torch.nn.Conv3d(in_channels, config.channels, 3)
        self.dim = config.channels

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.network(clip)
        return found


def test_a_wrapper_of_any_module_is_a_backbone() -> None:
    encoder = Encoder(build_backbone(Wrapper.Config(channels=5), 2), dim=4)
    assert encoder(torch.randn(3, 2, 4, 8, 8)).shape == (3, 4)
    assert encoder.features(torch.randn(3, 2, 4, 8, 8)).shape == (3, 5)
    assert (Wrapper.min_frames, Wrapper.min_side) == (1, 1)
    assert backbone_params(Wrapper.Config()) == {"arch": "wrapper", "channels": 6}


def test_a_backbone_without_dim_is_named() -> None:
    class Dimless(Wrapper):
        version = 1

        def __init__(self, config: Wrapper.Config, in_channels: int) -> None:
            super().__init__(config, in_channels)
            del self.dim

    with pytest.raises(UserError, match=r"backbone=dimless: .*Dimless sets no dim: give self\.dim "):
        build_backbone(Dimless.Config(), 3)
