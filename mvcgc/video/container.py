"""Opening files with libav: the options that exact decoding needs, and its errors turned into ours."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av
import av.error
from av.codec.context import Flags2, ThreadType
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from mvcgc.video.errors import Reason, VideoError
from mvcgc.video.info import Clock, VideoInfo

if TYPE_CHECKING:
    VideoPacket = Packet[VideoStream]
else:
    VideoPacket = Packet  # generic for the type checker alone


GROUP = 4
"""Packets that are read before they are decoded, and frames that are decoded before what is wanted of them is
taken: each drives the code and data of the others out of the processor's caches. More of them gain nothing,
and their pictures are held as long.
"""

MOVIE = "mp4"
"""The demuxer of files whose header, if it lists the frames, tells how far H.264's are out of order. It bears
this name where it was asked for, all its names where libav found out.
"""

DEMUXERS = {".avi": "avi", **dict.fromkeys((".mp4", ".m4v", ".mov"), MOVIE)}
"""By suffix: told which one it is, libav need not try all that it has."""

AS_STORED = {"codec_whitelist": "none", "probesize": "32", "fflags": "noparse+nofillin"}
"""Options with which libav decodes no frame to find out more, and takes the packets for what they are."""


def open_video(
    path: Path, *, export: bool, pictures: bool = True, info: VideoInfo | None = None
) -> tuple[InputContainer, VideoStream]:
    """Open ``path`` and prepare its first video stream for exact, single-threaded decoding.

    ``export``: with motion vectors. Without ``pictures`` these are spoilt where that saves time (an eighth of
    the side, and no residual), the vectors are not; not for H.264, whose vectors' distances are measured on
    the pictures. ``info``, where there is one, saves libav from finding out what is of no use in reading.

    Slice threads are exact too, frame threads are not: the vectors that they export for H.264 change from run
    to run. One core per loader worker needs none.

    Raises:
        VideoError: UNREADABLE or NO_VIDEO.
    """
    demuxer = DEMUXERS.get(path.suffix.lower()) if info else None
    told = info is not None and _tells_all(info, demuxer)
    container = _open(path, AS_STORED if told else {}, demuxer)
    if told and demuxer == MOVIE and not _lists_frames(container):
        container.close()
        container = _open(path, {})
    if container.format.name == "tty":  # libav renders text files as pictures
        container.close()
        raise VideoError(path, Reason.UNREADABLE, "is a text file")
    streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not streams or streams[0].codec_context is None:
        container.close()
        raise VideoError(path, Reason.NO_VIDEO, "holds no video stream that can be decoded")
    stream = streams[0]
    stream.thread_type = ThreadType.NONE
    if export:
        # Only before the first decode: through av.open(options=...) it silently does nothing.
        stream.codec_context.flags2 |= Flags2.export_mvs
    if not pictures and stream.codec_context.codec.canonical_name != "h264":
        stream.codec_context.options = {"skip_idct": "all", "lowres": "3"}
    return container, stream


def _open(path: Path, options: dict[str, str], demuxer: str | None = None) -> InputContainer:
    try:
        # Absolute, since a colon in a relative path reads as a protocol; and no playlist reaches the network.
        return av.open(
            path.absolute(),
            mode="r",
            format=demuxer,
            metadata_errors="replace",
            container_options={"protocol_whitelist": "file", **options},
        )
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if demuxer is not None:  # the file may be misnamed
            return _open(path, {})
        raise VideoError(path, Reason.UNREADABLE, f"cannot be opened: {reason_of(error)}") from error


def _tells_all(info: VideoInfo, demuxer: str | None) -> bool:
    """Whether a file's header, as far as its demuxer is known, tells all that is needed to read it."""
    if demuxer == MOVIE:
        return info.codec == "h264"
    # Packets tell more: the first one how to decode, but it is always read here; each its pts, but that does
    # not count here.
    one_group = max(info.keyframes, default=0) == 0
    return demuxer == "avi" and info.codec == "mpeg4" and info.clock is Clock.DTS and one_group


def _lists_frames(container: InputContainer) -> bool:
    """Whether the header lists the frames with their time stamps (a fragmented file's does not)."""
    return container.format.name == MOVIE and all(s.frames for s in container.streams.video)


@contextmanager
def demuxing(container: InputContainer, stream: VideoStream) -> Iterator[Iterator[VideoPacket]]:
    """The packets from the file's position on. Each generator of PyAV's that nobody closes leaks a packet."""
    packets = cast("Generator[VideoPacket, None, None]", container.demux(stream))
    try:
        yield packets
    finally:
        packets.close()


def ahead(packets: Iterable[VideoPacket]) -> Iterator[VideoPacket]:
    """The same packets, read `GROUP` at a time; all before an error, then the error."""
    return chain.from_iterable(_groups(iter(packets)))


def _groups(packets: Iterator[VideoPacket]) -> Iterator[list[VideoPacket]]:
    while True:
        group: list[VideoPacket] = []
        try:
            group.extend(islice(packets, GROUP))
        finally:  # before an error goes on its way
            yield group
        if len(group) < GROUP:
            return


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Turn what libav raises while it reads and decodes into a VideoError (CORRUPT)."""
    try:
        yield
    except (av.error.FFmpegError, OSError) as error:
        raise VideoError(path, Reason.CORRUPT, f"does not decode: {reason_of(error)}") from error


def reason_of(error: Exception) -> str:
    """libav's own words for an error, without its number and the file's name."""
    return str(getattr(error, "strerror", None) or error)
