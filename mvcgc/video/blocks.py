"""Block-matched motion for codecs whose decoders export none (HEVC, VP9, AV1): libavfilter's ``mestimate``.

EPZS matching of 16x16 blocks between consecutive decoded pictures, to whole pixels, up to `RANGE` away: about
1.3 ms for a picture of 320x240. EPZS starts its search at the vectors of the pictures before; from a cold
start it takes two pictures to find its way. Each clip therefore has its own matcher, begun `WARM_UP` frames
early: its vectors depend on the request alone, not on what else is read along with it.
"""

import av.error
from av.filter import Graph
from av.video.frame import VideoFrame

from mvcgc.video.picture import filter_graph
from mvcgc.video.vectors import DISTANCE, NO_VECTORS, Raw, fetch

RANGE = 32
"""Search range in pixels."""

WARM_UP = 3
"""Frames before a clip that the matcher sees first."""


class BlockMatcher:
    """Takes the pictures one after the other; tells the motion that led to each from the one before."""

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._pushed = 0

    def first(self, start: int) -> int:
        """The frame to begin with for a clip that begins at ``start``."""
        return max(start - WARM_UP, 0)

    def push(self, frame: VideoFrame, index: int, last: bool) -> list[tuple[int, Raw]]:
        """Push the next picture, shown as ``index``, and get vectors, (index, raw), one picture late.

        The filter looks one picture ahead (it also matches forwards, which is not used), so the last picture
        is pushed twice. The first picture has no past: its vectors are empty.
        """
        answers = [(index - 1, self._push(frame))]
        if last:
            answers.append((index, self._push(frame)))
        return answers

    def _push(self, frame: VideoFrame) -> Raw:
        """Push a picture and get the vectors of the picture pushed before it."""
        if self._graph is None:
            options = f"method=epzs:mb_size=16:search_param={RANGE}"
            self._graph = filter_graph(frame, "mestimate", options)
        frame.pts = self._pushed
        self._graph.vpush(frame)
        self._pushed += 1
        try:
            raw = fetch(self._graph.vpull())
        except av.error.BlockingIOError:
            return NO_VECTORS
        if self._pushed == 2:
            return NO_VECTORS
        return _to_past(raw)


def _to_past(raw: Raw) -> Raw:
    """Only the vectors from the past, with the motion words filled in, which the filter leaves undefined."""
    raw = raw[:, raw[0] < 0]
    raw[6] = (raw[1] >> 16) - (raw[2] >> 16)
    raw[7] = (raw[2] << 16 >> 16) - (raw[3] << 16 >> 16)
    raw[8] = 1
    raw[DISTANCE] = 1
    return raw
