"""Which part of a video a sample shows, and how it is changed: pure functions of (seed, epoch, video).

The random numbers of a sample come from Philox, keyed by a hash of (seed, epoch, video key), and are used as
plain doubles in [0, 1). So they are the same for any number of ranks and workers, in any process, on any
machine.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from mvcgc.errors import UserError
from mvcgc.video import Box

ASPECT = (3 / 4, 4 / 3)
"""Width / height of a random crop, log-uniform."""

SIGMA = (0.1, 2.0)
"""Standard deviation of the blur in pixels of a 128-pixel picture (CoCLR); it scales with the picture."""

CENTRE = 0.875
"""Side of a test crop relative to the picture's short side: 224 of 256 (CoCLR)."""

_CROP_TRIES = 10


@dataclass
class ClipConfig:
    """A clip: ``frames`` consecutive frames, RGB of ``size`` x ``size`` pixels."""

    frames: int = 32
    size: int = 128

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


@dataclass
class AugmentConfig:
    """How training samples vary (CoCLR): probabilities and ranges, the same draw for all frames of a clip.

    Attributes:
        area: least and most area of the random crop, as a share of the picture.
        flip, jitter_p, grey_p, blur_p: probabilities.
        jitter: brightness, contrast, saturation (factors 1 +- x) and hue (turns +- x, at most 0.5).
        same_time_p: probability that the two clips of a sample show the same frames.
    """

    area: list[float] = field(default_factory=lambda: [0.2, 1.0])
    flip: float = 0.5
    jitter: list[float] = field(default_factory=lambda: [0.4, 0.4, 0.4, 0.1])
    jitter_p: float = 0.8
    grey_p: float = 0.2
    blur_p: float = 0.5
    same_time_p: float = 0.5

    def __post_init__(self) -> None:
        if len(self.area) != 2 or not 0 < self.area[0] <= self.area[1] <= 1:
            raise UserError(f"augment.area={list(self.area)}: use [least, most] with 0 < least <= most <= 1")
        if len(self.jitter) != 4 or not all(0 <= x <= 1 for x in self.jitter) or self.jitter[3] > 0.5:
            raise UserError(
                f"augment.jitter={list(self.jitter)}: use [brightness, contrast, saturation, hue] from 0 to "
                "1, hue to 0.5"
            )
        for name in ("flip", "jitter_p", "grey_p", "blur_p", "same_time_p"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"augment.{name}={getattr(self, name)}: a probability is from 0 to 1")


@dataclass(frozen=True)
class Draw:
    """One clip of one video and what is done to it; the defaults do nothing.

    Attributes:
        start: first frame.
        crop: in pixels of the upright picture, even sides and offsets (the grid of the chroma).
        flip: mirrored left to right.
        brightness, contrast, saturation: factors, 1 is neutral.
        hue: turns of the colour circle, 0 is neutral.
        order: which of the 24 orders the four of them are applied in.
        grey: no colour left.
        sigma: of the Gaussian blur, in pixels of a 128-pixel picture; 0 is none.
    """

    start: int
    crop: Box
    flip: bool = False
    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0
    order: int = 0
    grey: bool = False
    sigma: float = 0.0

    def row(self) -> tuple[float, ...]:
        """What the device needs to know, in the order of `COLUMNS`."""
        return tuple(float(getattr(self, name)) for name in COLUMNS)


COLUMNS = ("flip", "brightness", "contrast", "saturation", "hue", "order", "grey", "sigma")
"""The columns of ``Batch.draws``."""


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


def draw_pair(
    seed: int,
    epoch: int,
    video_key: str,
    *,
    frames_total: int,
    width: int,
    height: int,
    clip: ClipConfig,
    augment: AugmentConfig,
) -> tuple[Draw, Draw]:
    """The two clips of one training sample; supervised training takes the first.

    With probability ``same_time_p`` both show the same frames, else (where the video is longer than a clip)
    they start at different frames; crops and all else are drawn for each. ``width`` and ``height`` are of the
    upright picture.
    """
    random = uniforms(seed, epoch, f"clips/{video_key}")
    room = _room(frames_total, clip)
    first = math.floor(next(random) * room)
    same = next(random) < augment.same_time_p
    shift = next(random)
    second = first if same or room == 1 else (first + 1 + math.floor(shift * (room - 1))) % room
    return (
        _draw(random, first, width, height, augment),
        _draw(random, second, width, height, augment),
    )


def _room(frames_total: int, clip: ClipConfig) -> int:
    """The number of starts there are."""
    assert frames_total >= clip.frames, (
        f"{frames_total} frames, a clip takes {clip.frames}; prepare refuses such"
    )
    return frames_total - clip.frames + 1


def _draw(random: Iterator[float], start: int, width: int, height: int, augment: AugmentConfig) -> Draw:
    crop = random_crop(random, width, height, augment.area[0], augment.area[1])
    flip = next(random) < augment.flip
    jittered = next(random) < augment.jitter_p
    signed = [2 * next(random) - 1 for _ in range(4)]
    order = math.floor(24 * next(random))
    grey = next(random) < augment.grey_p
    blurred = next(random) < augment.blur_p
    sigma = SIGMA[0] + (SIGMA[1] - SIGMA[0]) * next(random)
    factors = [1 + x * limit for x, limit in zip(signed[:3], augment.jitter[:3], strict=True)]
    return Draw(
        start,
        crop,
        flip,
        brightness=factors[0] if jittered else 1.0,
        contrast=factors[1] if jittered else 1.0,
        saturation=factors[2] if jittered else 1.0,
        hue=signed[3] * augment.jitter[3] if jittered else 0.0,
        order=order if jittered else 0,
        grey=grey,
        sigma=sigma if blurred else 0.0,
    )


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
    """Starts of a moving window of ``frames`` over the whole video, half a window apart, the last one flush
    to the end.

    ``most`` keeps at most that many, evenly spread (1: the middle one); 0 keeps all.
    """
    assert frames_total >= frames, f"{frames_total} frames, a window takes {frames}; prepare refuses such"
    last = frames_total - frames
    starts = [*range(0, last, max(frames // 2, 1)), last]
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
