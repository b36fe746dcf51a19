"""Frame-accurate access: the frames of a file by display index, each reached from the nearest keyframe."""

import sys
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterator
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Literal

from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from mvcgc.video.container import VideoPacket, ahead, decoding, demuxing, open_video, set_delay, stat_of
from mvcgc.video.errors import Reason, VideoError
from mvcgc.video.headers import is_b_vop
from mvcgc.video.info import NEAR, Clock, VideoInfo
from mvcgc.video.references import VOID, References, Shown

SKIPPING = {
    Clock.PTS: frozenset({"h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4"}),
    Clock.DTS: frozenset({"mpeg1video", "mpeg2video", "mpeg4"}),
    Clock.NONE: frozenset[str](),
}
"""Codecs with B-frames whose decoders can be told from packet to packet what to skip (libdav1d cannot), and
whose frames keep their time stamps then (the dts at which H.264's come out depends on what came before)."""

STAMPS: dict[Clock, Callable[[VideoFrame | VideoPacket], int | None]] = {
    Clock.PTS: attrgetter("pts"),
    Clock.DTS: attrgetter("dts"),
    Clock.NONE: lambda _: None,
}
"""The time stamp that counts frames, if there is one."""

Discard = Literal["DEFAULT", "NONREF", "NONKEY"]
"""Frames that a decoder leaves out."""

DECODE_ALL: Discard = "DEFAULT"

MARGIN = {Clock.PTS: 0, Clock.DTS: 3}
"""Frames before the wanted one from which nothing is skipped any more: a dts tells only about which it is."""


