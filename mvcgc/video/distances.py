"""How far back each block's past reference lies: assumed nearest; for H.264 checked against the pictures.

The decoder does not export which of several references an H.264 block was predicted from. But it has decoded
the pictures: a block and its true reference differ by the coded residual only. So where a moving block does
not match the nearest reference, older ones are tried, and taken if they match much better. Blocks that move
less than a pixel are left alone: there the distance hardly matters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, Int64, UInt8, UInt16

from mvcgc.video.field import INSIDE
from mvcgc.video.references import KEPT, Picture, Shown
from mvcgc.video.vectors import DISTANCE, Raw, Vectors, exported, words

MISMATCH = 4.0
"""Mean absolute difference in grey levels from which the nearest reference is doubted."""

BETTER = 0.7
"""Part of that difference that an older reference must stay below, by another grey level, to be taken."""

STEPS = np.array([[1], [3], [5], [7]], np.int32)
"""Lines across a block in either direction, in eighths of its side from its top left corner."""

CROSSINGS = ((0, 0), (0, 2), (1, 1), (1, 3), (2, 0), (2, 2), (3, 1), (3, 3))
"""Where a block is compared: half of the lines' crossings, like a chessboard's black squares."""

TOGETHER = 4 << 20
"""Bytes of brightness of the frames that are compared in one go."""


class _Pictures:
    """The brightness of pictures of one size, side by side; so the pictures themselves need not be kept.

    Attributes:
        height, width: of the pictures in pixels.
        stride: bytes from one row to the next.
    """

    def __init__(self, like: Picture) -> None:
        rows = like.rows
        self.height, self.width, self.stride = like.frame.height, like.frame.width, rows.shape[1]
        room = max(TOGETHER // rows.size, 2 * (KEPT + 1))
        self._rows = np.empty((room, *rows.shape), np.uint8)
        self._numbers: dict[int, int] = {}

    def add(self, pictures: tuple[Picture, ...]) -> list[int] | None:
        """The number of each, copied if it is new; None if there is no room, or one has another size."""
        numbers = []
        for picture in pictures:
            number = self._numbers.get(picture.place.index)
            if number is None:
                rows, number = picture.rows, len(self._numbers)
                if number == len(self._rows) or rows.shape != self._rows.shape[1:]:
                    return None
                self._rows[number] = rows
                self._numbers[picture.place.index] = number
            numbers.append(number)
        return numbers

    def index(self) -> Int32[np.ndarray, " p"]:
        """The display index of each."""
        return np.fromiter(self._numbers, np.int32, len(self._numbers))

    def first(self, number: Int32[np.ndarray, "f r"]) -> Int32[np.ndarray, "f r"]:
        """Where pictures begin in `brightness`."""
        return number * np.int32(self._rows[0].size)

    @property
    def brightness(self) -> UInt8[np.ndarray, " m"]:
        """All of it."""
        return self._rows.reshape(-1)


class _Waiting(NamedTuple):
    """A frame whose distances are assumed and still to be checked.

    Attributes:
        frame: its number among those since distances were settled last.
        pictures: the numbers of its picture, and of those that it may refer to, nearest first.
    """

    frame: int
    pictures: list[int]


@dataclass(frozen=True)
class _Samples:
    """Where each of n blocks is compared: the indices of four rows' first pixels, and four columns."""

    rows: Int32[np.ndarray, "4 n"]
    columns: Int32[np.ndarray, "4 n"]

    @staticmethod
    def within(
        pictures: _Pictures,
        first: Int32[np.ndarray, " n"],
        y: Int32[np.ndarray, "4 n"],
        x: Int32[np.ndarray, "4 n"],
    ) -> "_Samples":
        """At (x, y) in the pictures that begin at ``first``.

        What lies outside is moved to the edge, as in the codec's own prediction.
        """
        rows = y.clip(0, pictures.height - 1)
        rows *= np.int32(pictures.stride)
        rows += first
        return _Samples(rows, x.clip(0, pictures.width - 1))

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
    """Gathers the vectors of frame after frame, and writes the distance of every past reference into them."""

    def __init__(self) -> None:
        self._exported: list[bytes] = []
        self._nearest: list[int] = []
        self._waiting: list[_Waiting] = []
        self._pictures: _Pictures | None = None
        self._settled: list[Vectors] = []
        self._before = 0

    def add(self, shown: Shown) -> int:
        """Take a frame's vectors; its number among those that were taken."""
        vectors = exported(shown.frame)
        if len(shown.older) > 1 and vectors and shown.picture.eight_bits:
            pictures = (shown.picture, *shown.older)
            self._pictures = self._pictures or _Pictures(shown.picture)
            numbers = self._pictures.add(pictures)
            if numbers is None:
                self._settle()
                self._pictures = _Pictures(shown.picture)
                numbers = self._pictures.add(pictures)
            if numbers is not None:
                self._waiting.append(_Waiting(len(self._exported), numbers))
        self._exported.append(vectors)
        self._nearest.append(shown.back)
        return self._before + len(self._exported) - 1

    def vectors(self) -> Vectors:
        """Those of all frames; the distance of what has no known reference is 0."""
        self._settle()
        if len(self._settled) == 1:
            return self._settled[0]
        counts = [count for some in self._settled for count in some.counts]
        return Vectors(np.concatenate([some.raw for some in self._settled], axis=1), counts)

    def _settle(self) -> None:
        """Write the distances of the frames so far, checked where pictures wait for that."""
        vectors = words(self._exported)
        vectors.raw[DISTANCE] = np.repeat(np.array(self._nearest, np.int32), vectors.counts)
        if self._pictures and self._waiting:
            _check(vectors, self._waiting, self._pictures)
        self._settled.append(vectors)
        self._before += len(self._exported)
        self._exported, self._nearest, self._waiting = [], [], []


