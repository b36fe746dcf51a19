"""Video backbones: one class, four architectures, any width."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mvcgc.errors import UserError
from mvcgc.models.resnet3d import r2plus1d_18_layers, r3d_18_layers
from mvcgc.models.s3d import s3d_layers
from mvcgc.models.tiny import r2plus1d_4_layers

MIN_SIDE = 32
"""Smallest input side in pixels: every architecture divides it by at most 32."""
MIN_FRAMES = 8
"""Fewest input frames: every architecture divides them by at most 8."""


class Arch(Enum):
    """The architectures, by the names that tables use."""

    s3d = "s3d"
    r2plus1d_18 = "r2plus1d_18"
    r3d_18 = "r3d_18"
    r2plus1d_4 = "r2plus1d_4"
    """Four layers; not in the paper, for the demo."""


_LAYERS: dict[Arch, Callable[[int, float], tuple[nn.Sequential, int]]] = {
    Arch.s3d: s3d_layers,
    Arch.r2plus1d_18: r2plus1d_18_layers,
    Arch.r3d_18: r3d_18_layers,
    Arch.r2plus1d_4: r2plus1d_4_layers,
}


@dataclass
class BackboneConfig:
    """arch: which network; width: multiplier of every layer's channels (1 is the published network)."""

    arch: Arch = Arch.s3d
    width: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 < self.width <= 4.0:
            raise UserError(f"backbone.width={self.width}: give a multiplier above 0 and at most 4")


class Backbone(nn.Module):
    """A fully convolutional video network without classifier.

    ``dim`` is the number of output channels D. Activations are ``channels_last_3d`` throughout, see
    `mvcgc.models.layers`: on CPUs that nearly halves the time of a training step, on GPUs it is what the
    tensor cores want.
    """

    def __init__(self, config: BackboneConfig, in_channels: int) -> None:
        super().__init__()
        self.layers, self.dim = _LAYERS[config.arch](in_channels, config.width)

    def forward(self, clip: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B D t h w"]:
        """Feature map of a batch of clips, after the last ReLU.

        Raises ValueError where the clip is smaller than MIN_FRAMES x MIN_SIDE x MIN_SIDE.
        """
        frames, height, width = clip.shape[2:]
        if frames < MIN_FRAMES or min(height, width) < MIN_SIDE:
            raise ValueError(
                f"clip of {frames} frames of {height}x{width} px is too small for the backbone: "
                f"it needs {MIN_FRAMES} frames of {MIN_SIDE}x{MIN_SIDE} px at least"
            )
        features: Tensor = self.layers(clip.contiguous(memory_format=torch.channels_last_3d))
        return features


def build_backbone(config: BackboneConfig, in_channels: int) -> Backbone:
    """A backbone with random weights for clips of ``in_channels`` channels (3 for rgb, 2 for motion)."""
    return Backbone(config, in_channels)
