"""Which frames others may refer to, and in what order they were decoded: what bounds a vector's reference.

The decoder does not export a vector's reference, only its direction. In MPEG-1, MPEG-2, MPEG-4 part 2, H.263
and their kin that is enough: the references of a frame are the anchors (I and P) next to it. H.264 also
refers to B-frames (its pyramids) and farther back; each packet's header tells whether others may refer to it.
"""

from collections import deque
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.format import VideoFormat
from av.video.frame import PictureType, VideoFrame
from jaxtyping import UInt8

from mvcgc.video import headers
from mvcgc.video.container import VideoPacket
from mvcgc.video.picture import plane_rows

B_TYPES = frozenset({PictureType.B, PictureType.BI})

VOID = frozenset({"mpeg4"})
"""Codecs whose B-frames export vectors that are all zero: their motion is that of the next anchor."""

KEPT = 4
"""Reference pictures that are remembered. H.264 allows 16; encoders hardly use them."""

PENDING = 64
"""Packets that are remembered until their frame is shown; more than any decoder holds back."""


@dataclass(slots=True)  # not frozen, since one is made of every frame, and that takes several times as long
class Place:
    """A frame's place among the references.

    Attributes:
        index: display index.
        order: place in decode order, a later run's after an earlier one's; of use only relative to another's.
        anchor: whether it is no B-frame: then no frame shown before it refers past it.
        reference: whether other frames may refer to it.
    """

    index: int
    order: int
    anchor: bool
    reference: bool


class Picture(NamedTuple):
    """A decoded frame in its place.

    Attributes:
        place: where it stands among the references.
        frame: as decoded (not rotated).
    """

    place: Place
    frame: VideoFrame

    @property
    def rows(self) -> UInt8[np.ndarray, "H stride"]:
        """The brightness of all rows with their padding, as a view."""
        return plane_rows(self.frame.planes[0])

    @property
    def eight_bits(self) -> bool:
        """Return whether the brightness is in bytes."""
        return _bits(self.frame.format.name) <= 8


@cache
def _bits(pixel_format: str) -> int:
    """Of the brightness."""
    return VideoFormat(pixel_format).components[0].bits


@dataclass(slots=True)  # as `Place`
class Shown:
    """A decoded frame in its place, with its past references.

    Attributes:
        place: where it stands among the references.
        frame: as decoded (not rotated).
        back: how many frames before it the nearest reference lies that it may have; 0 if there is none.
        older: the pictures that it may refer to, nearest first, where there may be several (H.264).
    """

    place: Place
    frame: VideoFrame
    back: int
    older: tuple[Picture, ...]

    @property
    def picture(self) -> Picture:
        """The frame without its references."""
        return Picture(self.place, self.frame)


class References:
    """Follows runs of packets and frames, each from a keyframe on, and tells each frame's place and its past
    references, none of which lies before the last keyframe, whether the run began there or earlier.
    """

    def __init__(self, context: VideoCodecContext) -> None:
        self.reads = context.codec.canonical_name == "h264"
        """Whether `read` must see the packets."""
        extradata = context.extradata or b""
        self._length = headers.length_size(extradata)
        kept = min(KEPT, headers.most_references(extradata)) if self.reads else 0
        self._packets: dict[int | None, tuple[int, bool]] = {}
        self._shown: deque[Picture] = deque(maxlen=kept)
        self._anchor = self._passed = -1
        self._order = 0

    def read(self, packet: VideoPacket) -> None:
        """Note a packet, before it is decoded."""
        self._order += 1
        if packet.size and packet.pts is not None:
            self._packets[packet.pts] = (self._order, headers.is_reference(memoryview(packet), self._length))
            if len(self._packets) > PENDING:
                del self._packets[next(iter(self._packets))]

    def pass_over(self, index: int) -> None:
        """Note an anchor that is not decoded."""
        self._passed = max(self._passed, index)

    def show(self, frame: VideoFrame, index: int, *, keyframe: bool) -> Shown:
        """The frame shown as ``index``."""
        anchor = frame.pict_type not in B_TYPES
        if self.reads:
            return self._show_one_of_many(frame, index, anchor=anchor, keyframe=keyframe)
        # No picture is kept: with another one in its round the decoder would have to fill colder memory.
        before = max(self._anchor, self._passed)
        if anchor:
            self._anchor = index
        return Shown(
            Place(index, 0, anchor, anchor), frame, 0 if keyframe or before < 0 else index - before, ()
        )

    def _show_one_of_many(self, frame: VideoFrame, index: int, *, anchor: bool, keyframe: bool) -> Shown:
        if keyframe:
            self._shown.clear()
        order, reference = self._packets.pop(frame.pts, (0, anchor))
        picture = Picture(Place(index, order, anchor, reference), frame)
        older = tuple([p for p in self._shown if may_refer(picture.place, p.place)])
        if reference:
            self._shown.appendleft(picture)
        return Shown(picture.place, frame, index - older[0].place.index if older else 0, older)

    def clear(self) -> None:
        """Let go of the pictures: a new run begins, which counts on in `Place.order`."""
        self._shown.clear()
        self._packets.clear()
        self._anchor = self._passed = -1


def may_refer(frame: Place, other: Place) -> bool:
    """Return whether ``other`` can be a reference of ``frame``: it is one at all, and decoded before."""
    if frame.order and other.order:
        return other.reference and other.order < frame.order
    return other.anchor and other.reference
