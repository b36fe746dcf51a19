"""Pictures as codecs keep them, brightness and two colour differences, and the way from there to RGB.

The planes of a picture are Y', Cb and Cr, a byte each and all of the picture's size (4:4:4), limited range:
Y' from 16 (black) to 235 (white), Cb and Cr 112 to either side of 128. RGB in [0, 1] is a linear function of
them, whose matrix the stream is tagged with (ITU-R BT.601, BT.709 or BT.2020; BT.601 if it is not).
"""

from enum import IntEnum

import numpy as np
from jaxtyping import UInt8


class Matrix(IntEnum):
    """Which linear function leads to RGB."""

    BT601 = 0
    BT709 = 1
    BT2020 = 2


_WEIGHTS = {Matrix.BT601: (0.299, 0.114), Matrix.BT709: (0.2126, 0.0722), Matrix.BT2020: (0.2627, 0.0593)}
"""Of red and of blue in Y'."""

_BLACK, _WHITE, _GREY, _CHROMA = 16, 235, 128, 224

_FROM_FULL = np.rint(np.arange(256) * (_WHITE - _BLACK) / 255 + _BLACK).astype(np.uint8)
_CHROMA_FROM_FULL = np.rint((np.arange(256) - 128.0) * _CHROMA / 255 + _GREY).astype(np.uint8)
_TO_FULL = np.rint((np.arange(256) - _BLACK) * 255 / (_WHITE - _BLACK)).clip(0, 255).astype(np.uint8)


def weights(matrix: Matrix) -> list[list[float]]:
    """For R, G and B in [0, 1] in turn, the factors of Y', Cb and Cr and a constant; not yet clamped."""
    red, blue = _WEIGHTS[matrix]
    green = 1 - red - blue
    factors = [
        (0.0, 2 * (1 - red)),
        (-2 * blue * (1 - blue) / green, -2 * red * (1 - red) / green),
        (2 * (1 - blue), 0.0),
    ]
    luma = 1 / (_WHITE - _BLACK)
    return [
        [luma, cb / _CHROMA, cr / _CHROMA, -_BLACK * luma - _GREY * (cb + cr) / _CHROMA] for cb, cr in factors
    ]


def to_rgb(planes: UInt8[np.ndarray, "3 *shape"], matrix: Matrix) -> UInt8[np.ndarray, "*shape 3"]:
    """RGB, rounded to bytes: for pictures to look at and for programs that want them."""
    values = np.arange(256, dtype=np.float32)
    rgb = np.empty((*planes.shape[1:], 3), np.uint8)
    for channel, (*factors, constant) in enumerate(weights(matrix)):
        total = np.full(planes.shape[1:], 255 * constant + 0.5, np.float32)  # + 0.5: what follows cuts off
        for plane, factor in zip(planes, factors, strict=True):
            if factor:
                total += (values * np.float32(255 * factor)).take(plane)
        rgb[..., channel] = total.clip(0, 255)
    return rgb


def to_grey(luma: UInt8[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Brightness over the whole range of a byte, from Y'."""
    return _TO_FULL.take(luma)


def from_jpeg(full: UInt8[np.ndarray, "3 *shape"]) -> UInt8[np.ndarray, "3 *shape"]:
    """The planes (BT.601) of full-range Y', Cb and Cr, as JPEG files hold them."""
    return np.stack(
        [_FROM_FULL.take(full[0]), _CHROMA_FROM_FULL.take(full[1]), _CHROMA_FROM_FULL.take(full[2])]
    )
