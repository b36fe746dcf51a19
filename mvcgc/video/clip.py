"""The carriers between the reader and its callers: what to read, and what was read."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, UInt8

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
        crop: part of the picture that RGB shows; None is all of it. Motion is never cropped here.
        size: (height, width) of the RGB frames in pixels; None if no RGB is wanted.
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
        rgb: uint8 [T, H, W, 3], contiguous; None where none was asked for.
        mv: float32 [T, h, w, 2] with h = ceil(H / 8), w = ceil(W / 8) of the whole upright picture: (dx, dy)
            of the content from past to current, dx to the right, dy down, in pixels of the full-size picture
            per frame of distance. 0 where invalid. None where no motion was asked for.
        valid: bool [T, h, w]: whether the stream tells the motion of this cell.
    """

    rgb: UInt8[np.ndarray, "T H W 3"] | None
    mv: Float32[np.ndarray, "T h w 2"] | None
    valid: Bool[np.ndarray, "T h w"] | None

    def __post_init__(self) -> None:
        if (self.mv is None) != (self.valid is None):
            raise ValueError("mv and valid come together")
        if self.rgb is not None:
            if self.rgb.dtype != np.uint8 or self.rgb.ndim != 4 or self.rgb.shape[3] != 3:
                raise ValueError(f"rgb is uint8 [T, H, W, 3], not {self.rgb.dtype} {self.rgb.shape}")
            if not self.rgb.flags.c_contiguous:
                raise ValueError("rgb is contiguous")
        if self.mv is not None and self.valid is not None:
            if self.mv.dtype != np.float32 or self.mv.shape != (*self.valid.shape, 2):
                raise ValueError(f"mv is float32 [T, h, w, 2], not {self.mv.dtype} {self.mv.shape}")
            if self.rgb is not None and len(self.rgb) != len(self.mv):
                raise ValueError(f"{len(self.rgb)} rgb frames, but {len(self.mv)} of motion")
