"""Video backbones: the base that every network derives from, and that of the built-in ones.

A network of one's own derives from `Backbone`; a thin wrapper of any ``nn.Module`` will do.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mvcgc.errors import UserError
from mvcgc.parts import Part, PartConfig, Scalar, scalars, target_of


@dataclass
class BackboneConfig(PartConfig):
    """Settings of a backbone; each network has its own."""

    part: ClassVar[type["Backbone"]]


class Backbone(Part, nn.Module, ABC):
    """A video network without classifier, fully convolutional or not.

    Attributes:
        dim: number of output channels D; ``__init__`` sets it.
        min_frames: fewest frames of a clip that it takes.
        min_side: smallest height and width of a clip that it takes, in pixels.

    Example:
        A wrapper of another library's network::

            class Wrapped(Backbone):
                version = 1

                def __init__(self, config, in_channels):
                    super().__init__(config, in_channels)
                    self.network = SomeNetwork(in_channels)
                    self.dim = 512

                def forward(self, clip):
                    return self.network(clip)
    """

    Config: ClassVar[type[BackboneConfig]] = BackboneConfig
    min_frames: ClassVar[int] = 1
    min_side: ClassVar[int] = 1
    dim: int

    def __init__(self, config: BackboneConfig, in_channels: int) -> None:
        """Start with random weights, for clips of ``in_channels`` channels (3 for rgb, 2 for motion)."""
        super().__init__()

    @abstractmethod
    def forward(self, clip: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B D t h w"]:
        """Return the feature map of a batch of clips; its mean over t, h and w is the clip's feature."""


class Layered(Backbone):
    """A sequence of convolutional layers, any width: the base of the built-in networks.

    Activations are ``channels_last_3d`` throughout, see `mvcgc.models.layers`: on CPUs that nearly halves the
    time of a training step, on GPUs the tensor cores want it.
    """

    min_frames = 8  # each network divides them by 8
    min_side = 32  # each network divides it by at most 32

    @dataclass
    class Config(BackboneConfig):
        """Settings of the built-in networks.

        Attributes:
            width: multiplier of every layer's channels; 1 is the published network.
        """

        width: float = 1.0

        def __post_init__(self) -> None:
            if not 0.0 < self.width <= 4.0:
                raise UserError(f"backbone.width={self.width}: give a multiplier above 0 and at most 4")

    def __init__(self, config: Config, in_channels: int) -> None:
        super().__init__(config, in_channels)
        self.layers, self.dim = self.build(in_channels, config.width)

    @staticmethod
    @abstractmethod
    def build(in_channels: int, width: float) -> tuple[nn.Sequential, int]:
        """Return the layers and their number of output channels."""

    def forward(self, clip: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B D t h w"]:
        """Return the feature map of a batch of clips, after the last ReLU.

        Raises:
            ValueError: if the clip has fewer than ``min_frames`` frames or ``min_side`` pixels.
        """
        frames, height, width = clip.shape[2:]
        if frames < self.min_frames or min(height, width) < self.min_side:
            raise ValueError(
                f"clip of {frames} frames of {height}x{width} px is too small for the backbone: "
                f"it needs {self.min_frames} frames of {self.min_side}x{self.min_side} px at least"
            )
        features: Tensor = self.layers(clip.contiguous(memory_format=torch.channels_last_3d))
        return features


def build_backbone(config: BackboneConfig, in_channels: int) -> Backbone:
    """Return a backbone with random weights for clips of ``in_channels`` channels.

    Raises:
        UserError: if its class does not say how many channels it gives.
    """
    part = config.part
    backbone = part(config, in_channels)
    if type(getattr(backbone, "dim", None)) is not int:
        raise UserError(
            f"backbone={part.label}: {target_of(part)} sets no dim: give self.dim the number of channels of "
            "its feature map in __init__"
        )
    return backbone


def backbone_params(config: BackboneConfig) -> dict[str, Scalar]:
    """Return the parameters that name a backbone in a table of runs: ``arch`` and its settings."""
    return {"arch": config.part.label, **scalars(config)}
