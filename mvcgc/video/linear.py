"""Linear decode of a whole file: its frames, its packets, and what is missing of it."""

from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
from av.container import InputContainer
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from mvcgc.video.container import (
    AVI,
    MOVIE,
    VideoPacket,
    converting,
    decoding,
    delay_of,
    demuxer_of,
    demuxing,
    open_video,
    set_delay,
)
from mvcgc.video.errors import Reason, VideoError
from mvcgc.video.headers import VOP_START
from mvcgc.video.info import UPRIGHT, Clock, Opening, Orientation, fit_clock
from mvcgc.video.orientation import orientation_of
from mvcgc.video.picture import Converter, checksum
from mvcgc.video.vectors import exports

MICROSECONDS = 1e6
"""libav's unit of a container's duration."""

REORDERS = "h264"
"""Codec whose decoder finds out on the way how many frames to hold back, and can be told instead."""

UNRELIABLE_DTS = frozenset({"h264", "hevc"})
"""Codecs whose frames bear a dts that depends on what was decoded before."""

ONE_PACKET_ONE_FRAME = frozenset({"h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4"})
"""Codecs of whose packets each makes a frame, or a field. (VP8, for one, has packets that are not shown.)"""

NOT_CODED = 16
"""Bytes below which a packet of MPEG-4 holds a frame that is not coded, and may make none."""

ATTEMPTS = 3
"""Passes until the decoder's delay is the same at the end as at the start."""


KeyPacket = tuple[int | None, int | None, int]
"""Of a packet that is marked as a keyframe: (pts, dts, size)."""


@dataclass
class Pass:
    """Results of a linear decode of the whole stream.

    Attributes:
        opening: how the file was opened.
        codec, fps: of the stream.
        pts, dts: of each frame, in display order.
        keys: pts of each intra keyframe -> display index and checksum.
        packets: each keyframe packet, in decode order.
        stamps: pts of the packets that should make a frame.
        delivered: packets with data that the container presents.
        end: dts behind the last packet.
        fields: frames of two fields each, which may be two packets.
        packed: some packet of MPEG-4 holds two frames; looked at where packets are taken as stored.
        delays: frames that the decoder held back, after its first packet and at the end.
    """

    opening: Opening
    codec: str
    fps: float
    pts: list[int | None] = field(default_factory=list)
    dts: list[int | None] = field(default_factory=list)
    keys: dict[int | None, tuple[int, int]] = field(default_factory=dict)
    packets: list[KeyPacket] = field(default_factory=list)
    stamps: list[int | None] = field(default_factory=list)
    delivered: int = 0
    end: int = 0
    fields: int = 0
    packed: bool = False
    delays: tuple[int, int] = (0, 0)
    size: tuple[int, int] = (0, 0)
    orientation: Orientation = UPRIGHT
    vectors: bool = False
    damage: str = ""

    @cached_property
    def clock(self) -> tuple[Clock, int, float, tuple[tuple[int, int], ...]]:
        """Timestamps that count the frames evenly, if there are any: (clock, origin, step, gaps)."""
        if fitted := fit_clock(self.pts):
            return Clock.PTS, *fitted
        # The frames that the decoder still held at the end carry no dts of their own.
        known = list(self.dts)
        while known and known[-1] is None:
            known.pop()
        # The containers that have a demuxer of their own here store a dts; elsewhere libav makes it up.
        reliable = self.opening.demuxer and self.codec not in UNRELIABLE_DTS
        if reliable and (fitted := fit_clock(known)):
            return Clock.DTS, *fitted
        return Clock.NONE, 0, 0.0, ()

    @property
    def steady(self) -> bool:
        """Whether the decoder was in the same state all the time, and every packet made its frame; else what
        it shows may depend on what it decoded before, and on what it skipped.
        """
        makes_one = self.lost <= 0 and len(self.pts) <= self.delivered
        return self.delays[0] == self.delays[1] and (makes_one or self.codec not in ONE_PACKET_ONE_FRAME)

    @property
    def delay(self) -> int:
        """Frames to have the decoder hold back; 0 where it cannot be told."""
        return self.delays[1] if self.codec == REORDERS else 0

    @property
    def lost(self) -> int:
        """Frames that are missing for the packets that should make them."""
        begin = min((pts for pts in self.pts if pts is not None), default=0)
        expected = sum(stamp is None or stamp >= begin for stamp in self.stamps)
        return expected - len(self.pts) - self.fields

    def send(self, packet: VideoPacket) -> None:
        """Note a packet that goes into the decoder."""
        if packet.is_keyframe:
            self.packets.append((packet.pts, packet.dts, packet.size))
        if packet.dts is not None:
            self.end = max(self.end, packet.dts + 1)
        if self.opening.stored and self.codec == "mpeg4" and not self.packed:
            self.packed = bytes(packet).count(VOP_START) > 1
        if not packet.is_discard:
            self.delivered += 1
            if self.codec != "mpeg4" or packet.size >= NOT_CODED:
                self.stamps.append(packet.pts)

    def show(self, path: Path, frame: VideoFrame) -> None:
        """Note a frame that comes out."""
        index = len(self.pts)
        if index == 0:
            self.size = (frame.height, frame.width)
            self.orientation = orientation_of(frame)
            with converting(path):
                Converter(UPRIGHT, None, np.empty((3, 1, 16, 16), np.uint8)).convert(frame, 0)
        elif (frame.height, frame.width) != self.size:
            was = f"{self.size[1]}x{self.size[0]}"
            now = f"{frame.width}x{frame.height}"
            raise VideoError(path, Reason.RESOLUTION, f"changes from {was} to {now} pixels at frame {index}")
        if frame.key_frame and frame.pict_type == PictureType.I and (frame.pts is not None or index == 0):
            # Only intra pictures: an H.264 recovery point that is a P-frame is not whole at once.
            self.keys[frame.pts] = index, checksum(frame)
        self.pts.append(frame.pts)
        self.dts.append(frame.dts)
        self.fields += frame.interlaced_frame
        self.vectors = self.vectors or exports(frame)


