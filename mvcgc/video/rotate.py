"""Between the picture as decoded and the upright one: crops one way, motion fields the other."""

import numpy as np

from mvcgc.video.clip import Box
from mvcgc.video.field import CELL, MotionField


def coded_box(box: Box, rotation: int, height: int, width: int) -> Box:
    """The crop ``box`` of an upright picture of ``height`` x ``width`` in pixels of the picture as decoded.

    ``rotation`` is clockwise from decoded to upright, in degrees.
    """
    below, right = height - box.top - box.height, width - box.left - box.width
    if rotation == 90:  # upright rows are decoded columns, upright columns decoded rows from the bottom up
        return Box(right, box.top, box.width, box.height)
    if rotation == 180:
        return Box(below, right, box.height, box.width)
    if rotation == 270:
        return Box(box.left, below, box.width, box.height)
    return box


def upright(field: MotionField, rotation: int, height: int, width: int) -> MotionField:
    """Rotate a motion field clockwise: its grid and its vectors.

    ``height`` and ``width`` are the upright picture's. Where its sides are no multiple of 8, the cut cells
    come to lie at other edges; each upright cell then takes the decoded cell that holds its centre.
    """
    if rotation == 0:
        return field
    dx, dy = field.vectors.T
    y = np.minimum(np.arange(-(-height // CELL)) * CELL + CELL // 2, height - 1)
    x = np.minimum(np.arange(-(-width // CELL)) * CELL + CELL // 2, width - 1)
    if rotation == 180:
        rows, columns = (height - 1 - y)[:, None], (width - 1 - x)[None, :]
        turned = np.stack([-dx, -dy], -1)
    elif rotation == 90:
        rows, columns = (width - 1 - x)[None, :], y[:, None]
        turned = np.stack([-dy, dx], -1)
    else:
        rows, columns = x[None, :], (height - 1 - y)[:, None]
        turned = np.stack([dy, -dx], -1)
    # + 0 turns -0 into 0
    return MotionField(turned + np.float32(0), field.owner[:, rows // CELL, columns // CELL])
