"""Motion vectors of the video encoded again as CoViAR (Wu et al. 2018) and IMRNet prepare it.

MPEG-4 part 2, P-frames only, a keyframe every 12 frames, so one past reference, the frame before; and as fine
a quantiser as libavcodec takes unless told otherwise, 2, where they ask for 1 (``-q:v 1 -c:v mpeg4``). Here
the picture keeps its size, where CoViAR scales it to 340x256.

With a fixed quantiser a group of pictures is coded by itself, so encoding from the last multiple of 12 on
gives the very vectors of the whole file encoded again.
"""

from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import av.error
from av.codec.codec import Codec
from av.codec.context import Flags2, ThreadType
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from mvcgc.video.container import open_video, reason_of
from mvcgc.video.encode import configure
from mvcgc.video.picture import EXACT
from mvcgc.video.vectors import DISTANCE, Raw, fetch

GOP = 12
CODEC = "mpeg4"
_TICK = Fraction(1, 25)


class Recoder:
    """Takes the pictures of a clip one after the other; tells each one's vectors once it is encoded again."""

    def __init__(self) -> None:
        self._encoder: VideoCodecContext | None = None
        self._decoder = _context(CODEC, "r")
        self._decoder.flags2 |= Flags2.export_mvs
        self._converter = VideoReformatter()
        self._pushed = 0

    def first(self, start: int) -> int:
        """The frame to begin with for a clip that begins at ``start``: its group's keyframe."""
        return start - start % GOP

    def push(self, frame: VideoFrame, index: int, _last: bool) -> list[tuple[int, Raw]]:
        """Push the next picture, shown as ``index``; its vectors, (index, raw). A keyframe has none."""
        if self._encoder is None:
            self._encoder = _context(CODEC, "w")
            self._encoder.width, self._encoder.height = frame.width, frame.height
            self._encoder.pix_fmt = "yuv420p"
            self._encoder.time_base = _TICK
            configure(self._encoder, CODEC, 0, GOP)
        given = _plain(frame, self._converter, self._pushed, _TICK)
        self._pushed += 1
        (packet,) = self._encoder.encode(given)
        (shown,) = self._decoder.decode(packet)
        raw = fetch(shown)
        raw[DISTANCE] = 1
        return [(index, raw)]


def reencode(source: Path, target: Path) -> None:
    """Write the video of ``source`` to ``target`` (.avi, .mp4) as CoViAR stores it; overwrites.

    Raises:
        VideoError: ``source`` cannot be opened.
        ValueError: it cannot be decoded, or not be encoded.
    """
    read, stream = open_video(source, export=False)
    converter = VideoReformatter()
    try:
        with read, av.open(target, "w", container_options={"fflags": "+bitexact"}) as written:
            rate = Fraction(stream.average_rate or 25)
            made = written.add_stream(CODEC, rate)
            assert isinstance(made, VideoStream)
            made.height, made.width = stream.codec_context.height, stream.codec_context.width
            made.pix_fmt = "yuv420p"
            configure(made.codec_context, CODEC, 0, GOP)
            for index, frame in enumerate(read.decode(stream)):
                written.mux(made.encode(_plain(frame, converter, index, 1 / rate)))
            written.mux(made.encode(None))
    except av.error.FFmpegError as error:
        raise ValueError(f"{source}: cannot be encoded again: {reason_of(error)}") from error


def _context(codec: str, mode: Literal["r", "w"]) -> VideoCodecContext:
    context = Codec(codec, mode).create()
    assert isinstance(context, VideoCodecContext)
    context.thread_type, context.thread_count = ThreadType.NONE, 1
    return context


def _plain(frame: VideoFrame, converter: VideoReformatter, number: int, tick: Fraction) -> VideoFrame:
    """The picture as the encoder takes it, shown at ``number`` ticks, of whatever type it decides."""
    frame = converter.reformat(frame, format="yuv420p", interpolation=EXACT, threads=1)
    frame.pts, frame.time_base, frame.pict_type = number, tick, PictureType.NONE
    return frame
