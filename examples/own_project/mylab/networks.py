"""Own backbone: a thin wrapper of any nn.Module."""

from dataclasses import dataclass

from torch import Tensor, nn

from mvcgc.models.backbone import Backbone, BackboneConfig


class Plain(Backbone):
    """Two strided convolutions; in its place could stand a network of any other library."""

    version = 1
    min_frames = 4
    min_side = 16

    @dataclass
    class Config(BackboneConfig):
        """Settings: ``channels`` of the last layer."""

        channels: int = 32

    def __init__(self, config: Config, in_channels: int) -> None:
        super().__init__(config, in_channels)
        half, self.dim = config.channels // 2, config.channels
        self.network = nn.Sequential(
            nn.Conv3d(in_channels, half, (3, 5, 5), (2, 4, 4), padding=(1, 2, 2)),
            nn.BatchNorm3d(half),
            nn.ReLU(),
            nn.Conv3d(half, self.dim, 3, 2, padding=1),
            nn.ReLU(),
        )

    def forward(self, clip: Tensor) -> Tensor:
        """Return the feature map [B, D, t, h, w] of clips [B, C, T, H, W]."""
        return self.network(clip)
