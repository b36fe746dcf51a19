"""The carriers between the reader and its callers: what to read, and what was read."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from mvcgc.video.colour import Matrix, to_rgb
from mvcgc.video.field import MotionField


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
        field: the motion on cells of 8 pixels, [T, ceil(H / 8), ceil(W / 8)], of the whole upright picture;
            None where none was asked for.
        matrix: what leads from ``planes`` to RGB.
    """

    planes: UInt8[np.ndarray, "3 T H W"] | None
    field: MotionField | None
    matrix: Matrix = Matrix.BT601

    def __post_init__(self) -> None:
        planes = self.planes
        if planes is None:
            return
        if planes.dtype != np.uint8 or planes.ndim != 4 or len(planes) != 3:
            raise ValueError(f"planes are uint8 [3, T, H, W], not {planes.dtype} {planes.shape}")
        if self.field is not None and planes.shape[1] != len(self.field.owner):
            raise ValueError(f"{planes.shape[1]} pictures, but {len(self.field.owner)} of motion")

    @property
    def mv(self) -> Float32[np.ndarray, "T h w 2"] | None:
        """The field's `MotionField.mv`."""
        return None if self.field is None else self.field.mv

    @property
    def valid(self) -> Bool[np.ndarray, "T h w"] | None:
        """The field's `MotionField.valid`."""
        return None if self.field is None else self.field.valid

    @property
    def rgb(self) -> UInt8[np.ndarray, "T H W 3"]:
        """The pictures to look at, made anew by every call. Raises ValueError where none were asked for."""
        if self.planes is None:
            raise ValueError("a clip without pictures")
        return to_rgb(self.planes, self.matrix)