def _check(vectors: Vectors, waiting: Sequence[_Waiting], pictures: _Pictures) -> None:
    """Change, in place, the distances that the pictures contradict."""
    raw = vectors.raw
    slots = np.full(len(vectors.counts), -1, np.int32)
    slots[[frame for frame, _ in waiting]] = np.arange(len(waiting))
    frame = np.repeat(slots, vectors.counts)
    moving = (raw[0] < 0) & (frame >= 0) & (np.maximum(np.abs(raw[6]), np.abs(raw[7])) >= _scale(raw))
    blocks = np.flatnonzero(moving)
    frame = frame.take(blocks)
    # A frame with fewer references has its nearest again, than which that cannot be better.
    most = max(len(numbers) for _, numbers in waiting)
    number = np.array([of + of[1:2] * (most - len(of)) for _, of in waiting], np.int32)
    index, first, brightness = pictures.index()[number], pictures.first(number), pictures.brightness
    moved = raw.take(blocks, axis=1, mode=INSIDE)
    here, there = _samples(moved, pictures, first[:, 0].take(frame))
    offset, back = first - first[:, :1], index[:, :1] - index
    own = here.of(brightness)
    nearest = _difference(own, there.moved(offset[:, 1].take(frame)).of(brightness))
    doubted = np.flatnonzero(nearest >= MISMATCH)
    blocks, frame, there = blocks.take(doubted), frame.take(doubted), there.some(doubted)
    own, least = own.take(doubted, axis=1, mode=INSIDE), nearest.take(doubted) * BETTER - 1
    for rank in range(2, most):
        difference = _difference(own, there.moved(offset[:, rank].take(frame)).of(brightness))
        better = difference < least
        raw[DISTANCE, blocks[better]] = back[:, rank].take(frame[better])
        least = np.minimum(least, difference)


def _scale(raw: Raw) -> Int32[np.ndarray, " n"]:
    """Of each vector: its units in a pixel."""
    scale: Int32[np.ndarray, " n"] = np.maximum(raw[8] & 0xFFFF, 1)
    return scale


def _samples(raw: Raw, pictures: _Pictures, first: Int32[np.ndarray, " n"]) -> tuple[_Samples, _Samples]:
    """Where each block is compared: its own places, and those it came from, in pictures like its own.

    The picture of each block begins at ``first``; so does the other here.
    """
    unit = np.float32(1) / _scale(raw).astype(np.float32)
    dx, dy = (np.rint(raw[i] * unit, dtype=np.float32).astype(np.int32) for i in (6, 7))
    wide, high = raw[1] & 0xFF, raw[1] >> 8 & 0xFF
    x = (raw[2] >> 16) - (wide >> 1) + STEPS * (wide >> 3)
    y = (raw[3] << 16 >> 16) - (high >> 1) + STEPS * (high >> 3)
    return _Samples.within(pictures, first, y, x), _Samples.within(pictures, first, y + dy, x + dx)


def _difference(
    block: UInt8[np.ndarray, "8 n"], other: UInt8[np.ndarray, "8 n"]
) -> Float32[np.ndarray, " n"]:
    """Mean absolute difference of each block's samples."""
    difference = np.maximum(block, other) - np.minimum(block, other)
    total: UInt16[np.ndarray, " n"] = difference.sum(0, dtype=np.uint16)
    mean: Float32[np.ndarray, " n"] = total.astype(np.float32) / np.float32(len(block))
    return mean