class FrameStream:
    """The frames of one file, opened once. Going forward decodes on; going back, or far ahead, seeks.

    While it rolls from a keyframe to the wanted frame, frames that no other refers to are not decoded; that
    needs a clock to tell the place of the rest (`VideoInfo.clock`) and leaves what is shown bit-exact. Where
    neither their pictures are wanted nor their vectors are of use, such frames are never decoded. Where a pts
    tells each packet's place, too, the others are then passed over on the way: MPEG-4 part 2 predicts a
    frame's vectors from that frame alone.
    """

    def __init__(self, path: Path, info: VideoInfo, *, export: bool, pictures: bool = True) -> None:
        """Open ``path``, which `probe` described as ``info``; ``export`` and ``pictures`` as in `open_video`.

        Raises:
            VideoError: UNREADABLE or NO_VIDEO.
        """
        self._path, self._info = path, info
        self._export, self._pictures = export, pictures
        self._keyframes = frozenset(info.keyframes)
        self._skips = info.codec in SKIPPING[info.clock]
        # MPEG-4's decoder, and its kin, give away the frame that they held without its vectors.
        self._drains = info.clock is Clock.PTS and info.codec == "h264"
        self._skips_all = self._skips and not pictures and info.codec in VOID
        self._passes = self._skips_all and info.clock is Clock.PTS
        self._stamp = STAMPS[info.clock]
        height, width = info.coded
        # Spoilt pictures may have an eighth of the side.
        self._sizes = {(height, width)} if pictures else {(height, width), (-(-height // 8), -(-width // 8))}
        self._next, self._stop, self._drained = 0, -1, False
        self._file: tuple[InputContainer, VideoStream] | None = None
        self._open()

    def close(self) -> None:
        """Close the file."""
        self._frames.close()
        self._references.clear()
        if self._file is not None:
            self._file[0].close()
            self._file = None

    def run(self, index: int, end: int, stop: int) -> Iterator[Shown]:
        """The frames from ``index`` to ``end - 1``, without those that are never decoded; where the last one
        is such a frame, the next that is decoded comes instead.

        As long as ``stop`` stays the same, what is asked for lies before it, or is the anchor that follows:
        nothing behind these need be decoded, and of the frames from ``stop`` on some may be left out.

        Raises:
            VideoError: TRUNCATED if the stream ends before; CORRUPT if it does not decode as it did.
        """
        retries = True
        while index < end:
            try:
                shown = self._show(index, stop)
            except VideoError:
                self._next = sys.maxsize  # whatever is asked for next, seek
                if not retries:
                    raise
                # A demuxer may lose its way in an odd file; a read must not depend on those before.
                retries = False
                self._reopen()
            else:
                retries = False  # what was shown before an error is not to be trusted either
                yield shown
                index = shown.place.index + 1

    def _show(self, index: int, stop: int) -> Shown:
        """The frame ``index``, or the next one that is decoded."""
        if index != self._next or stop != self._stop:
            self._go(index, stop)
        shown = self._run_to(index)
        if shown is None and self._drained:
            # No anchor was decoded before the last frame: in such a file, seek again and decode on.
            self._drains, self._next = False, sys.maxsize
            self._go(index, stop)
            shown = self._run_to(index)
        if shown is None:
            seen = f"ends after frame {self._next - 1}; the probe saw frame {index}"
            raise VideoError(self._path, Reason.TRUNCATED, seen)
        return shown

    def _go(self, index: int, stop: int) -> None:
        """Seek if that is the nearer way to ``index``. Frames before it may be skipped, and all before
        ``stop`` are sent to the decoder before it gives away what it holds.
        """
        slot = bisect_right(self._info.keyframes, index) - 1
        keyframe = self._info.keyframes[slot] if slot >= 0 else 0
        if index < self._next or keyframe > self._next or (self._drained and stop != self._stop):
            self._seek(slot)
        self._aimed_at = sys.maxsize if self._skips_all else index
        if self._skips:
            self._skipped_before = self._before(self._aimed_at - MARGIN[self._info.clock])
            self._passed_before = self._before(index)
        if stop != self._stop:
            self._stop, self._unsent = stop, set(range(self._next, stop))

    def _before(self, index: int) -> float:
        """Frames before ``index`` have stamps below this one."""
        return self._info.stamp(index) - NEAR * self._info.step

    def _run_to(self, index: int) -> Shown | None:
        for frame in self._frames:
            number = self._index(frame)
            self._next = number + 1
            keyframe = number in self._keyframes
            if frame.is_corrupt or (frame.height, frame.width) not in self._sizes:
                raise self._refusal(frame, number)
            if keyframe and not frame.key_frame:
                raise VideoError(self._path, Reason.CORRUPT, f"frame {number} is no keyframe any more")
            shown = self._references.show(frame, number, keyframe=keyframe)
            if number >= index:
                return shown
        return None

    def _refusal(self, frame: VideoFrame, number: int) -> VideoError:
        """The error for a frame that is not what the probe saw; all others are predicted from it."""
        if frame.is_corrupt:
            return VideoError(self._path, Reason.CORRUPT, f"frame {number} is damaged")
        (height, width), now = self._info.coded, f"{frame.width}x{frame.height}"
        seen = f"frame {number} has {now} pixels, the probe saw {width}x{height}"
        return VideoError(self._path, Reason.RESOLUTION, seen)

    def _open(self) -> None:
        info = self._info
        if info.stat is not None and (found := stat_of(self._path)) != info.stat:
            sizes = info.stat[0], found[0]
            how = "it was written to" if sizes[0] == sizes[1] else f"{sizes[0]} bytes then, {sizes[1]} now"
            raise VideoError(
                self._path, Reason.CHANGED, f"has changed since it was scanned ({how}): scan again"
            )
        self._file = open_video(self._path, info.opening, export=self._export, pictures=self._pictures)
        if info.codec != (codec := self._file[1].codec_context.codec.canonical_name):
            self._file[0].close()
            raise VideoError(self._path, Reason.CHANGED, f"is {codec} now, the probe saw {info.codec}")
        self._references = References(self._file[1].codec_context)
        self._restart(first=0)

    def _reopen(self) -> None:
        container, _ = self._opened()
        self._frames.close()
        self._open()
        container.close()

    def _opened(self) -> tuple[InputContainer, VideoStream]:
        if self._file is None:
            raise ValueError(f"{self._path}: the reader is closed")
        return self._file

    def _restart(self, first: int) -> None:
        """Begin a new run of frames, the next of which is ``first``."""
        self._next, self._stop, self._drained = first, -1, False
        container, stream = self._opened()
        if self._info.delay:
            set_delay(stream.codec_context, self._info.delay)
        self._references.clear()
        self._frames = self._decode(container, stream)

    def _seek(self, slot: int) -> None:
        """Go to the info's keyframe number ``slot``; -1, where there are none, is the start of the file."""
        self._next = sys.maxsize  # should it fail
        self._frames.close()
        if slot < 0:
            self._reopen()
            return
        container, stream = self._opened()
        with decoding(self._path):
            container.seek(self._info.seeks[slot], stream=stream)
        self._restart(first=self._info.keyframes[slot])

    def _decode(self, container: InputContainer, stream: VideoStream) -> Generator[VideoFrame, None, None]:
        """Frames in display order from the file's position on, without those that miss their references."""
        stream.codec_context.skip_frame = self._discard = DECODE_ALL
        keyframe_pts, started = None, self._next == 0
        with decoding(self._path), demuxing(container, stream) as packets:
            for number, packet in enumerate(chain(ahead(packets), [None])):
                if number == 0 and packet is not None:
                    keyframe_pts = packet.pts
                for frame in self._send(stream.codec_context, packet):
                    # After a seek into an open group, the first frames lie before the keyframe.
                    started = started or frame.pts == keyframe_pts
                    if started:
                        yield frame
                if self._drained:
                    break

    def _send(self, context: VideoCodecContext, packet: VideoPacket | None) -> list[VideoFrame]:
        """Frames that come out as a packet goes in, or all that the decoder still holds."""
        if packet is None:
            return context.decode(None)
        stamp = self._stamp(packet)
        if self._drains and self._is_beyond(stamp):
            self._drained = True
            return context.decode(None)
        if self._references.reads:
            self._references.read(packet)
        if self._skips and (discard := self._discarded(packet, stamp)) != self._discard:
            context.skip_frame = self._discard = discard
        return packet.decode()

    def _discarded(self, packet: VideoPacket, stamp: int | None) -> Discard:
        """Return what the decoder leaves out as it gets the packet."""
        if stamp is None or stamp >= self._skipped_before:
            return DECODE_ALL
        if not self._passes or stamp >= self._passed_before:
            return "NONREF"
        index = self._info.index(stamp)
        if abs(index - round(index)) < NEAR and not is_b_vop(bytes(packet)):  # and is the packet of a frame
            self._references.pass_over(round(index))
        return "NONKEY"

    def _is_beyond(self, stamp: int | None) -> bool:
        """Return whether a packet of this stamp comes, in the order of decoding, after all that is wanted.

        The second field of the last frame, a packet of its own in some files, does not.
        """
        if stamp is None:
            return False
        place = self._info.index(stamp)
        if not self._unsent:
            return place > self._stop - NEAR
        if abs(place - round(place)) < NEAR:
            self._unsent.discard(round(place))
        return False

    def _index(self, frame: VideoFrame) -> int:
        """Display index of the frame just decoded, by the clock, or by counting."""
        stamp = self._stamp(frame)
        if stamp is None:
            # What a decoder held back until the end carries none; frames before may have been left out.
            return max(self._next, self._info.frames - 1) if self._skips_all else self._next
        index = round(self._info.index(stamp))
        if index != self._next:
            # Frames may have been skipped before the one that is aimed at, and left out from the stop on.
            left_out = self._drained and self._next >= self._stop
            if not (self._next < index and (left_out or index <= self._aimed_at)):
                seen = f"frame {self._next} carries the time stamp of frame {index}"
                raise VideoError(self._path, Reason.CORRUPT, seen)
        return index
