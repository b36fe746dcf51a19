"""How far back each block's past reference lies: assumed nearest; for H.264 checked against the pictures.

The decoder does not export which of several references an H.264 block was predicted from. But it has decoded
the pictures: a block and its true reference differ by the coded residual only. So where a moving block does
not match the nearest reference, older ones are tried, and taken if they match much better. Blocks that move
less than a pixel are left alone: there the distance hardly matters.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32, Int64, UInt8, UInt16

from mvcgc.video.references import Picture
from mvcgc.video.vectors import DISTANCE, INSIDE, Raw

MISMATCH = 4.0
"""Mean absolute difference in grey levels from which the nearest reference is doubted."""

BETTER = 0.7
"""Part of that difference that an older reference must stay below, by another grey level, to be taken."""

STEPS = np.array([[1], [3], [5], [7]], np.int32)
"""Lines across a block in either direction, in eighths of its side from its top left corner."""

CROSSINGS = ((0, 0), (0, 2), (1, 1), (1, 3), (2, 0), (2, 2), (3, 1), (3, 3))
"""Where a block is compared: half of the lines' crossings, like a chessboard's black squares."""

TOGETHER = 4 << 20
"""Bytes of brightness of the frames that are compared in one go; the pictures are kept until then."""


@dataclass(frozen=True)
class _Waiting:
    """A frame whose distances are assumed and still to be checked."""

    raw: Raw
    picture: Picture
    older: tuple[Picture, ...]


@dataclass(frozen=True)
class _Samples:
    """Where each of n blocks is compared: the indices of four rows' first pixels, and four columns."""

    rows: Int32[np.ndarray, "4 n"]
    columns: Int32[np.ndarray, "4 n"]

    def of(self, brightness: UInt8[np.ndarray, " m"]) -> UInt8[np.ndarray, "8 n"]:
        """The brightness there."""
        found = np.empty((len(CROSSINGS), self.rows.shape[1]), np.uint8)
        # Sample by sample: the indices of one fit the cache.
        for (row, column), out in zip(CROSSINGS, found, strict=True):
            brightness.take((self.rows[row] + self.columns[column]).astype(np.intp), out=out, mode=INSIDE)
        return found

    def moved(self, offset: Int32[np.ndarray, " n"]) -> "_Samples":
        """The same in other pictures, which lie so much farther on."""
        return _Samples(self.rows + offset, self.columns)

    def some(self, blocks: Int64[np.ndarray, " k"]) -> "_Samples":
        """Those of some blocks."""
        return _Samples(
            self.rows.take(blocks, axis=1, mode=INSIDE), self.columns.take(blocks, axis=1, mode=INSIDE)
        )


class Distances:
    """Writes the distance of every past reference into the vectors of frame after frame."""

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []

    def measure(self, raw: Raw, picture: Picture, older: tuple[Picture, ...]) -> None:
        """Write the distances into ``raw``, in place, now or at the latest in `settle`; 0 where no reference
        is known.

        ``older`` are the references that ``picture`` can have before it, nearest first; more than one only if
        the codec knows more than one.
        """
        raw[DISTANCE] = picture.place.index - older[0].place.index if older else 0
        if len(older) < 2 or not raw.shape[1] or not picture.eight_bits:
            return
        if self._waiting:
            last, rows = self._waiting[-1].picture.rows, picture.rows
            if last.shape != rows.shape or len(self._waiting) * rows.size > TOGETHER:
                self.settle()
        self._waiting.append(_Waiting(raw, picture, older))

    def settle(self) -> None:
        """Check the distances of all frames so far, and let go of the pictures."""
        frames, self._waiting = self._waiting, []
        if not frames:
            return
        raw = np.concatenate([f.raw for f in frames], axis=1)
        counts = [f.raw.shape[1] for f in frames]
        moving = (raw[0] < 0) & (np.maximum(np.abs(raw[6]), np.abs(raw[7])) >= _scale(raw))
        blocks = np.flatnonzero(moving)
        frame = np.repeat(np.arange(len(frames)), counts).take(blocks)
        index, first, brightness = _side_by_side(frames)
        moved = raw.take(blocks, axis=1, mode=INSIDE)
        here, there = _samples(moved, frames[0].picture, first[:, 0].take(frame))
        offset, back = first - first[:, :1], index[:, :1] - index
        own = here.of(brightness)
        nearest = _difference(own, there.moved(offset[:, 1].take(frame)).of(brightness))
        doubted = np.flatnonzero(nearest >= MISMATCH)
        blocks, frame, there = blocks.take(doubted), frame.take(doubted), there.some(doubted)
        own, least = own.take(doubted, axis=1, mode=INSIDE), nearest.take(doubted) * BETTER - 1
        distance = raw[DISTANCE]
        for rank in range(2, index.shape[1]):
            difference = _difference(own, there.moved(offset[:, rank].take(frame)).of(brightness))
            better = difference < least
            distance[blocks[better]] = back[:, rank].take(frame[better])
            least = np.minimum(least, difference)
        for waiting, part in zip(frames, np.split(distance, np.cumsum(counts)[:-1]), strict=True):
            waiting.raw[DISTANCE] = part


