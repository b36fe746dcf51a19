"""Which part of a video a sample shows: pure functions of (seed, epoch, video).

The random numbers of a sample come from Philox, keyed by a hash of (seed, epoch, video key), and are used as
plain doubles in [0, 1). So they are the same for any number of ranks and workers, in any process, on any
machine.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mvcgc.data.clips.padding import Pad
from mvcgc.errors import UserError
from mvcgc.video import Box

ASPECT = (3 / 4, 4 / 3)
"""Width / height of a random crop, log-uniform."""

CENTRE = 0.875
"""Side of a test crop relative to the picture's short side: 224 of 256 (CoCLR)."""

_CROP_TRIES = 10


@dataclass
class ClipConfig:
    """A clip: ``frames`` consecutive frames, RGB of ``size`` x ``size`` pixels.

    ``pad`` is what fills a clip of a video with fewer frames, but enough for ``dataset.min_frames``.
    """

    frames: int = 32
    size: int = 128
    pad: Pad = Pad.left

    def __post_init__(self) -> None:
        if self.frames < 2:
            raise UserError(f"clip.frames={self.frames}: a clip has at least 2 frames")
        if self.size < 16:
            raise UserError(f"clip.size={self.size}: a clip is at least 16 pixels wide")


@dataclass
class MotionConfig:
    """The motion view: one vector per ``cell`` x ``cell`` source pixels, sampled to ``size`` x ``size``."""

    cell: int = 8
    size: int = 128

    def __post_init__(self) -> None:
        if self.cell < 8 or self.cell % 8:
            raise UserError(
                f"motion.cell={self.cell}: codecs move blocks of 8 pixels; use 8, 16, 24, 32, ..."
            )
        if self.size < 16:
            raise UserError(f"motion.size={self.size}: the motion view is at least 16 pixels wide")


@dataclass(frozen=True)
class Draw:
    """One clip of one video and how it is changed; the defaults change nothing.

    Attributes:
        start: first frame.
        crop: in pixels of the upright picture, even sides and offsets (the grid of the chroma).
        flip: mirrored left to right.
        parameters: values of the columns of an `Augmentation`; none for test clips.
    """

    start: int
    crop: Box
    flip: bool = False
    parameters: tuple[float, ...] = ()

    def row(self) -> tuple[float, ...]:
        """Return what the device needs to know: the flip, then the parameters."""
        return (float(self.flip), *self.parameters)


def uniforms(seed: int, epoch: int, key: str) -> Iterator[float]:
    """Endless random numbers in [0, 1) that depend on the three arguments alone."""
    digest = hashlib.blake2b(f"{seed}/{epoch}/{key}".encode(), digest_size=16).digest()
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
    while True:
        yield from generator.random(32).tolist()


def permutation(seed: int, epoch: int, count: int) -> list[int]:
    """The order in which an epoch visits ``count`` videos, depending on the arguments alone."""
    digest = hashlib.blake2b(f"{seed}/{epoch}/order".encode(), digest_size=16).digest()
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
    return [int(index) for index in np.argsort(generator.random(count), kind="stable")]


def starts_of(frames_total: int, frames: int) -> int:
    """Return the number of starts of a clip of ``frames`` in a video; a shorter one, padded, has one."""
    return max(frames_total - frames, 0) + 1


def random_crop(random: Iterator[float], width: int, height: int, least: float, most: float) -> Box:
    """A crop of a random share of the area, from ``least`` to ``most``, and random aspect, anywhere in the
    picture.

    After ten that do not fit, the largest centred crop of a permitted aspect.
    """
    low, high = math.log(ASPECT[0]), math.log(ASPECT[1])
    for _ in range(_CROP_TRIES):
        area = width * height * (least + (most - least) * next(random))
        aspect = math.exp(low + (high - low) * next(random))
        wide, tall = _even(math.sqrt(area * aspect)), _even(math.sqrt(area / aspect))
        if 2 <= wide <= width and 2 <= tall <= height:
            top = 2 * math.floor(next(random) * ((height - tall) // 2 + 1))
            left = 2 * math.floor(next(random) * ((width - wide) // 2 + 1))
            return Box(top, left, tall, wide)
    wide = min(width, math.floor(height * ASPECT[1])) // 2 * 2
    tall = min(height, math.floor(width / ASPECT[0])) // 2 * 2
    return _centred(width, height, wide, tall)


def _even(length: float) -> int:
    return 2 * round(length / 2)


def _centred(width: int, height: int, wide: int, tall: int) -> Box:
    return Box((height - tall) // 4 * 2, (width - wide) // 4 * 2, tall, wide)


def windows(frames_total: int, frames: int, most: int = 0) -> list[int]:
    """Return the starts of a moving window of ``frames`` over the whole video.

    They are half a window less one frame apart (CoCLR: 15 frames for windows of 32); the last one is flush to
    the end, so that every frame is seen. A video no longer than a window has one.

    Args:
        frames_total: of the video.
        frames: of a window.
        most: keep at most that many, evenly spread (1: the middle one); 0 keeps all.
    """
    last = starts_of(frames_total, frames) - 1
    starts = [*range(0, last, max(frames // 2 - 1, 1)), last]
    return starts if most == 0 else spread(starts, most)


def spread(items: Sequence[int], count: int) -> list[int]:
    """``count`` of the items, or all of fewer, in their order and evenly spread over them."""
    if len(items) <= count:
        return list(items)
    return [items[(2 * i + 1) * len(items) // (2 * count)] for i in range(count)]


def centre_crop(width: int, height: int, start: int) -> Draw:
    """The one test crop of a window: square, in the centre, neutral in all else."""
    side = _side(width, height)
    return Draw(start, _centred(width, height, side, side))


def ten_crops(width: int, height: int, start: int) -> list[Draw]:
    """The ten test crops of a window: four corners and the centre, each as it is and mirrored."""
    side = _side(width, height)
    bottom, right = (height - side) // 2 * 2, (width - side) // 2 * 2
    corners = [Box(top, left, side, side) for top in (0, bottom) for left in (0, right)]
    boxes = [*corners, _centred(width, height, side, side)]
    return [Draw(start, box, flip) for box in boxes for flip in (False, True)]


def _side(width: int, height: int) -> int:
    return _even(CENTRE * min(width, height))