def decode_whole(path: Path) -> Pass:
    """Decode the file, opened in the cheapest way in which it decodes as a whole."""
    demuxer = demuxer_of(path)
    if demuxer:
        seen = _decode_steadily(path, Opening(demuxer, stored=True))
        # With one frame a packet libav can tell the pts of .avi, too, if it may look into the packets.
        told = seen is not None and (demuxer == MOVIE or (seen.packed and seen.clock[0] is Clock.DTS))
        if seen and told and not seen.damage:
            return seen
    seen = _decode_steadily(path, Opening(demuxer))
    assert seen is not None, "any header is enough for a file that is not taken as stored"
    return seen


def _decode_steadily(path: Path, opening: Opening) -> Pass | None:
    """Decode the file with a decoder whose delay is the same all the time, if there is a way to have it so;
    None if its header is not enough for ``opening``.
    """
    seen = _decode(path, opening, delay=0)
    for _ in range(ATTEMPTS):
        if seen is None or seen.delays[0] == seen.delays[1] or seen.codec != REORDERS:
            break
        seen = _decode(path, opening, delay=seen.delays[1])
    return seen


def _decode(path: Path, opening: Opening, delay: int) -> Pass | None:
    """Decode packet by packet up to the end, the first error, or the first frame flagged as corrupt."""
    container, stream = open_video(path, opening, export=True)
    with container, decoding(path):
        if opening.stored and not _tells_all(container, stream):
            return None
        listed = sum(entry.size > 0 and not entry.is_discard for entry in stream.index_entries)
        rate = stream.average_rate or stream.guessed_rate or 0
        seen = Pass(opening, stream.codec_context.codec.canonical_name, float(rate))
        if delay:
            set_delay(stream.codec_context, delay)
        try:
            _decode_packets(path, container, stream, seen)
        except VideoError as error:
            if error.reason is not Reason.CORRUPT:
                raise
            seen.damage = f"after frame {len(seen.pts) - 1} it {error.detail}"
        if seen.pts:
            seen.damage = seen.damage or _missing(container, stream, seen, listed)
    return seen


def _decode_packets(path: Path, container: InputContainer, stream: VideoStream, seen: Pass) -> None:
    context = stream.codec_context
    first = delay_of(context)
    with decoding(path), demuxing(container, stream) as packets:
        for number, packet in enumerate(chain(packets, [None])):
            if packet is not None:
                seen.send(packet)
            frames = context.decode(packet)
            if number == 0 and not frames:
                first = delay_of(context)  # its header may tell more than the container's
            seen.delays = first, delay_of(context)
            for frame in frames:
                if frame.is_corrupt:
                    seen.damage = f"corrupt from frame {len(seen.pts)} on"
                    return
                seen.show(path, frame)


def _tells_all(container: InputContainer, stream: VideoStream) -> bool:
    """Return whether the header tells all that is needed to read the packets as they are stored."""
    codec = stream.codec_context.codec.canonical_name
    if container.format.name == MOVIE:
        # It lists the frames with their timestamps (a fragmented file's does not).
        return codec == "h264" and all(s.frames for s in container.streams.video)
    # Packets tell more: the first one how to decode, but with one group it is always read; each its pts, but
    # that does not count here.
    groups = sum(entry.is_keyframe for entry in stream.index_entries)
    return container.format.name == AVI and codec == "mpeg4" and groups == 1


def _missing(container: InputContainer, stream: VideoStream, seen: Pass, listed: int) -> str:
    """Damage where less is there than the container declares, '' if there is none.

    ``listed`` packets with data were in its index before the first one was read. One frame less than there
    are packets is how .avi with B-frames is.
    """
    frames, declared = len(seen.pts), stream.frames
    if not declared:
        return _missing_seconds(container, stream, seen)
    if listed > seen.delivered:
        return f"{seen.delivered} of {listed} listed frames are there"
    # The index of an .avi lies at its end; without it the number of the last chunk tells.
    if listed < seen.delivered and declared - seen.end > 1:
        return f"{frames} of {declared} declared frames decode"
    return f"{frames} of {frames + seen.lost} frames decode" if seen.lost > 1 else ""


def _missing_seconds(container: InputContainer, stream: VideoStream, seen: Pass) -> str:
    first, last = seen.pts[0], seen.pts[-1]
    if len(container.streams) > 1 or not container.duration or first is None or last is None:
        return ""
    if "matroska" in container.format.name:  # its durations begin at 0, with or without a frame there
        first = 0
    declared = container.duration / MICROSECONDS
    shown = float((last - first) * (stream.time_base or 0))
    if shown < declared * 0.95 - 0.5:
        return f"{shown:.1f} of {declared:.1f} declared seconds decode"
    return ""
