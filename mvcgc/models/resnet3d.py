"""R3D-18 and R(2+1)D-18 (Tran et al., 2018, "A Closer Look at Spatiotemporal Convolutions")."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from mvcgc.models.backbone import Layered
from mvcgc.models.layers import Conv, scaled

_PLANES = (64, 128, 256, 512)
_BLOCKS_PER_STAGE = 2

_Conv = Callable[[int, int, int, int], nn.Module]
"""(inputs, outputs, middle, stride) -> a 3 x 3 x 3 convolution, whole or in two factors around ``middle``."""


def _whole(inputs: int, outputs: int, _middle: int, stride: int) -> nn.Module:
    return Conv(inputs, outputs, (3, 3, 3), (stride, stride, stride))


def _factored(inputs: int, outputs: int, middle: int, stride: int) -> nn.Module:
    return nn.Sequential(
        Conv(inputs, middle, (1, 3, 3), (1, stride, stride)),
        nn.BatchNorm3d(middle),
        nn.ReLU(inplace=True),
        Conv(middle, outputs, (3, 1, 1), (stride, 1, 1)),
    )


class _BasicBlock(nn.Module):
    def __init__(self, conv: _Conv, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        # One width between the factors for both convolutions of a block: the first has as many parameters as
        # whole.
        middle = (inputs * outputs * 27) // (inputs * 9 + 3 * outputs)
        self.residual = nn.Sequential(
            conv(inputs, outputs, middle, stride),
            nn.BatchNorm3d(outputs),
            nn.ReLU(inplace=True),
            conv(outputs, outputs, middle, 1),
            nn.BatchNorm3d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                Conv(inputs, outputs, (1, 1, 1), (stride, stride, stride)), nn.BatchNorm3d(outputs)
            )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B D t h w"]:
        out: Tensor = self.relu(self.residual(x) + self.shortcut(x))
        return out


def _initialise(layers: nn.Sequential) -> None:
    for module in layers.modules():
        if isinstance(module, Conv):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _resnet18(stem: list[nn.Module], conv: _Conv, width: float) -> tuple[nn.Sequential, int]:
    layers = list(stem)
    channels = scaled(_PLANES[0], width)
    for stage, planes in enumerate(_PLANES):
        outputs = scaled(planes, width)
        for block in range(_BLOCKS_PER_STAGE):
            stride = 2 if stage > 0 and block == 0 else 1
            layers.append(_BasicBlock(conv, channels, outputs, stride))
            channels = outputs
    network = nn.Sequential(*layers)
    _initialise(network)
    return network, channels


class R3D18(Layered):
    """R3D of 18 layers. Divides T by 8, H and W by 16."""

    version = 1
    label = "r3d_18"

    @staticmethod
    def build(in_channels: int, width: float) -> tuple[nn.Sequential, int]:
        """Return the layers and their number of output channels."""
        outputs = scaled(_PLANES[0], width)
        stem: list[nn.Module] = [
            Conv(in_channels, outputs, (3, 7, 7), (1, 2, 2)),
            nn.BatchNorm3d(outputs),
            nn.ReLU(inplace=True),
        ]
        return _resnet18(stem, _whole, width)


class R2Plus1D18(Layered):
    """R(2+1)D of 18 layers. Divides T by 8, H and W by 16."""

    version = 1
    label = "r2plus1d_18"

    @staticmethod
    def build(in_channels: int, width: float) -> tuple[nn.Sequential, int]:
        """Return the layers and their number of output channels."""
        middle, outputs = scaled(45, width), scaled(_PLANES[0], width)
        stem: list[nn.Module] = [
            Conv(in_channels, middle, (1, 7, 7), (1, 2, 2)),
            nn.BatchNorm3d(middle),
            nn.ReLU(inplace=True),
            Conv(middle, outputs, (3, 1, 1)),
            nn.BatchNorm3d(outputs),
            nn.ReLU(inplace=True),
        ]
        return _resnet18(stem, _factored, width)
