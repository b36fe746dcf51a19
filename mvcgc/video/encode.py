"""The writer of video files from pictures: reproducible bytes, for the demo data and for tests."""

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import av.error
import numpy as np
from av.codec.context import Flags, ThreadType
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from jaxtyping import UInt8

from mvcgc.video.container import reason_of
from mvcgc.video.picture import EXACT

ENCODERS = {
    "mpeg4": "mpeg4",
    "h264": "libx264",
    "mpeg1video": "mpeg1video",
    "mpeg2video": "mpeg2video",
    "h263": "h263",
    "flv1": "flv",
    "hevc": "libx265",
    "vp9": "libvpx-vp9",
    "av1": "libsvtav1",
}
"""Codec -> libavcodec's encoder."""

QUALITY: dict[str, dict[str, str]] = {
    # With its macroblock tree x264 writes other bytes from one run to the next.
    "h264": {"crf": "18", "preset": "fast", "mbtree": "0"},
    "hevc": {"crf": "20", "preset": "fast", "x265-params": "log-level=none:pools=none:frame-threads=1"},
    "vp9": {"crf": "20", "b": "0", "cpu-used": "5", "deadline": "realtime"},
    "av1": {"crf": "25", "preset": "10", "svtav1-params": "lp=1"},
}
"""Private options of the encoders that know a constant quality."""


def encode(
    path: Path | str,
    frames: Iterable[UInt8[np.ndarray, "H W 3"]],
    *,
    fps: int | Fraction = 25,
    codec: str = "mpeg4",
    bframes: int = 0,
    gop: int = 12,
    rotation: int = 0,
    options: Mapping[str, str] | None = None,
) -> None:
    """Write RGB pictures, all of one size, to ``path``, whose suffix chooses the container.

    The same pictures give the same bytes on the same machine: one thread, no version strings. (Except for
    H.264 with B-frames where the height is no multiple of 16: there x264's bytes vary.)

    Args:
        path: the file; overwritten.
        frames: uint8 [H, W, 3].
        fps: frames per second.
        codec: a key of `ENCODERS`.
        bframes: most consecutive B-frames; 0 for codecs that have none.
        gop: most frames from one keyframe to the next.
        rotation: clockwise degrees that a player shall turn the picture by (.mp4, .mov).
        options: private options of the encoder, over what is set here.

    Raises:
        ValueError: an unknown codec, no frames, frames of different sizes, or what the encoder cannot do.
    """
    if codec not in ENCODERS:
        raise ValueError(f"codec={codec}: one of {', '.join(ENCODERS)}")
    path = Path(path)
    pictures = iter(frames)
    first = next(pictures, None)
    if first is None:
        raise ValueError(f"{path}: no frames to encode")
    # An interrupted run leaves no half of a file under the real name.
    partial = path.with_name(f".writing-{path.name}")
    try:
        with av.open(partial, "w", container_options={"fflags": "+bitexact"}) as container:
            stream = container.add_stream(ENCODERS[codec], fps, {**QUALITY.get(codec, {}), **(options or {})})
            assert isinstance(stream, VideoStream)
            stream.height, stream.width = first.shape[:2]
            stream.pix_fmt = "yuv420p"
            configure(stream.codec_context, codec, bframes, gop)
            if rotation:
                stream.set_display_rotation(-rotation)
            for frame in _frames(path, chain([first], pictures), first.shape, fps):
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        partial.replace(path)
    except av.error.FFmpegError as error:
        raise ValueError(f"{path}: {codec} cannot write it: {reason_of(error)}") from error
    finally:
        partial.unlink(missing_ok=True)


def _frames(
    path: Path, pictures: Iterable[UInt8[np.ndarray, "H W 3"]], shape: tuple[int, ...], fps: int | Fraction
) -> Iterator[av.VideoFrame]:
    """What an encoder takes of RGB pictures of ``shape``, one shown after the other."""
    converter = VideoReformatter()
    for index, picture in enumerate(pictures):
        if picture.shape != shape:
            raise ValueError(f"{path}: frame {index} is {picture.shape}, the first is {shape}")
        given = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        # The encoder's own conversion is neither exact nor the same on every processor.
        frame = converter.reformat(given, format="yuv420p", interpolation=EXACT, threads=1)
        frame.pts, frame.time_base = index, 1 / Fraction(fps)
        yield frame


def configure(context: VideoCodecContext, codec: str, bframes: int, gop: int) -> None:
    """Set up an encoder of ``codec`` for the same bytes every time.

    Those without a constant quality of their own get a fixed quantiser, the finest of libavcodec's default
    range: 2.
    """
    context.gop_size, context.max_b_frames = gop, bframes
    context.thread_type, context.thread_count = ThreadType.NONE, 1
    context.flags |= Flags.bitexact
    if codec not in QUALITY:
        context.flags |= Flags.qscale
