"""One pass over a file that learns all that reading clips of it needs.

**The frames of a video** are those that its container presents, in display order; the probe counts them, and
the reader shows no others:

- Frames outside the container's edit list are none: they are decoded for those that refer to them, and
  discarded (cuts without encoding in .mp4 and .mov).
- A packet without data is none (null chunks of .avi); nor is a time at which there is no frame, be it before
  the first one (a start offset) or later.
- Frames before the first one whose references are there are none (B-frames of an open group at a cut).
- Timestamps say in which order frames are shown and where to seek, not how often a frame is shown.

Damaged is a file of which less is left than its container lists, or of which a packet, that should make a
frame, makes none.
"""

from collections import Counter
from itertools import chain
from pathlib import Path

from av.video.frame import VideoFrame

from mvcgc.video.container import decoding, demuxing, open_video, set_delay, stat_of
from mvcgc.video.errors import Reason, VideoError
from mvcgc.video.info import Clock, VideoInfo
from mvcgc.video.linear import KeyPacket, Pass, decode_whole
from mvcgc.video.picture import checksum


def probe(path: Path | str) -> VideoInfo:
    """Decode the file once, without converting a picture, and describe it.

    Raises:
        VideoError: UNREADABLE, NO_VIDEO, RESOLUTION, or CORRUPT where not one frame decodes. A file that
            decodes up to some frame and no further is described up to there, and `VideoInfo.damage` says so.
    """
    path = Path(path)
    stat = stat_of(path)
    seen = decode_whole(path)
    if not seen.pts:
        raise VideoError(path, Reason.CORRUPT, f"no frame decodes ({seen.damage or 'empty stream'})")
    clock, origin, step, gaps = seen.clock if seen.steady else (Clock.NONE, 0, 0.0, ())
    keyframes, seeks = _seek_points(path, seen) if seen.steady else ((), ())
    rotation, mirrored = seen.orientation
    height, width = seen.size if rotation % 180 == 0 else seen.size[::-1]
    return VideoInfo(
        codec=seen.codec,
        width=width,
        height=height,
        fps=seen.fps,
        frames=len(seen.pts),
        keyframes=keyframes,
        seeks=seeks,
        clock=clock,
        origin=origin,
        step=step,
        rotation=rotation,
        vectors=seen.vectors,
        damage=seen.damage,
        gaps=gaps,
        mirrored=mirrored,
        opening=seen.opening,
        delay=seen.delay,
        stat=stat,
    )


def _seek_points(path: Path, seen: Pass) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Display index and timestamp of each keyframe that a seek was tried on and reached.

    In a container opened anew: the linear pass builds the index that some files lack, and so makes seeks work
    that fail for a reader. From the last keyframe to the first, for the same reason.
    """
    found: list[tuple[int, int]] = []
    times = Counter(seen.pts)
    with _Seeker(path, seen) as seeker:
        for packet in reversed(seen.packets):
            pts, dts, _ = packet
            if pts not in seen.keys or (pts is not None and times[pts] > 1):
                continue
            for stamp in (dts, pts):  # most demuxers search by dts, some (HEVC in .mp4) by pts
                if stamp is not None and seeker.leads_to(packet, stamp):
                    found.append((seen.keys[pts][0], stamp))
                    break
    found.sort()
    return tuple(index for index, _ in found), tuple(stamp for _, stamp in found)


class _Seeker:
    """Tries seeks in a file that a linear pass has ``seen``."""

    def __init__(self, path: Path, seen: Pass) -> None:
        self._path, self._seen = path, seen
        self._container, self._stream = open_video(path, seen.opening, export=False)

    def __enter__(self) -> "_Seeker":
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def leads_to(self, wanted: KeyPacket, stamp: int) -> bool:
        """Return whether a seek to ``stamp`` leads to the packet ``wanted``, and that makes its frame."""
        # Of two fields in packets of their own the first is no frame yet: then decode on.
        return any(self._leads_to(wanted, stamp, alone=alone) for alone in (True, False))

    def _leads_to(self, wanted: KeyPacket, stamp: int, *, alone: bool) -> bool:
        """With ``alone``, nothing is decoded but that packet."""
        container, context = self._container, self._stream.codec_context
        pts, dts, size = wanted
        try:
            with decoding(self._path):
                container.seek(stamp, stream=self._stream)
                if self._seen.delay:
                    set_delay(context, self._seen.delay)
                with demuxing(container, self._stream) as packets:
                    first = next(packets, None)
                    if first is None or (first.pts, first.size) != (pts, size):
                        return False
                    # After a seek libav does not know the dts of the first packets of .mkv.
                    if pts is None and first.dts != dts:
                        return False
                    for packet in (first, None) if alone else chain([first], packets, [None]):
                        for frame in context.decode(packet):
                            if frame.pts == pts:
                                return self._is_whole(frame)
        except VideoError:
            pass
        return False

    def _is_whole(self, frame: VideoFrame) -> bool:
        expected = self._seen.keys[frame.pts][1]
        return frame.key_frame and not frame.is_corrupt and checksum(frame) == expected
