"""The views of a clip as the networks see it: RGB, motion vectors, optical flow, cropped and sized alike."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from jaxtyping import Float16, Float32, Shaped, UInt8

from mvcgc.data.clips import float16
from mvcgc.data.clips.padding import covered, fill_gaps
from mvcgc.data.clips.sampling import ClipConfig, Draw, MotionConfig
from mvcgc.errors import UserError
from mvcgc.video import (
    Box,
    Clip,
    ClipRequest,
    FlowMethod,
    Matrix,
    MotionField,
    Reader,
    VideoInfo,
    fill,
    flow,
    pool,
    to_grey,
)

RGB = "rgb"
MV = "mv"
MV_COVIAR = "mv_coviar"
VECTORS = (MV, MV_COVIAR)
"""The views of a codec's vectors: as the file stores them, and once it is encoded again (`reencode`)."""
LOW_FLOWS = {"flow_low": FlowMethod.TVL1, "flow_dis_low": FlowMethod.DIS}
"""One value for 2x2 pixels (the paper's table 2)."""
FLOWS = {"flow": FlowMethod.TVL1, "flow_dis": FlowMethod.DIS, **LOW_FLOWS}

VIEW_CHANNELS: dict[str, int] = {RGB: 3, **dict.fromkeys(VECTORS, 2), **dict.fromkeys(FLOWS, 2)}
"""Channels of each view at the network's input."""

ViewArrays = dict[str, np.ndarray]
"""View -> uint8 [clips, 3, T, S, S] for rgb (the planes of `mvcgc.video.colour`, which become RGB on the
device), float16 [clips, T, s, s, 2] for motion."""


_ALIGNMENT = 64
"""Bytes; where an array in shared memory begins."""


def check_views(views: Sequence[str], key: str = "views") -> None:
    """Raise UserError unless ``views`` are one or more different names of `VIEW_CHANNELS`."""
    for view in views:
        if view not in VIEW_CHANNELS:
            raise UserError(f"{key}={list(views)}: no view {view!r}; choose from {', '.join(VIEW_CHANNELS)}")
    if not views or len(set(views)) != len(views):
        raise UserError(f"{key}={list(views)}: name one or more different views")
    if set(views) >= set(VECTORS):
        raise UserError(
            f"{key}={list(views)}: a file is read for its own vectors or for new ones, choose one"
        )


def needs_vectors(views: Sequence[str]) -> bool:
    """Whether these views need files with motion vectors."""
    return MV in views


@dataclass(frozen=True)
class Format:
    """What is made of a clip: which views, of what size."""

    views: tuple[str, ...]
    clip: ClipConfig
    motion: MotionConfig

    def empty(self, clips: int) -> ViewArrays:
        """Room for so many clips."""
        return {view: np.empty(*self._array(view, clips)) for view in self.views}

    def within(self, memory: UInt8[np.ndarray, " n"], clips: int) -> ViewArrays:
        """Room for so many clips in memory of `nbytes`, the same whoever asks."""
        arrays, start = {}, 0
        for view in self.views:
            shape, kind = self._array(view, clips)
            size = math.prod(shape) * np.dtype(kind).itemsize
            arrays[view] = memory[start : start + size].view(kind).reshape(shape)
            start += _aligned(size)
        return arrays

    def nbytes(self, clips: int) -> int:
        """The memory that `within` takes for so many clips."""
        kinds = (self._array(view, clips) for view in self.views)
        return sum(_aligned(math.prod(shape) * np.dtype(kind).itemsize) for shape, kind in kinds)

    def _array(self, view: str, clips: int) -> tuple[tuple[int, ...], type[np.uint8] | type[np.float16]]:
        if view == RGB:
            return (clips, 3, self.clip.frames, *2 * (self.clip.size,)), np.uint8
        return (clips, self.clip.frames, *2 * (self.motion.size,), 2), np.float16


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def read_views(
    path: Path,
    info: VideoInfo,
    draws: Sequence[Draw],
    form: Format,
    arrays: ViewArrays,
    *,
    mestimate: bool,
) -> Matrix:
    """Write the clips that ``draws`` ask for, in their order, into ``arrays`` (see `Format.empty`), in one
    pass over the file; the way from their planes to RGB. Flips are left to `mvcgc.data.inputs`.

    A video shorter than a clip is padded as ``clip.pad`` says: pictures and motion of its frames are repeated
    alike.

    Motion is in pixels of the ``motion.size`` picture per frame, (dx right, dy down), from past to current.
    Where the stream does not tell a cell's motion, it is that of the nearest frame of the clip that does,
    else 0.

    Raises:
        VideoError: as `Reader`.
    """
    views, clip, motion = form.views, form.clip, form.motion
    place = covered(clip.pad, info.frames, clip.frames)
    shown = place.stop - place.start
    # What several draws show alike is read and computed for the first of them.
    first: dict[tuple[int, Box], int] = {}
    for number, draw in enumerate(draws):
        first.setdefault((draw.start, draw.crop), number)
    flows = [view for view in views if view in FLOWS]
    sizes = {clip.size} if RGB in views else set()
    if flows:
        sizes.add(motion.size)
    wanted = sorted(first, key=_place)
    keys = [(start, crop, size) for start, crop in wanted for size in sorted(sizes) or (None,)]
    into = [
        arrays[RGB][first[start, crop]][:, place] if RGB in views and size == clip.size else None
        for start, crop, size in keys
    ]
    vectors = next((view for view in views if view in VECTORS), None)
    with Reader(path, info, mestimate=mestimate, recode=vectors == MV_COVIAR, pictures=bool(sizes)) as reader:
        requests = [_request(*key, shown) for key in keys]
        clips = reader.read(requests, motion=vectors is not None, planes=into)

    fields: dict[int, MotionField] = {}
    for (start, crop, size), one in zip(keys, clips, strict=True):
        number = first[start, crop]
        if vectors is not None and size in (None, min(sizes, default=None)):
            if start not in fields:
                fields[start] = motion_field(one, motion.cell)
            crop_motion(fields[start], motion.cell, crop, out=arrays[vectors][number, place])
        for view in flows:
            if size == motion.size:
                assert one.planes is not None
                field = flow(to_grey(one.planes[0]), FLOWS[view])
                arrays[view][number, place] = in_blocks(field) if view in LOW_FLOWS else field
    if shown < clip.frames:
        for view, number in product(views, first.values()):
            fill_gaps(time_first(view, arrays[view][number]), place)
    for number, draw in enumerate(draws):
        if (same := first[draw.start, draw.crop]) != number:
            for array in arrays.values():
                array[number] = array[same]
    return clips[0].matrix


def time_first(view: str, clip: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "T ..."]:
    """Return a stored clip of ``view`` with its frames along the first axis; nothing is copied."""
    return clip.swapaxes(0, 1) if view == RGB else clip


def _place(key: tuple[int, Box]) -> tuple[int, int, int, int, int]:
    start, box = key
    return start, box.top, box.left, box.height, box.width


def _request(start: int, crop: Box, size: int | None, frames: int) -> ClipRequest:
    return ClipRequest(start, frames, crop if size else None, (size, size) if size else None)


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
