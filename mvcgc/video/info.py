"""What the probe learns about a video file: everything that reading a clip of it later needs to know."""

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any


class Clock(Enum):
    """Which time stamp of a decoded frame tells its place in display order."""

    PTS = "pts"
    DTS = "dts"
    """.avi: the pts of packed B-frames are out of order, the dts of their output are not."""
    NONE = "none"
    """Raw streams and uneven frame rates: the place is known only by counting from a keyframe."""


@dataclass(frozen=True)
class VideoInfo:
    """A video file as the probe found it; plain values only, for JSON.

    Attributes:
        codec: FFmpeg's canonical codec name, such as ``mpeg4`` or ``h264``.
        width, height: pixels of the upright picture, after the rotation.
        fps: frames per second (average).
        frames: number of frames that really decode, one after the other from the first.
        keyframes: display indices of the frames a decoder can start at, found to be reached exactly by
            seeking; empty where the file cannot be searched (raw streams).
        seeks: for each keyframe the time stamp that leads to it, in the stream's time base.
        clock, origin, step: frame i carries the time stamp ``origin + step * i`` (rounded) of ``clock``.
        rotation: clockwise rotation in degrees (0, 90, 180 or 270) that makes the decoded picture upright,
            from the file's display matrix; mirroring is not applied.
        vectors: whether the decoder exports motion vectors for this file.
        damage: what is wrong with the file beyond its usable frames, '' if it is sound.
    """

    codec: str
    width: int
    height: int
    fps: float
    frames: int
    keyframes: tuple[int, ...]
    seeks: tuple[int, ...]
    clock: Clock
    origin: int
    step: float
    rotation: int
    vectors: bool
    damage: str

    def __post_init__(self) -> None:
        if len(self.keyframes) != len(self.seeks):
            raise ValueError(f"{len(self.keyframes)} keyframes, but {len(self.seeks)} time stamps to seek")
        if self.rotation not in (0, 90, 180, 270):
            raise ValueError(f"rotation is 0, 90, 180 or 270 degrees, not {self.rotation}")

    @property
    def coded(self) -> tuple[int, int]:
        """(height, width) of the decoded picture, before the rotation."""
        upright = (self.height, self.width)
        return upright if self.rotation % 180 == 0 else upright[::-1]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` reads them back."""
        return {**asdict(self), "clock": self.clock.value}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "VideoInfo":
        """The inverse of `to_dict`, also after a round through JSON (tuples as lists)."""
        return cls(
            **{
                **values,
                "keyframes": tuple(values["keyframes"]),
                "seeks": tuple(values["seeks"]),
                "clock": Clock(values["clock"]),
            }
        )
