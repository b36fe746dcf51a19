"""How far back each block's past reference lies: assumed nearest; for H.264 checked against the pictures.

The decoder does not export which of several references an H.264 block was predicted from. But it has decoded
the pictures: a block and its true reference differ by the coded residual only. So where a moving block does
not match the nearest reference, older ones are tried, and taken if they match much better. Blocks that move
less than a pixel are left alone: there the distance hardly matters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from jaxtyping import Float32, Int64, UInt8, UInt16

from mvcgc.video.references import Picture
from mvcgc.video.vectors import DISTANCE, Raw

MISMATCH = 4.0
"""Mean absolute difference in grey levels from which the nearest reference is doubted."""

BETTER = 0.7
"""Part of that difference that an older reference must stay below, by another grey level, to be taken."""

SAMPLES = np.array([(y, x) for y in (1, 3, 5, 7) for x in (1, 3, 5, 7)], np.int64)
"""Where a block is compared, in eighths of its size from its top left corner."""

TOGETHER = 8
"""Frames that are compared in one go: their pictures are kept until then."""

Places = Int64[np.ndarray, "n 16"]
"""For each of n blocks the indices of its samples into a picture's brightness."""


@dataclass(frozen=True)
class _Waiting:
    """A frame whose distances are assumed and still to be checked."""

    raw: Raw
    picture: Picture
    older: tuple[Picture, ...]


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
        if len(self._waiting) == TOGETHER or any(w.picture.stride != picture.stride for w in self._waiting):
            self.settle()
        self._waiting.append(_Waiting(raw, picture, older))

    def settle(self) -> None:
        """Check the distances of all frames so far, and let go of the pictures."""
        frames, self._waiting = self._waiting, []
        if not frames:
            return
        raw = np.concatenate([f.raw for f in frames], axis=1)
        scale = np.maximum(raw[8] & 0xFFFF, 1)
        moving = (raw[0] < 0) & (np.maximum(np.abs(raw[6]), np.abs(raw[7])) >= scale)
        blocks = np.flatnonzero(moving)
        ends = np.cumsum([f.raw.shape[1] for f in frames])
        here, there = _samples(raw[:, blocks], frames[0].picture)
        parts = _parts(blocks, ends)
        own = _gather([f.picture for f in frames], here, parts)
        nearest = _difference(own, _gather([f.older[0] for f in frames], there, parts))
        doubted = np.flatnonzero(nearest >= MISMATCH)
        blocks, own, there = blocks[doubted], own[doubted], there[doubted]
        least = nearest[doubted] * BETTER - 1
        distance = raw[DISTANCE]
        for rank in range(1, max(len(f.older) for f in frames)):
            # A frame without so many is compared with its nearest again, which cannot be better.
            older = [f.older[rank] if rank < len(f.older) else f.older[0] for f in frames]
            parts = _parts(blocks, ends)
            difference = _difference(own, _gather(older, there, parts))
            back = [f.picture.place.index - o.place.index for f, o in zip(frames, older, strict=True)]
            better = difference < least
            distance[blocks[better]] = np.repeat(back, [b - a for a, b in parts])[better]
            least = np.minimum(least, difference)
        for frame, part in zip(frames, np.split(distance, ends[:-1]), strict=True):
            frame.raw[DISTANCE] = part


def _parts(blocks: Int64[np.ndarray, " n"], ends: Int64[np.ndarray, " f"]) -> list[tuple[int, int]]:
    """From where to where each frame's are in the sorted ``blocks``; its numbers go up to below its end."""
    stops = [0, *map(int, np.searchsorted(blocks, ends))]
    return list(pairwise(stops))


def _samples(raw: Raw, like: Picture) -> tuple[Places, Places]:
    """Where each block is compared, in pictures like ``like``: its own places, and those it came from."""
    stride, height, width = like.stride, like.frame.height, like.frame.width
    scale = np.maximum(raw[8] & 0xFFFF, 1)
    wide, high = raw[1] & 0xFF, raw[1] >> 8 & 0xFF
    x, y = (raw[2] >> 16) - (wide >> 1), (raw[3] << 16 >> 16) - (high >> 1)
    dx, dy = (np.rint(raw[i] / scale).astype(np.int64) for i in (6, 7))
    # Most blocks lie within the picture, also displaced: their samples are a pattern from the first pixel on.
    here = _patterns(stride).take(wide // 8 * 3 + high // 8, axis=0) + (y * stride + x)[:, None]
    there = here + (dy * stride + dx)[:, None]
    left, top = np.minimum(x, x + dx), np.minimum(y, y + dy)
    right, bottom = np.maximum(x, x + dx) + wide, np.maximum(y, y + dy) + high
    over = np.flatnonzero((np.minimum(left, top) < 0) | (right > width) | (bottom > height))
    sample_y = y[over, None] + (SAMPLES[:, 0] * high[over, None] >> 3)
    sample_x = x[over, None] + (SAMPLES[:, 1] * wide[over, None] >> 3)
    here[over] = _within(sample_y, height) * stride + _within(sample_x, width)
    sample_y, sample_x = sample_y + dy[over, None], sample_x + dx[over, None]
    there[over] = _within(sample_y, height) * stride + _within(sample_x, width)
    return here, there


@cache
def _patterns(stride: int) -> Int64[np.ndarray, "9 16"]:
    """The samples of a block from its top left pixel; row 3 a + b is for 8 a x 8 b pixels, a and b 1 or 2."""
    patterns = [
        (SAMPLES[:, 0] * high >> 3) * stride + (SAMPLES[:, 1] * wide >> 3)
        for wide in (0, 8, 16)
        for high in (0, 8, 16)
    ]
    return np.stack(patterns)


def _within(position: Places, size: int) -> Places:
    """Positions outside the picture moved to its edge, as the codec's own prediction does."""
    inside: Places = np.minimum(np.maximum(position, 0), size - 1)
    return inside


def _gather(
    pictures: Sequence[Picture], places: Places, parts: Sequence[tuple[int, int]]
) -> UInt8[np.ndarray, "n 16"]:
    """The brightness at ``places``, of which each picture has one of the ``parts``."""
    found = np.empty(places.shape, np.uint8)
    for picture, (start, stop) in zip(pictures, parts, strict=True):
        # mode="clip" (all are inside) writes into ``found`` directly, "raise" by way of a buffer.
        picture.luma.take(places[start:stop], out=found[start:stop], mode="clip")
    return found


def _difference(
    block: UInt8[np.ndarray, "n 16"], other: UInt8[np.ndarray, "n 16"]
) -> Float32[np.ndarray, " n"]:
    """Mean absolute difference of each block's samples."""
    difference = np.maximum(block, other) - np.minimum(block, other)
    total: UInt16[np.ndarray, " n"] = np.einsum("np->n", difference.astype(np.uint16))
    return total.astype(np.float32) / np.float32(len(SAMPLES))
