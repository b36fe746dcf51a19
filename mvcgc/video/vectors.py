"""From a decoder's list of block vectors to a field on the grid of 8x8-pixel cells.

FFmpeg's ``AVMotionVector`` is 40 bytes. Its reference-minus-current vector is ``motion / motion_scale`` (half
or quarter pixels); ``src - dst`` is the same cut to whole pixels. ``dst`` is the centre of a block of ``w`` x
``h`` pixels, each 8 or 16: sub-partitions arrive merged, so a grid of 8 pixels loses nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from av.sidedata.motionvectors import MotionVectors
from av.sidedata.sidedata import SideDataContainer
from av.video.frame import VideoFrame
from jaxtyping import Float32, Int32, Int64

from mvcgc.video.field import CELL, INSIDE

WORDS = 10
"""Length of an ``AVMotionVector`` in 32-bit words."""

DISTANCE = 4
"""The word (of ``flags``, unused by FFmpeg) that holds how many frames back the past reference lies."""

Raw = Int32[np.ndarray, "10 _"]
"""Vectors: a column for each block, its AVMotionVector's 32-bit words as rows."""


@dataclass(frozen=True)
class Vectors:
    """The vectors of frames, one after the other.

    Attributes:
        raw: of all of them.
        counts: how many are each frame's.
    """

    raw: Raw
    counts: Sequence[int]

    @classmethod
    def of(cls, frames: Sequence[Raw]) -> "Vectors":
        """Of each frame's own."""
        return cls(np.concatenate([NO_VECTORS, *frames], axis=1), [raw.shape[1] for raw in frames])


NO_VECTORS: Raw = np.empty((WORDS, 0), np.int32)


def exports(frame: VideoFrame) -> bool:
    """Whether the decoder exported vectors with this frame."""
    return _side_data(frame) is not None


def exported(frame: VideoFrame) -> bytes:
    """The frame's exported vectors, copied; empty where it has none (I-frames)."""
    side_data = _side_data(frame)
    return b"" if side_data is None else bytes(side_data)


