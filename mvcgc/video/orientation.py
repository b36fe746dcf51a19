"""Between the frame as decoded and the upright one: crops one way, planes and motion fields the other.

A file's display matrix says how a player shows its frames. The eight that map the axes onto the axes count,
at any scale; any other is ignored. ffmpeg ignores singular matrices, too; but it turns frames by odd angles,
which leaves black corners.
"""

import math

import numpy as np
from av.sidedata.sidedata import SideDataContainer, Type
from av.video.frame import VideoFrame
from jaxtyping import Shaped

from mvcgc.video.clip import Box
from mvcgc.video.field import CELL, MotionField
from mvcgc.video.info import UPRIGHT, Orientation

ALIGNED = math.cos(math.radians(1))
"""Cosine of the angle from which an axis counts as another direction."""

# (row of x, row of y) of the shown axes in decoded ones: x' = a x + c y, y' = b x + d y, as (a, c, b, d).
_ORIENTATIONS = {
    (1, 0, 0, 1): UPRIGHT,
    (0, -1, 1, 0): Orientation(90, mirrored=False),
    (-1, 0, 0, -1): Orientation(180, mirrored=False),
    (0, 1, -1, 0): Orientation(270, mirrored=False),
    (-1, 0, 0, 1): Orientation(0, mirrored=True),
    (0, -1, -1, 0): Orientation(90, mirrored=True),
    (1, 0, 0, -1): Orientation(180, mirrored=True),
    (0, 1, 1, 0): Orientation(270, mirrored=True),
}


def orientation_of(frame: VideoFrame) -> Orientation:
    """Orientation that the display matrix of a frame asks for."""
    for data in SideDataContainer(frame):  # type: ignore[call-arg]  # see `vectors`: no reference cycle
        if data.type == Type.DISPLAYMATRIX:
            a, b, _, c, d, *_ = np.frombuffer(bytes(data), np.int32).tolist()
            return _orientation(a, b, c, d)
    return UPRIGHT


def _orientation(a: int, b: int, c: int, d: int) -> Orientation:
    """Of the matrix that shows the decoded (x, y) at (a x + c y, b x + d y)."""
    first, second = math.hypot(a, c), math.hypot(b, d)
    if not first or not second:
        return UPRIGHT
    directions = [_direction(value) for value in (a / first, c / first, b / second, d / second)]
    return _ORIENTATIONS.get(tuple(directions), UPRIGHT)  # type: ignore[arg-type]  # of four


def _direction(cosine: float) -> int | None:
    """1 or -1 along an axis, 0 across it, None between."""
    if abs(cosine) >= ALIGNED:
        return 1 if cosine > 0 else -1
    return 0 if abs(cosine) <= math.sin(math.acos(ALIGNED)) else None


def turned(decoded: Shaped[np.ndarray, "H W"], orientation: Orientation) -> Shaped[np.ndarray, "h w"]:
    """A view of a decoded plane as it is shown."""
    if orientation.mirrored:
        decoded = decoded[:, ::-1]
    return np.rot90(decoded, -orientation.rotation // 90)


def coded_box(box: Box, orientation: Orientation, height: int, width: int) -> Box:
    """The crop ``box`` of an upright frame of ``height`` x ``width`` in pixels of the frame as decoded."""
    below, right = height - box.top - box.height, width - box.left - box.width
    match orientation.rotation:
        case 90:  # upright rows are decoded columns, upright columns decoded rows from the bottom up
            box, across = Box(right, box.top, box.width, box.height), height
        case 180:
            box, across = Box(below, right, box.height, box.width), width
        case 270:
            box, across = Box(box.left, below, box.width, box.height), height
        case _:
            across = width
    if orientation.mirrored:
        return Box(box.top, across - box.left - box.width, box.height, box.width)
    return box


def upright(field: MotionField, orientation: Orientation, height: int, width: int) -> MotionField:
    """Mirror a motion field left to right, if so, and rotate it clockwise: its grid and its vectors.

    ``height`` and ``width`` are the upright frame's. Where its sides are no multiple of 8, the cut cells
    come to lie at other edges; each upright cell then takes the decoded cell that holds its centre.
    """
    if orientation == UPRIGHT:
        return field
    rotation, mirrored = orientation
    dx, dy = field.vectors.T
    if mirrored:
        dx = -dx
    y = np.minimum(np.arange(-(-height // CELL)) * CELL + CELL // 2, height - 1)
    x = np.minimum(np.arange(-(-width // CELL)) * CELL + CELL // 2, width - 1)
    across = width if rotation % 180 == 0 else height
    match rotation:
        case 90:
            rows, columns, vectors = (width - 1 - x)[None, :], y[:, None], (-dy, dx)
        case 180:
            rows, columns, vectors = (height - 1 - y)[:, None], (width - 1 - x)[None, :], (-dx, -dy)
        case 270:
            rows, columns, vectors = x[None, :], (height - 1 - y)[:, None], (dy, -dx)
        case _:
            rows, columns, vectors = y[:, None], x[None, :], (dx, dy)
    if mirrored:
        columns = across - 1 - columns
    # + 0 turns -0 into 0
    shown = np.stack(vectors, -1) + np.float32(0)
    return MotionField(shown, field.owner[:, rows // CELL, columns // CELL])
