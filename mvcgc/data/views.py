"""The views of a clip as the networks see it: RGB, motion vectors, optical flow, cropped and sized alike."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float16, Float32

from mvcgc.data.sampling import ClipConfig, Draw, MotionConfig
from mvcgc.errors import UserError
from mvcgc.video import Box, Clip, ClipRequest, FlowMethod, Reader, VideoInfo, flow, pool

RGB = "rgb"
MV = "mv"
FLOWS = {"flow": FlowMethod.TVL1, "flow_dis": FlowMethod.DIS}

VIEW_CHANNELS: dict[str, int] = {RGB: 3, MV: 2, **dict.fromkeys(FLOWS, 2)}
"""Channels of each view at the network's input."""

ViewArrays = dict[str, np.ndarray]
"""View -> uint8 [clips, T, S, S, 3] for rgb, float16 [clips, T, s, s, 2] for motion."""


def check_views(views: Sequence[str], key: str = "views") -> None:
    """Raise UserError unless ``views`` are one or more different names of `VIEW_CHANNELS`."""
    for view in views:
        if view not in VIEW_CHANNELS:
            raise UserError(f"{key}={list(views)}: no view {view!r}; choose from {', '.join(VIEW_CHANNELS)}")
    if not views or len(set(views)) != len(views):
        raise UserError(f"{key}={list(views)}: name one or more different views")


def needs_vectors(views: Sequence[str]) -> bool:
    """Whether these views need files with motion vectors."""
    return MV in views


def read_views(
    path: Path,
    info: VideoInfo,
    draws: Sequence[Draw],
    *,
    views: Sequence[str],
    clip: ClipConfig,
    motion: MotionConfig,
    mestimate: bool,
) -> ViewArrays:
    """The clips that ``draws`` ask for, in their order, in one pass over the file.

    Flips are left to `augment`.

    Motion is in pixels of the ``motion.size`` picture per frame, (dx right, dy down), from past to current.
    Where the stream does not tell a cell's motion, it is that of the nearest frame of the clip that does,
    else 0.

    Raises:
        VideoError: as `Reader`.
    """
    wanted = sorted({(draw.start, draw.crop) for draw in draws}, key=_place)
    flows = [view for view in views if view in FLOWS]
    sizes = {clip.size} if RGB in views else set()
    if flows:
        sizes.add(motion.size)
    keys = [(start, crop, size) for start, crop in wanted for size in sorted(sizes) or (None,)]
    with Reader(path, info, mestimate=mestimate) as reader:
        clips = reader.read([_request(*key, clip.frames) for key in keys], motion=MV in views)
    read = dict(zip(keys, clips, strict=True))

    arrays: dict[str, dict[tuple[int, Box], np.ndarray]] = {view: {} for view in views}
    fields: dict[int, np.ndarray] = {}
    for (start, crop, size), one in read.items():
        if RGB in views and size == clip.size:
            assert one.rgb is not None
            arrays[RGB][start, crop] = one.rgb
        if MV in views and (start, crop) not in arrays[MV]:
            if start not in fields:
                fields[start] = motion_field(one, motion.cell)
            arrays[MV][start, crop] = crop_motion(fields[start], motion.cell, crop, motion.size)
        for view in flows:
            if size == motion.size:
                assert one.rgb is not None
                arrays[view][start, crop] = flow(one.rgb, FLOWS[view]).astype(np.float16)
    return {view: np.stack([arrays[view][draw.start, draw.crop] for draw in draws]) for view in views}


def _place(key: tuple[int, Box]) -> tuple[int, int, int, int, int]:
    start, box = key
    return start, box.top, box.left, box.height, box.width


def _request(start: int, crop: Box, size: int | None, frames: int) -> ClipRequest:
    return ClipRequest(start, frames, crop if size else None, (size, size) if size else None)


def motion_field(clip: Clip, cell: int) -> Float32[np.ndarray, "T h w 2"]:
    """The clip's motion on cells of ``cell`` pixels of the whole picture, without gaps."""
    assert clip.mv is not None
    assert clip.valid is not None
    return fill(*pool(clip.mv, clip.valid, cell))


def fill(
    mv: Float32[np.ndarray, "T h w 2"], valid: Bool[np.ndarray, "T h w"]
) -> Float32[np.ndarray, "T h w 2"]:
    """Give each invalid cell the motion of the nearest frame in which it is valid (the earlier of two), else
    0.
    """
    if valid.all():
        return mv
    frames = len(valid)
    time = np.arange(frames)[:, None, None]
    before = np.maximum.accumulate(np.where(valid, time, -2 * frames), axis=0)
    after = np.minimum.accumulate(np.where(valid, time, 3 * frames)[::-1], axis=0)[::-1]
    nearest = np.where(time - before <= after - time, before, after)
    known = (nearest >= 0) & (nearest < frames)
    filled = np.take_along_axis(mv, np.where(known, nearest, 0)[..., None], axis=0)
    return np.where(known[..., None], filled, np.float32(0))


def crop_motion(
    field: Float32[np.ndarray, "T h w 2"], cell: int, crop: Box, size: int
) -> Float16[np.ndarray, "T s s 2"]:
    """Sample a field on cells of ``cell`` pixels at the centres of the ``size`` x ``size`` pixels of a crop.

    Vectors scale with the resize: they come in pixels of the full picture and go in pixels of the result.
    """
    scale = np.array([size / crop.width, size / crop.height], np.float32)
    centres = (np.arange(size) + 0.5) / size
    rows = ((crop.top + centres * crop.height) // cell).astype(np.intp)
    columns = ((crop.left + centres * crop.width) // cell).astype(np.intp)
    # One 32-bit word per vector: gathering is then twice as fast.
    words = np.ascontiguousarray(field * scale, np.float16).view(np.uint32)[..., 0]
    return words.take(rows, axis=1).take(columns, axis=2)[..., None].view(np.float16)