def words(frames: Sequence[bytes]) -> Vectors:
    """The vectors that were `exported` with frames; copied."""
    rows = np.frombuffer(b"".join(frames), np.int32).reshape(-1, WORDS)
    # Whole words in a row: all that follows goes through one word of many blocks, which is then contiguous.
    return Vectors(rows.T.copy(), [len(each) // (4 * WORDS) for each in frames])


def fetch(frame: VideoFrame) -> Raw:
    """The vectors exported with one frame, copied."""
    return words([exported(frame)]).raw


def _side_data(frame: VideoFrame) -> MotionVectors | None:
    # frame.side_data would keep this container in the frame: a reference cycle with the whole picture in it,
    # which only the garbage collector ends, and in a large process hardly ever.
    container = SideDataContainer(frame)  # type: ignore[call-arg]  # its stub omits the constructor
    for data in container:
        if isinstance(data, MotionVectors):
            return data
    return None


@dataclass(frozen=True)
class Blocks:
    """The blocks of N frames on the grid, the last of which stands for one of which nothing is known. Block 0
    is that of all cells that no block covers.

    Attributes:
        motion: float32 [n, 2]: (dx, dy) of the content over the whole distance, in pixels: from the block's
            past reference to the frame, or from the frame to the block's future reference.
        distance: int32 [n]: frames from the past reference to the frame; 0 for block 0.
        past: int64 [N, h, w]: which block with a known past reference covers each cell; `motion` writes into
            it what B-frames borrow.
        ahead: int64 [N]: which of the F fields of ``future`` is the frame's; -1 where it has none.
        future: int64 [F, h, w]: which block with a future reference covers each cell.
    """

    motion: Float32[np.ndarray, "n 2"]
    distance: Int32[np.ndarray, " n"]
    past: Int64[np.ndarray, "N h w"]
    ahead: Int64[np.ndarray, " N"]
    future: Int64[np.ndarray, "F h w"]


@dataclass(frozen=True)
class Grid:
    """The 8-pixel grid of a decoded (not yet rotated) picture of ``height`` x ``width`` pixels."""

    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of cells."""
        return -(-self.height // CELL), -(-self.width // CELL)

    def raster(self, vectors: Vectors, frames: Sequence[int]) -> Blocks:
        """Spread the blocks of frames over their cells in one scatter: of the blocks' numbers.

        ``frames`` are numbers of consecutive ones of those that ``vectors`` has, in any order, which is that
        of the result. Where blocks of the same direction overlap (fields of interlaced pictures), the last
        one counts.
        """
        first, stop = min(frames, default=0), max(frames, default=-1) + 1
        assert stop - first == len(frames), frames
        before = sum(vectors.counts[:first])
        counts = vectors.counts[first:stop]
        raw = vectors.raw[:, before : before + sum(counts)]
        slots = np.empty(stop - first, np.int32)
        slots[np.array(frames, np.intp) - first] = np.arange(len(frames))
        frame, count = np.repeat(slots, counts), len(frames) + 1
        source = raw[0]
        # Only B-frames have a future: their fields follow those of the past.
        future = np.flatnonzero(source > 0)
        layer, layers, ahead = frame, count, np.full(count, -1)
        if len(future):
            theirs = frame.take(future)
            having = np.flatnonzero(np.bincount(theirs))
            ahead[having] = np.arange(len(having))
            layer, layers = frame.copy(), count + len(having)
            layer[future] = (count + ahead).take(theirs)
        owner = self._owners(raw, layer, layers)
        # The vector is reference minus current: from a past reference the content moved the other way.
        sign = np.full(len(source), -1, np.float32)
        sign[future] = 1
        scale = sign / np.maximum(raw[8] & 0xFFFF, 1).astype(np.float32)
        motion = np.empty((1 + len(source), 2), np.float32)
        np.multiply(raw[6], scale, out=motion[1:, 0], dtype=np.float32, casting="unsafe")
        np.multiply(raw[7], scale, out=motion[1:, 1], dtype=np.float32, casting="unsafe")
        motion[0] = 0
        distance = np.concatenate([np.zeros(1, np.int32), raw[DISTANCE]])
        return Blocks(motion, distance, owner[:count], ahead, owner[count:])

    def _owners(
        self, raw: Raw, layer: Int32[np.ndarray, " n"], layers: int
    ) -> Int64[np.ndarray, "layers h w"]:
        """The number of the block (of ``raw``, counted from 1) that covers each cell of its ``layer``; 0 if
        there is none.
        """
        # Blocks are 16 pixels and may hang over the picture: fill a grid that holds them, then crop it.
        rows, columns = 2 * -(-self.height // 16), 2 * -(-self.width // 16)
        wide, high = raw[1] >> 4 & 1, raw[1] >> 12 & 1  # 16 pixels, not 8
        column = (raw[2] >> 16) - (4 << wide) >> 3
        row = (raw[3] << 16 >> 16) - (4 << high) >> 3
        # Centres beyond the picture occur in interlaced files; what is not on the grid is left out.
        inside = ((row | column) >= 0) & (row + high < rows) & (column + wide < columns)
        # Its reference is known: one in the future is.
        inside &= (raw[0] > 0) | (raw[DISTANCE] > 0)
        cell = layer * np.int32(rows * columns) + row * np.int32(columns) + column
        wide, high, block = wide > 0, high > 0, np.flatnonzero(inside)
        if len(block) < len(inside):
            cell, wide, high = (of.take(block, mode=INSIDE) for of in (cell, wide, high))
        # As indices are wanted: others are cast piece by piece, which takes three times as long.
        first, number = cell.astype(np.intp), block + 1
        owner = np.zeros(layers * rows * columns, np.int64)
        owner[first] = number
        for offset, covered in ((1, wide), (columns, high), (columns + 1, wide & high)):
            beside = owner[offset:]
            if covered.all():  # as in most files of MPEG-4
                beside[first] = number
            else:
                at = np.flatnonzero(covered)
                beside[first.take(at, mode=INSIDE)] = number.take(at, mode=INSIDE)
        h, w = self.shape
        return np.ascontiguousarray(owner.reshape(layers, rows, columns)[:, :h, :w])
