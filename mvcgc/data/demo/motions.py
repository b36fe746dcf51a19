"""The classes of the demo: what the main object does, over and over.

Pictures are mirrored for augmentation, so no class may differ from another by left and right or by the sense
of a rotation alone: a mirrored motion is the same class on its other ``side`` or at another phase. Nor may a
single picture tell: all motions reach equally far, and nothing is larger in one place than in another.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
from jaxtyping import Float64

SCALING = 0.35
"""By how much the sides of a pulsing object swing about their mean."""
TURNING = 0.7
"""Turns of a spinning object per period."""


class Motion(Enum):
    """The classes, in the order of their labels."""

    sway = "sway"
    """To and fro from left to right."""
    bob = "bob"
    """Up and down."""
    orbit = "orbit"
    """In a circle, either way round."""
    pulse = "pulse"
    """Growing and shrinking."""
    spin = "spin"
    """Turning about itself, either way round."""
    diagonal = "diagonal"
    """To and fro along either diagonal."""
    squash = "squash"
    """Wide and low, then narrow and high."""
    loom = "loom"
    """Growing as it sinks and shrinking as it rises, or the other way about."""


@dataclass(frozen=True)
class Pose:
    """Place and form of an object in every frame, relative to its base.

    Attributes:
        x, y: displacement in pixels, x to the right, y down.
        width, height: factors of its sides, along the picture's axes.
        angle: turn in radians, from x towards y.
    """

    x: Float64[np.ndarray, " T"]
    y: Float64[np.ndarray, " T"]
    width: Float64[np.ndarray, " T"]
    height: Float64[np.ndarray, " T"]
    angle: Float64[np.ndarray, " T"]


def pose(
    motion: Motion, phase: Float64[np.ndarray, " T"], reach: Float64[np.ndarray, " T"], side: int
) -> Pose:
    """The pose at ``phase`` (radians, a period is 2 pi) of a motion of amplitude ``reach`` (pixels).

    ``side`` (+1 or -1) chooses the way round, the diagonal, or whether what sinks grows.
    """
    none = np.zeros_like(phase)
    one = np.ones_like(phase)
    sine, cosine = np.sin(phase), np.cos(phase)
    swing = SCALING * sine
    poses: dict[Motion, Callable[[], Pose]] = {
        Motion.sway: lambda: Pose(reach * sine, none, one, one, none),
        Motion.bob: lambda: Pose(none, reach * sine, one, one, none),
        Motion.orbit: lambda: Pose(reach * cosine, side * reach * sine, one, one, none),
        Motion.pulse: lambda: Pose(none, none, 1 + swing, 1 + swing, none),
        Motion.spin: lambda: Pose(none, none, one, one, TURNING * side * phase),
        Motion.diagonal: lambda: Pose(side * reach * sine, reach * sine, one, one, none),
        Motion.squash: lambda: Pose(none, none, 1 + swing, 1 - swing, none),
        Motion.loom: lambda: Pose(none, reach * sine, 1 + 0.8 * side * swing, 1 + 0.8 * side * swing, none),
    }
    return poses[motion]()
