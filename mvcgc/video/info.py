"""Description of a video file: everything that reading a clip of it later needs to know."""

import math
import statistics
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from itertools import accumulate, pairwise
from operator import itemgetter
from typing import Any, NamedTuple

MOST_GAPS = 100
"""Gaps that a clock may have. A stream with more has an uneven frame rate: its frames are counted."""

NEAR = 0.25
"""In frames: how far timestamps are rounded at most. Those of second fields lie half a frame off."""


class Clock(Enum):
    """Timestamp of a decoded frame that tells its place in display order."""

    PTS = "pts"
    DTS = "dts"
    """.avi: the pts of packed B-frames are out of order, the dts of their output are not."""
    NONE = "none"
    """Raw streams and uneven frame rates: the place is known only by counting from a keyframe."""


class Orientation(NamedTuple):
    """Rotation and mirroring that make a decoded frame upright.

    Attributes:
        rotation: clockwise, in degrees: 0, 90, 180 or 270.
        mirrored: it is flipped left to right before.
    """

    rotation: int
    mirrored: bool


UPRIGHT = Orientation(0, mirrored=False)


@dataclass(frozen=True)
class Opening:
    """Options to open a file with libav; the probe and the reader share them.

    Attributes:
        demuxer: libav's name of the demuxer; '' lets libav find out.
        stored: take the packets as they are stored, and decode none to find out more.
    """

    demuxer: str = ""
    stored: bool = False


@dataclass(frozen=True)
class VideoInfo:
    """Description of a video file by the probe; plain values only, for JSON.

    Frame i (in display order, from 0) is the i-th frame that the container presents, see `mvcgc.video.probe`.

    Attributes:
        codec: FFmpeg's canonical codec name, such as ``mpeg4`` or ``h264``.
        width, height: pixels of the upright frame, after mirroring and rotation.
        fps: frames per second (average).
        frames: number of frames that decode, one after the other from the first.
        keyframes: display indices of the frames a decoder can start at, found to be reached exactly by
            seeking; empty where the file cannot be searched (raw streams).
        seeks: for each keyframe the timestamp that leads to it, in the stream's time base.
        clock, origin, step: frame i carries the timestamp ``origin + step * place`` (rounded) of ``clock``,
            where ``place`` is i, unless there are gaps.
        gaps: (index, shift), sorted: from frame ``index`` on, ``place`` is i + ``shift``.
        rotation: clockwise rotation in degrees (0, 90, 180 or 270) that makes the decoded frame upright, from
            the file's display matrix.
        mirrored: the decoded frame is flipped left to right before it is rotated.
        vectors: whether the decoder exports motion vectors for this file.
        damage: defects of the file beyond its usable frames, '' if it is sound.
        opening: how the file is opened.
        delay: frames that an H.264 decoder holds back to put them in order; 0 for other codecs.
        stat: (bytes, mtime in ns) of the file when it was probed; not part of what the video is.
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
    gaps: tuple[tuple[int, int], ...] = ()
    mirrored: bool = False
    opening: Opening = Opening()
    delay: int = 0
    stat: tuple[int, int] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if len(self.keyframes) != len(self.seeks):
            raise ValueError(f"{len(self.keyframes)} keyframes, but {len(self.seeks)} timestamps to seek")
        if self.rotation not in (0, 90, 180, 270):
            raise ValueError(f"rotation is 0, 90, 180 or 270 degrees, not {self.rotation}")

    @property
    def coded(self) -> tuple[int, int]:
        """(height, width) of the decoded frame, before the rotation."""
        upright = (self.height, self.width)
        return upright if self.rotation % 180 == 0 else upright[::-1]

    @property
    def orientation(self) -> Orientation:
        """Return what makes the decoded frame upright."""
        return Orientation(self.rotation, self.mirrored)

    def index(self, stamp: int) -> float:
        """Display index of the frame that carries ``stamp``; between two indices where no frame does."""
        place = (stamp - self.origin) / self.step
        if not self.gaps:
            return place
        passed = bisect_right(self.gaps, place + NEAR, key=sum)
        shift = self.gaps[passed - 1][1] if passed else 0
        following = self.gaps[passed][0] if passed < len(self.gaps) else math.inf
        return min(place - shift, following - 0.5)

    def stamp(self, index: int) -> float:
        """Timestamp of the frame ``index``; not rounded."""
        passed = bisect_right(self.gaps, index, key=itemgetter(0))
        return self.origin + (index + (self.gaps[passed - 1][1] if passed else 0)) * self.step

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
                "gaps": tuple((index, shift) for index, shift in values["gaps"]),
                "opening": Opening(**values["opening"]),
                "stat": tuple(values["stat"]) if values["stat"] else None,
            }
        )


def fit_clock(stamps: Sequence[int | None]) -> tuple[int, float, tuple[tuple[int, int], ...]] | None:
    """Fit an even clock to the frames' timestamps: (origin, step, gaps), or None if they are uneven."""
    known = [stamp for stamp in stamps if stamp is not None]
    if len(known) < max(len(stamps), 2) or known[-1] <= known[0]:
        return None
    first, last = known[0], known[-1]
    step = (last - first) / (len(known) - 1)
    if all(abs((stamp - first) / step - i) <= NEAR for i, stamp in enumerate(known)):
        return first, step, ()
    return _fit_with_gaps(known)


def _fit_with_gaps(stamps: list[int]) -> tuple[int, float, tuple[tuple[int, int], ...]] | None:
    differences = [after - before for before, after in pairwise(stamps)]
    if min(differences) <= 0:
        return None
    usual = statistics.median(differences)
    places = list(accumulate((max(round(each / usual), 1) for each in differences), initial=0))
    first = stamps[0]
    step = (stamps[-1] - first) / places[-1]  # over all of them: one difference may be rounded
    if any(abs((stamp - first) / step - place) > NEAR for stamp, place in zip(stamps, places, strict=True)):
        return None
    shifts = [place - index for index, place in enumerate(places)]
    gaps = tuple((i, shift) for i, (before, shift) in enumerate(pairwise(shifts), 1) if shift != before)
    return (first, step, gaps) if len(gaps) <= MOST_GAPS else None
