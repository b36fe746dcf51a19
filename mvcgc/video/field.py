"""Motion on a grid of cells, kept as what it is in the file: some vectors, each of which many cells share."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Int64

CELL = 8
"""Side of a motion cell in pixels. No codec here moves smaller blocks, so this grid loses nothing."""

INSIDE: Literal["clip"] = "clip"
"""How `ndarray.take` looks up what is known to be inside: "raise" checks, and takes several times as long."""


@dataclass(frozen=True, eq=False)
class MotionField:
    """The motion of T frames.

    Attributes:
        vectors: float32 [n, 2]: (dx, dy) of the content from past to current, dx to the right, dy down, in
            pixels of the full-size picture per frame of distance. The first is (0, 0).
        owner: int64 [T, h, w]: which of them is each cell's; 0 where the stream does not tell.
    """

    vectors: Float32[np.ndarray, "n 2"]
    owner: Int64[np.ndarray, "T h w"]

    @classmethod
    def of(cls, mv: Float32[np.ndarray, "T h w 2"], valid: Bool[np.ndarray, "T h w"]) -> "MotionField":
        """Of a vector for each cell that is valid."""
        owner = np.zeros(valid.shape, np.int64)
        owner[valid] = np.arange(1, np.count_nonzero(valid) + 1)
        return cls(np.concatenate([np.zeros((1, 2), np.float32), mv[valid]]), owner)

    @property
    def mv(self) -> Float32[np.ndarray, "T h w 2"]:
        """The vector of each cell; 0 where it is not valid. Made anew by every call."""
        words = self.vectors.view(np.int64)[:, 0]  # a vector, two floats, as one word
        return words.take(self.owner, mode=INSIDE).view(np.float32).reshape(*self.owner.shape, 2)

    @property
    def valid(self) -> Bool[np.ndarray, "T h w"]:
        """Whether the stream tells the motion of this cell."""
        return self.owner > 0


def pool(field: MotionField, cell: int) -> MotionField:
    """Coarsen a field from cells of 8 pixels to cells of ``cell`` pixels by the mean of the valid ones.

    A coarse cell is valid if any cell in it is; the last row and column may cover less than a whole cell.

    Raises:
        ValueError: ``cell`` is not a positive multiple of 8.
    """
    if cell < CELL or cell % CELL:
        raise ValueError(f"cell={cell}: the side of a motion cell is a multiple of {CELL} pixels")
    n = cell // CELL
    if n == 1:
        return field
    t, h, w = field.owner.shape
    pad = ((0, 0), (0, -h % n), (0, -w % n))
    blocks = (t, -(-h // n), n, -(-w // n), n)
    count = np.pad(field.valid, pad).reshape(blocks).sum((2, 4))
    total = np.pad(field.mv, (*pad, (0, 0))).reshape(*blocks, 2).sum((2, 4))
    return MotionField.of((total / np.maximum(count, 1)[..., None]).astype(np.float32), count > 0)


def fill(field: MotionField) -> MotionField:
    """Give each invalid cell the motion of the nearest frame in which it is valid (the earlier of two), if
    there is one.
    """
    frames, cells = len(field.owner), field.owner[0].size
    # One cell's frames after the other's, with -1 before each cell's and after the last one's.
    series = np.full((cells + 1, frames + 1), -1)
    series[:cells, 1:] = field.owner.reshape(frames, cells).T
    owner = series.reshape(-1)
    gaps = np.flatnonzero(owner == 0)
    if not len(gaps):
        return field
    # Gaps that follow one another are a run, with an owner, or -1, on either side.
    previous = owner.take(gaps - 1, mode=INSIDE)
    run = np.flatnonzero(previous)
    length = np.append(run[1:], len(gaps)) - run
    sides = np.empty((len(run), 2), np.int64)
    sides[:, 0] = before = previous.take(run, mode=INSIDE)
    sides[:, 1] = after = owner.take(gaps.take(run, mode=INSIDE) + length, mode=INSIDE)
    # How many of a run take from each side: half, the odd one from before; all where the other has no owner.
    shares = np.empty_like(sides)
    shares[:, 0] = np.where(after > 0, (length + 1) // 2, length) * (before > 0)
    shares[:, 1] = length - shares[:, 0]
    owner[gaps] = np.maximum(sides, 0).reshape(-1).repeat(shares.reshape(-1))
    return MotionField(field.vectors, series[:cells, 1:].T.reshape(field.owner.shape))
