"""Opening files with libav: the options that exact decoding needs, and its errors turned into ours."""

import os
import stat
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
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from mvcgc.video.errors import Reason, VideoError
from mvcgc.video.info import Opening

if TYPE_CHECKING:
    VideoPacket = Packet[VideoStream]
else:
    VideoPacket = Packet  # generic for the type checker alone


GROUP = 4
"""Packets that are read before they are decoded, and frames that are decoded before what is wanted of them is
taken: each drives the code and data of the others out of the processor's caches. More of them gain nothing,
and their pictures are held as long.
"""

MOVIE, AVI = "mp4", "avi"
"""libav's demuxers of .mp4 and .avi."""

MOVIE_ATOMS = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"})
"""Names of the boxes that such files begin with."""

AS_STORED = {"codec_whitelist": "none", "probesize": "32", "fflags": "noparse+nofillin"}
"""Options with which libav decodes no frame to find out more, and takes the packets for what they are."""


def demuxer_of(path: Path) -> str:
    """Demuxer of the file by its first bytes, '' if they are neither .mp4's nor .avi's.

    Told its demuxer, libav need not try all that it has.
    """
    with decoding(path, Reason.UNREADABLE), path.open("rb") as file:
        head = file.read(12)
    if head[4:8] in MOVIE_ATOMS:
        return MOVIE
    return AVI if head[:4] == b"RIFF" and head[8:] == b"AVI " else ""


def open_video(
    path: Path, opening: Opening | None = None, *, export: bool, pictures: bool = True
) -> tuple[InputContainer, VideoStream]:
    """Open ``path`` and prepare its first video stream for exact, single-threaded decoding.

    ``export``: with motion vectors. Without ``pictures`` these are spoilt where that saves time (an eighth of
    the side, and no residual), the vectors are not; not for H.264, whose vectors' distances are measured on
    the pictures.

    Slice threads are exact too, frame threads are not: the vectors that they export for H.264 change from run
    to run. One core per loader worker needs none.

    Raises:
        VideoError: UNREADABLE or NO_VIDEO.
    """
    container = _open(path, opening or Opening())
    with decoding(path, Reason.UNREADABLE, container):
        if container.format.name == "tty":  # libav renders text files as pictures
            raise VideoError(path, Reason.UNREADABLE, "is a text file")
        videos = container.streams.video
        streams = [s for s in videos if not s.disposition & av.stream.Disposition.attached_pic]
        if not streams or streams[0].codec_context is None:
            raise VideoError(path, Reason.NO_VIDEO, "holds no video stream that can be decoded")
        stream = streams[0]
        stream.thread_type = ThreadType.NONE
        if export:
            # Only before the first decode: through av.open(options=...) it silently does nothing.
            stream.codec_context.flags2 |= Flags2.export_mvs
        if not pictures and stream.codec_context.codec.canonical_name != "h264":
            stream.codec_context.options = {"skip_idct": "all", "lowres": "3"}
    return container, stream


def _open(path: Path, opening: Opening) -> InputContainer:
    with decoding(path, Reason.UNREADABLE):
        # Absolute, since a colon in a relative path reads as a protocol; and no playlist reaches the network.
        return av.open(
            path.absolute(),
            mode="r",
            format=opening.demuxer or None,
            metadata_errors="replace",
            container_options={
                "protocol_whitelist": "file",
                **(AS_STORED if opening.stored else {}),
            },
        )


def delay_of(context: VideoCodecContext) -> int:
    """Frames that the decoder holds back to put them in order, as far as it knows by now."""
    return int(context.reorder_depth)


def set_delay(context: VideoCodecContext, delay: int) -> None:
    """Have the decoder hold back as many from now on, so that nothing depends on what it decoded before."""
    context.reorder_depth = delay


def stat_of(path: Path) -> tuple[int, int]:
    """(bytes, mtime in ns) of a file.

    Raises:
        VideoError: UNREADABLE if libav could not open it, or would wait for a writer (named pipes).
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise VideoError(path, Reason.UNREADABLE, "its name is not UTF-8: rename it") from None
    with decoding(path, Reason.UNREADABLE):
        found = os.stat(path)  # half the time of Path's; it is called for every clip
    if not stat.S_ISREG(found.st_mode):
        raise VideoError(path, Reason.UNREADABLE, "is no regular file")
    return found.st_size, found.st_mtime_ns


@contextmanager
def demuxing(container: InputContainer, stream: VideoStream) -> Iterator[Iterator[VideoPacket]]:
    """The packets with data from the file's position on. Empty ones hold no frame, and would end decoding.

    Each generator of PyAV's that nobody closes leaks a packet.
    """
    packets = cast("Generator[VideoPacket, None, None]", container.demux(stream))
    try:
        yield _with_data(packets)
    finally:
        packets.close()


def _with_data(packets: Iterator[VideoPacket]) -> Iterator[VideoPacket]:
    while True:
        try:
            packet = next(packets, None)
        except IndexError:
            # At the end PyAV adds an empty packet for each stream, and stumbles over one that appeared late.
            return
        if packet is None:
            return
        if packet.size:
            yield packet


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
def decoding(
    path: Path, reason: Reason = Reason.CORRUPT, container: InputContainer | None = None
) -> Iterator[None]:
    """Turn any error while libav reads ``path`` into a VideoError; then close ``container``.

    Any at all: PyAV's own code raises IndexError, UnicodeDecodeError, ZeroDivisionError and others for some
    files.
    """
    try:
        yield
    except Exception as error:
        if container is not None:
            container.close()
        if isinstance(error, VideoError):
            raise
        does = "does not decode" if reason is Reason.CORRUPT else "cannot be opened"
        raise VideoError(path, reason, f"{does}: {reason_of(error)}") from error


@contextmanager
def converting(path: Path) -> Iterator[None]:
    """Turn libav's errors while it crops and scales the frames of ``path`` into a VideoError (CORRUPT)."""
    try:
        yield
    except av.error.FFmpegError as error:
        raise VideoError(path, Reason.CORRUPT, f"cannot be converted: {reason_of(error)}") from error


def reason_of(error: Exception) -> str:
    """libav's own words for an error, without its number and the file's name; PyAV's with their class."""
    if isinstance(error, (av.error.FFmpegError, OSError)):
        return error.strerror or str(error)
    return f"{type(error).__name__}: {error}"
