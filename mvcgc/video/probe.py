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

from av.container import InputContainer
from av.video.stream import VideoStream

from mvcgc.video.container import decoding, demuxing, open_video, set_delay, stat_of
from mvcgc.video.errors import Reason, VideoError
from mvcgc.video.info import Clock, VideoInfo
from mvcgc.video.linear import Pass, decode_whole
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
    container, stream = open_video(path, seen.opening, export=False)
    with container:
        for packet in reversed(seen.packets):
            pts, dts, _ = packet
            if pts not in seen.keys or (pts is not None and times[pts] > 1):
                continue
            index, expected = seen.keys[pts]
            for stamp in (dts, pts):  # most demuxers search by dts, some (HEVC in .mp4) by pts
                if stamp is None:
                    continue
                reached, frame = _seek(path, container, stream, stamp, seen.delay)
                # After a seek libav does not know the dts of the first packets of .mkv.
                same = reached == packet or (reached and pts is not None and reached[::2] == packet[::2])
                if same and frame == expected:
                    found.append((index, stamp))
                    break
    found.sort()
    return tuple(index for index, _ in found), tuple(stamp for _, stamp in found)


def _seek(
    path: Path, container: InputContainer, stream: VideoStream, stamp: int, delay: int
) -> tuple[tuple[int | None, int | None, int] | None, int | None]:
    """Seek to ``stamp``: (pts, dts, size) of the packet there, and the checksum of its frame.

    None where there is no seeking, or the packet does not make a sound keyframe.
    """
    reached = None
    try:
        with decoding(path):
            container.seek(stamp, stream=stream)
            if delay:
                set_delay(stream.codec_context, delay)
            with demuxing(container, stream) as packets:
                for packet in chain(packets, [None]):
                    if reached is None and packet is not None:
                        reached = packet.pts, packet.dts, packet.size
                    for frame in stream.codec_context.decode(packet):
                        if reached is not None and frame.pts == reached[0]:
                            sound = frame.key_frame and not frame.is_corrupt
                            return reached, checksum(frame) if sound else None
    except VideoError:
        pass
    return reached, None
