"""Motion of a clip: from the cells of the whole picture, or from flow, to what a network's crop shows."""

import numpy as np
from jaxtyping import Float16, Float32

from mvcgc.data.clips import float16
from mvcgc.video import Box, Clip, MotionField, fill, pool


def in_blocks(field: Float32[np.ndarray, "T H W 2"]) -> Float32[np.ndarray, "T H W 2"]:
    """The mean of every block of 2x2 pixels in each of them; the last block of an odd side is narrower."""
    sums, counts = field, np.ones_like(field[:1, ..., :1])
    for axis in (1, 2):
        first = np.arange(0, field.shape[axis], 2)
        sums, counts = np.add.reduceat(sums, first, axis), np.add.reduceat(counts, first, axis)
    low: Float32[np.ndarray, "T H W 2"] = (sums / counts).repeat(2, axis=1).repeat(2, axis=2)
    return low[:, : field.shape[1], : field.shape[2]]


def motion_field(clip: Clip, cell: int) -> MotionField:
    """The clip's motion on cells of ``cell`` pixels of the whole picture, without gaps."""
    assert clip.field is not None
    return fill(pool(clip.field, cell))


def crop_motion(field: MotionField, cell: int, crop: Box, out: Float16[np.ndarray, "T s s 2"]) -> None:
    """Sample a field on cells of ``cell`` pixels at the centres of the s x s pixels of a crop, into ``out``.

    Vectors scale with the resize: they come in pixels of the full picture and go in pixels of the result.
    """
    size = out.shape[1]
    scale = np.array([size / crop.width, size / crop.height], np.float32)
    centres = (np.arange(size) + 0.5) / size
    rows = ((crop.top + centres * crop.height) // cell).astype(np.intp)
    columns = ((crop.left + centres * crop.width) // cell).astype(np.intp)
    vectors = float16.scaled(field.vectors, scale)
    # One 32-bit word per vector; of the field only what the crop shows; and rows last, so that it is mostly
    # whole rows that are copied. mode="clip": all are inside, and "raise" checks each, and writes into
    # ``out`` by way of a buffer.
    shown = field.owner[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    words = (
        vectors.view(np.uint32)[:, 0].take(shown, mode="clip").take(columns - columns[0], axis=2, mode="clip")
    )
    words.take(rows - rows[0], axis=1, out=out.view(np.uint32)[..., 0], mode="clip")
