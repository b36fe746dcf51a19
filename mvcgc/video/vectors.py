"""From a decoder's list of block vectors to a field on the grid of 8x8-pixel cells.

FFmpeg's ``AVMotionVector`` is 40 bytes. Its reference-minus-current vector is ``motion / motion_scale`` (half
or quarter pixels); ``src - dst`` is the same cut to whole pixels. ``dst`` is the centre of a block of ``w`` x
``h`` pixels, each 8 or 16: sub-partitions arrive merged, so a grid of 8 pixels loses nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from av.sidedata.sidedata import SideData, SideDataContainer, Type
from av.video.frame import VideoFrame
from jaxtyping import Bool, Float32, Int32, Int64

from mvcgc.video.clip import CELL

WORDS = 10
"""Length of an ``AVMotionVector`` in 32-bit words."""

DISTANCE = 4
"""The word (of ``flags``, unused by FFmpeg) that holds how many frames back the past reference lies."""

Raw = Int32[np.ndarray, "_ 10"]
"""The vectors of one frame: AVMotionVector as rows of 32-bit words."""

NO_VECTORS: Raw = np.empty((0, WORDS), np.int32)


def exports(frame: VideoFrame) -> bool:
    """Whether the decoder exported vectors with this frame."""
    return _side_data(frame) is not None


def fetch(frame: VideoFrame) -> Raw:
    """The frame's exported vectors, copied; empty where it has none (I-frames)."""
    side_data = _side_data(frame)
    if side_data is None:
        return NO_VECTORS
    words: Int32[np.ndarray, " n"] = np.frombuffer(memoryview(side_data), np.int32)
    return words.reshape(-1, WORDS).copy()


def _side_data(frame: VideoFrame) -> SideData | None:
    # frame.side_data would keep this container in the frame: a reference cycle with the whole picture in it,
    # which only the garbage collector ends, and in a large process hardly ever.
    container = SideDataContainer(frame)  # type: ignore[call-arg]  # its stub omits the constructor
    return container.get(Type.MOTION_VECTORS)


@dataclass(frozen=True)
class Fields:
    """The vectors of N frames on the grid, in pixels over their whole distance; 0 where there is none.

    Attributes:
        past: float32 [N, h, w, 2]: (dx, dy) of the content from its past reference to the frame.
        distance: int32 [N, h, w]: frames from that reference to the frame; 0 where there is none.
        future: float32 [N, h, w, 2]: (dx, dy) of the content from the frame to its future reference.
        future_valid: bool [N, h, w]: whether the cell's block has a future reference.
    """

    past: Float32[np.ndarray, "N h w 2"]
    distance: Int32[np.ndarray, "N h w"]
    future: Float32[np.ndarray, "N h w 2"]
    future_valid: Bool[np.ndarray, "N h w"]


@dataclass(frozen=True)
class Grid:
    """The 8-pixel grid of a decoded (not yet rotated) picture of ``height`` x ``width`` pixels."""

    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of cells."""
        return -(-self.height // CELL), -(-self.width // CELL)

    def raster(self, frames: Sequence[Raw]) -> Fields:
        """Spread the blocks of all frames over their cells in one scatter.

        Where blocks of the same direction overlap (fields of interlaced pictures), the last one counts.
        """
        # Blocks are 16 pixels and may hang over the picture: fill a grid that holds them, then crop it.
        shape = len(frames), 2 * -(-self.height // 16), 2 * -(-self.width // 16)
        raw = np.concatenate([NO_VECTORS, *frames])
        frame = np.repeat(np.arange(len(frames)), [len(r) for r in frames])
        is_past = raw[:, 0] < 0
        # The vector is reference minus current: from a past reference the content moved the other way.
        sign = np.where(is_past, np.float32(-1), np.float32(1))
        scale = sign / np.maximum(raw[:, 8] & 0xFFFF, 1).astype(np.float32)
        cells = _Cells(shape, raw, frame, raw[:, 6:8].astype(np.float32) * scale[:, None])
        past, distance = cells.fill(is_past & (raw[:, DISTANCE] > 0))
        future, future_flag = cells.fill(raw[:, 0] > 0)
        h, w = self.shape
        return Fields(past[:, :h, :w], distance[:, :h, :w], future[:, :h, :w], future_flag[:, :h, :w] > 0)


class _Cells:
    """Where each block lies on the padded grid, to be filled one direction at a time."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        raw: Raw,
        frame: Int64[np.ndarray, " n"],
        values: Float32[np.ndarray, "n 2"],
    ) -> None:
        _, rows, columns = shape
        wide, high = raw[:, 1] & 0xFF, raw[:, 1] >> 8 & 0xFF
        column = (raw[:, 2] >> 16) - (wide >> 1) >> 3
        row = (raw[:, 3] << 16 >> 16) - (high >> 1) >> 3
        # Centres beyond the picture occur in interlaced files; what is not on the grid is left out.
        self._inside = (
            (row >= 0) & (column >= 0) & (row + (high >> 4) < rows) & (column + (wide >> 4) < columns)
        )
        self._first = (frame * rows + row) * columns + column
        self._wide, self._high = wide == 16, high == 16
        self._shape, self._columns, self._values = shape, columns, values
        self._marks = np.maximum(raw[:, DISTANCE], 1)

    def fill(
        self, chosen: Bool[np.ndarray, " n"]
    ) -> tuple[Float32[np.ndarray, "N h w 2"], Int32[np.ndarray, "N h w"]]:
        """The field of the chosen blocks and their marks, 0 where there is none."""
        chosen = chosen & self._inside
        field = np.zeros((math.prod(self._shape), 2), np.float32)
        marks = np.zeros(len(field), np.int32)
        for offset, covered in (
            (0, chosen),
            (1, chosen & self._wide),
            (self._columns, chosen & self._high),
            (self._columns + 1, chosen & self._wide & self._high),
        ):
            at = np.flatnonzero(covered)
            field[self._first[at] + offset] = self._values[at]
            marks[self._first[at] + offset] = self._marks[at]
        return field.reshape(*self._shape, 2), marks.reshape(self._shape)


def pool(
    mv: Float32[np.ndarray, "T h w 2"], valid: Bool[np.ndarray, "T h w"], cell: int
) -> tuple[Float32[np.ndarray, "T H W 2"], Bool[np.ndarray, "T H W"]]:
    """Coarsen a field from cells of 8 pixels to cells of ``cell`` pixels by the mean of the valid ones.

    A coarse cell is valid if any cell in it is; the last row and column may cover less than a whole cell.

    Raises:
        ValueError: ``cell`` is not a positive multiple of 8.
    """
    if cell < CELL or cell % CELL:
        raise ValueError(f"cell={cell}: the side of a motion cell is a multiple of {CELL} pixels")
    n = cell // CELL
    if n == 1:
        return mv, valid
    t, h, w = valid.shape
    pad = ((0, 0), (0, -h % n), (0, -w % n))
    blocks = (t, -(-h // n), n, -(-w // n), n)
    count = np.pad(valid, pad).reshape(blocks).sum((2, 4))
    total = np.pad(mv * valid[..., None], (*pad, (0, 0))).reshape(*blocks, 2).sum((2, 4))
    return (total / np.maximum(count, 1)[..., None]).astype(np.float32), count > 0
