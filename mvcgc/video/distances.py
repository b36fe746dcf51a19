"""How far back each block's past reference lies: assumed nearest; for H.264 checked against the pictures.

The decoder does not export which of several references an H.264 block was predicted from. But it has decoded
the pictures: a block and its true reference differ by the coded residual only. So where a moving block does
not match the nearest reference, older ones are tried, and taken if they match much better. Blocks that move
less than a pixel are left alone: there the distance hardly matters.
"""

from collections.abc import Sequence

import numpy as np
from av.video.frame import VideoFrame
from jaxtyping import Float32, Int16, Int32

from mvcgc.video.picture import plane_rows
from mvcgc.video.vectors import DISTANCE, Raw

MISMATCH = 4.0
"""Mean absolute difference in grey levels from which the nearest reference is doubted."""

BETTER = 0.7
"""Part of that difference that an older reference must stay below, by another grey level, to be taken."""

SAMPLES = np.array([(y, x) for y in (1, 3, 5, 7) for x in (1, 3, 5, 7)], np.int32)
"""Where a block is compared, in eighths of its size from its top left corner."""


def measure(raw: Raw, index: int, frame: VideoFrame, older: Sequence[tuple[int, VideoFrame]]) -> None:
    """Write the distance of every past reference into ``raw``, in place; 0 where no reference is known.

    ``older`` are the references that ``frame`` (shown as ``index``) can have before it, nearest first, with
    their display indices; more than one only if the codec knows more than one.
    """
    raw[:, DISTANCE] = index - older[0][0] if older else 0
    if len(older) < 2 or frame.format.components[0].bits > 8:
        return
    scale = np.maximum(raw[:, 8] & 0xFFFF, 1)
    moving = (raw[:, 0] < 0) & ((np.abs(raw[:, 6]) >= scale) | (np.abs(raw[:, 7]) >= scale))
    blocks = np.flatnonzero(moving)
    here, there = _samples(raw[blocks], scale[blocks], frame)
    block = plane_rows(frame.planes[0]).reshape(-1).take(here).astype(np.int16)
    nearest = _difference(block, older[0][1], there)
    doubted = nearest >= MISMATCH
    blocks, block, there = blocks[doubted], block[doubted], there[doubted]
    least = nearest[doubted] * BETTER - 1
    for place, picture in older[1:]:
        difference = _difference(block, picture, there)
        raw[blocks[difference < least], DISTANCE] = index - place
        least = np.minimum(least, difference)


def _samples(
    raw: Raw, scale: Int32[np.ndarray, " n"], frame: VideoFrame
) -> tuple[Int32[np.ndarray, "n p"], Int32[np.ndarray, "n p"]]:
    """Places in the brightness plane where each block is compared: its own, and displaced by its vector."""
    stride, bottom, right = frame.planes[0].line_size, frame.height - 1, frame.width - 1
    wide, high = raw[:, 1:2] & 0xFF, raw[:, 1:2] >> 8 & 0xFF
    x = (raw[:, 2:3] >> 16) - (wide >> 1) + (SAMPLES[:, 1] * wide >> 3)
    y = (raw[:, 3:4] << 16 >> 16) - (high >> 1) + (SAMPLES[:, 0] * high >> 3)
    dx, dy = (np.rint(raw[:, i] / scale).astype(np.int32)[:, None] for i in (6, 7))
    here = _within(y, bottom) * stride + _within(x, right)
    return here, _within(y + dy, bottom) * stride + _within(x + dx, right)


def _within(position: Int32[np.ndarray, "n p"], last: int) -> Int32[np.ndarray, "n p"]:
    """Positions outside the picture moved to its edge, as the codec's own prediction does."""
    inside: Int32[np.ndarray, "n p"] = np.minimum(np.maximum(position, 0), last)
    return inside


def _difference(
    block: Int16[np.ndarray, "n p"], picture: VideoFrame, places: Int32[np.ndarray, "n p"]
) -> Float32[np.ndarray, " n"]:
    """Mean absolute difference of each block's samples to those at ``places`` of another picture."""
    other = plane_rows(picture.planes[0]).reshape(-1).take(places)
    difference: Float32[np.ndarray, " n"] = np.abs(block - other).mean(1, dtype=np.float32)
    return difference