def _side_by_side(
    frames: list[_Waiting],
) -> tuple[Int32[np.ndarray, "f r"], Int32[np.ndarray, "f r"], UInt8[np.ndarray, " m"]]:
    """The pictures of frames and of all that they may refer to: their display indices, a row for each frame,
    itself first, then the nearest reference and so on; where each picture begins; and their brightness.

    A frame with fewer references has its nearest again, than which that cannot be better.
    """
    most = max(len(f.older) for f in frames)
    rows = [[f.picture, *f.older, *[f.older[0]] * (most - len(f.older))] for f in frames]
    pictures = {p.place.index: p for row in rows for p in row}
    number = {index: number for number, index in enumerate(pictures)}
    brightness = np.concatenate([p.rows for p in pictures.values()]).reshape(-1)
    index = np.array([[p.place.index for p in row] for row in rows], np.int32)
    first = np.array([[number[p.place.index] for p in row] for row in rows], np.int32)
    return index, first * np.int32(frames[0].picture.rows.size), brightness


def _scale(raw: Raw) -> Int32[np.ndarray, " n"]:
    """Of each vector: its units in a pixel."""
    scale: Int32[np.ndarray, " n"] = np.maximum(raw[8] & 0xFFFF, 1)
    return scale


def _samples(raw: Raw, like: Picture, first: Int32[np.ndarray, " n"]) -> tuple[_Samples, _Samples]:
    """Where each block is compared: its own places, and those it came from, in pictures like ``like``.

    The picture of each block begins at ``first``; so does the other here.
    """
    unit = np.float32(1) / _scale(raw).astype(np.float32)
    dx, dy = (np.rint(raw[i] * unit, dtype=np.float32).astype(np.int32) for i in (6, 7))
    wide, high = raw[1] & 0xFF, raw[1] >> 8 & 0xFF
    x = (raw[2] >> 16) - (wide >> 1) + STEPS * (wide >> 3)
    y = (raw[3] << 16 >> 16) - (high >> 1) + STEPS * (high >> 3)

    def within(y: Int32[np.ndarray, "4 n"], x: Int32[np.ndarray, "4 n"]) -> _Samples:
        # What lies outside is moved to the edge, as in the codec's own prediction.
        rows = y.clip(0, like.frame.height - 1) * np.int32(like.rows.shape[1]) + first
        return _Samples(rows, x.clip(0, like.frame.width - 1))

    return within(y, x), within(y + dy, x + dx)


def _difference(
    block: UInt8[np.ndarray, "8 n"], other: UInt8[np.ndarray, "8 n"]
) -> Float32[np.ndarray, " n"]:
    """Mean absolute difference of each block's samples."""
    difference = np.maximum(block, other) - np.minimum(block, other)
    total: UInt16[np.ndarray, " n"] = difference.sum(0, dtype=np.uint16)
    mean: Float32[np.ndarray, " n"] = total.astype(np.float32) / np.float32(len(block))
    return mean
