"""The carriers between the reader and its callers: what to read, and what was read."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from mvcgc.video.colour import Matrix, to_rgb

CELL = 8
"""Side of a motion cell in pixels. No codec here moves smaller blocks, so this grid loses nothing."""


@dataclass(frozen=True)
class Box:
    """A crop in pixels of the upright (rotated) picture; covers rows ``top .. top + height - 1``."""

    top: int
    left: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if min(self.top, self.left) < 0 or min(self.height, self.width) < 2:
            raise ValueError(f"{self}: a crop starts at 0 or later and is at least 2x2 pixels")

    def check_within(self, height: int, width: int) -> None:
        """Raise ValueError unless the box lies inside a picture of ``height`` x ``width`` pixels."""
        if self.top + self.height > height or self.left + self.width > width:
            raise ValueError(f"{self} does not fit into a picture {width} pixels wide and {height} high")


@dataclass(frozen=True)
class ClipRequest:
    """Frames ``start .. start + frames - 1`` of a video.

    Attributes:
        start: first frame, counted in display order from 0.
        frames: number of consecutive frames.
        crop: part of the picture that is shown; None is all of it. Motion is never cropped here.
        size: (height, width) of the pictures in pixels; None if none are wanted.
    """

    start: int
    frames: int
    crop: Box | None = None
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.start < 0 or self.frames < 1:
            raise ValueError(f"{self}: start is 0 or more and frames 1 or more")
        if self.size is not None and min(self.size) < 2:
            raise ValueError(f"{self}: size is at least 2x2 pixels")

    @property
    def stop(self) -> int:
        """The frame after the last one."""
        return self.start + self.frames


@dataclass(frozen=True, eq=False)
class Clip:
    """Consecutive frames of one video.

    Attributes:
        planes: uint8 [3, T, H, W], Y', Cb and Cr as `colour` defines them; None where none were asked for.
        mv: float32 [T, h, w, 2] with h = ceil(H / 8), w = ceil(W / 8) of the whole upright picture: (dx, dy)
            of the content from past to current, dx to the right, dy down, in pixels of the full-size picture
            per frame of distance. 0 where invalid. None where no motion was asked for.
        valid: bool [T, h, w]: whether the stream tells the motion of this cell.
        matrix: what leads from ``planes`` to RGB.
    """

    planes: UInt8[np.ndarray, "3 T H W"] | None
    mv: Float32[np.ndarray, "T h w 2"] | None
    valid: Bool[np.ndarray, "T h w"] | None
    matrix: Matrix = Matrix.BT601

    def __post_init__(self) -> None:
        if (self.mv is None) != (self.valid is None):
            raise ValueError("mv and valid come together")
        planes = self.planes
        if planes is not None and (planes.dtype != np.uint8 or planes.ndim != 4 or len(planes) != 3):
            raise ValueError(f"planes are uint8 [3, T, H, W], not {planes.dtype} {planes.shape}")
        if self.mv is not None and self.valid is not None:
            if self.mv.dtype != np.float32 or self.mv.shape != (*self.valid.shape, 2):
                raise ValueError(f"mv is float32 [T, h, w, 2], not {self.mv.dtype} {self.mv.shape}")
            if planes is not None and planes.shape[1] != len(self.mv):
                raise ValueError(f"{planes.shape[1]} pictures, but {len(self.mv)} of motion")

    @property
    def rgb(self) -> UInt8[np.ndarray, "T H W 3"]:
        """The pictures to look at, made anew by every call. Raises ValueError where none were asked for."""
        if self.planes is None:
            raise ValueError("a clip without pictures")
        return to_rgb(self.planes, self.matrix)
