"""A small network of R(2+1)D layers, for machines on which the published networks are too slow to learn.

Four convolutions in two factors, space then time, without branches or shortcuts.
"""

from torch import nn

from mvcgc.models.backbone import Layered
from mvcgc.models.layers import Conv, scaled

_WIDTHS = (64, 128, 256, 512)


class R2Plus1D4(Layered):
    """R(2+1)D of four layers, not a network of the paper. Divides T by 8, H and W by 16."""

    version = 1
    label = "r2plus1d_4"

    @staticmethod
    def build(in_channels: int, width: float) -> tuple[nn.Sequential, int]:
        """Return the layers and their number of output channels."""
        return _layers(in_channels, width)


def _layers(in_channels: int, width: float) -> tuple[nn.Sequential, int]:
    layers: list[nn.Module] = []
    channels = in_channels
    for depth, published in enumerate(_WIDTHS):
        outputs = scaled(published, width)
        side = 5 if depth == 0 else 3
        stride = 1 if depth == len(_WIDTHS) - 1 else 2
        for inputs, kernel, step in (
            (channels, (1, side, side), (1, 2, 2)),
            (outputs, (3, 1, 1), (stride, 1, 1)),
        ):
            layers += [
                Conv(inputs, outputs, kernel, step),
                nn.BatchNorm3d(outputs),
                nn.ReLU(inplace=True),
            ]
        channels = outputs
    return nn.Sequential(*layers), channels
