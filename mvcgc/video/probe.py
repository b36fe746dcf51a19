"""One pass over a file that learns all that reading clips of it needs."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import av.error
from av.container import InputContainer
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from mvcgc.video.container import demuxing, open_video, reason_of
from mvcgc.video.errors import Reason, VideoError
from mvcgc.video.info import Clock, VideoInfo
from mvcgc.video.vectors import exports

MICROSECONDS = 1e6
"""libav's unit of a container's duration."""


@dataclass
class _Pass:
    """What a linear decode of the whole stream saw."""

    pts: list[int | None] = field(default_factory=list)
    dts: list[int | None] = field(default_factory=list)
    keys: dict[int | None, int] = field(default_factory=dict)
    """pts of each intra keyframe -> display index."""
    packets: list[tuple[int | None, int | None, int]] = field(default_factory=list)
    """(pts, dts, size) of each keyframe packet, in decode order."""
    size: tuple[int, int] = (0, 0)
    rotation: int = 0
    vectors: bool = False
    damage: str = ""

    def show(self, path: Path, frame: VideoFrame) -> None:
        index = len(self.pts)
        if index == 0:
            self.size = (frame.height, frame.width)
            self.rotation = round(-frame.rotation / 90) % 4 * 90
        elif (frame.height, frame.width) != self.size:
            was = f"{self.size[1]}x{self.size[0]}"
            now = f"{frame.width}x{frame.height}"
            raise VideoError(path, Reason.RESOLUTION, f"changes from {was} to {now} pixels at frame {index}")
        if frame.key_frame and frame.pict_type == PictureType.I and frame.pts is not None:
            # Only intra pictures: an H.264 recovery point that is a P-frame is not whole at once.
            self.keys[frame.pts] = index
        self.pts.append(frame.pts)
        self.dts.append(frame.dts)
        self.vectors = self.vectors or exports(frame)


def probe(path: Path | str) -> VideoInfo:
    """Decode the file once, without converting a picture, and describe it.

    Raises:
        VideoError: UNREADABLE, NO_VIDEO, RESOLUTION, or CORRUPT where not one frame decodes. A file that
            decodes up to some frame and no further is described up to there, and `VideoInfo.damage` says so.
    """
    path = Path(path)
    container, stream = open_video(path, export=True)
    with container:
        seen = _decode_all(path, container, stream)
        if not seen.pts:
            raise VideoError(path, Reason.CORRUPT, f"no frame decodes ({seen.damage or 'empty stream'})")
        clock, origin, step = _clock(seen)
        keyframes, seeks = _seek_points(path, seen)
        height, width = seen.size if seen.rotation % 180 == 0 else seen.size[::-1]
        return VideoInfo(
            codec=stream.codec_context.codec.canonical_name,
            width=width,
            height=height,
            fps=float(stream.average_rate or stream.guessed_rate or 0),
            frames=len(seen.pts),
            keyframes=keyframes,
            seeks=seeks,
            clock=clock,
            origin=origin,
            step=step,
            rotation=seen.rotation,
            vectors=seen.vectors,
            damage=seen.damage or _shortfall(container, stream, seen),
        )


def _decode_all(path: Path, container: InputContainer, stream: VideoStream) -> _Pass:
    """Decode packet by packet up to the end, the first error, or the first frame flagged as corrupt."""
    seen = _Pass()
    try:
        with demuxing(container, stream) as packets:
            for packet in packets:
                if packet.is_keyframe:
                    seen.packets.append((packet.pts, packet.dts, packet.size))
                for frame in packet.decode():
                    if frame.is_corrupt:
                        seen.damage = f"corrupt from frame {len(seen.pts)} on"
                        return seen
                    seen.show(path, frame)
    except (av.error.FFmpegError, OSError) as error:
        seen.damage = f"stops decoding after frame {len(seen.pts) - 1}: {reason_of(error)}"
    return seen


def _clock(seen: _Pass) -> tuple[Clock, int, float]:
    """The time stamp that counts the frames evenly, if there is one: (clock, origin, step)."""
    for clock, stamps in ((Clock.PTS, seen.pts), (Clock.DTS, seen.dts)):
        # The frames that the decoder still held at the end carry no dts of their own.
        known = list(stamps)
        while len(known) > 1 and known[-1] is None and clock is Clock.DTS:
            known.pop()
        first, last = known[0], known[-1]
        if len(known) < 2 or first is None or last is None or last <= first:
            continue
        step = (last - first) / (len(known) - 1)
        if all(stamp is not None and round((stamp - first) / step) == i for i, stamp in enumerate(known)):
            return clock, first, step
    return Clock.NONE, 0, 0.0


def _seek_points(path: Path, seen: _Pass) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Display index and time stamp of each keyframe that a seek was tried on and reached.

    In a container opened anew: the linear pass builds the index that some files lack, and so makes seeks work
    that fail for a reader. From the last keyframe to the first, for the same reason.
    """
    found: list[tuple[int, int]] = []
    times = Counter(seen.pts)
    container, stream = open_video(path, export=False)
    with container:
        for pts, dts, size in reversed(seen.packets):
            if pts not in seen.keys or times[pts] > 1:
                continue
            for stamp in (dts, pts):  # most demuxers search by dts, some (HEVC in .mp4) by pts
                if stamp is not None and _first_after(container, stream, stamp) == (pts, dts, size):
                    found.append((seen.keys[pts], stamp))
                    break
    found.sort()
    return tuple(index for index, _ in found), tuple(stamp for _, stamp in found)


def _first_after(
    container: InputContainer, stream: VideoStream, stamp: int
) -> tuple[int | None, int | None, int] | None:
    """(pts, dts, size) of the packet that a seek to ``stamp`` leads to; None if there is no seeking."""
    try:
        container.seek(stamp, stream=stream)
        with demuxing(container, stream) as packets:
            packet = next(packets)
    except (av.error.FFmpegError, OSError, StopIteration):
        return None
    return packet.pts, packet.dts, packet.size


def _shortfall(container: InputContainer, stream: VideoStream, seen: _Pass) -> str:
    """Damage where the container declares more than decodes. One frame less is how .avi with B-frames is."""
    decoded = len(seen.pts)
    if stream.frames - decoded > 1:
        return f"{decoded} of {stream.frames} declared frames decode"
    first, last = seen.pts[0], seen.pts[-1]
    alone = len(container.streams) == 1
    if stream.frames or not alone or not container.duration or first is None or last is None:
        return ""
    declared = container.duration / MICROSECONDS
    shown = float((last - first) * (stream.time_base or 0))
    if shown < declared * 0.95 - 0.5:
        return f"{shown:.1f} of {declared:.1f} declared seconds decode"
    return ""
