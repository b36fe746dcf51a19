"""What the demo dataset is made of."""

from dataclasses import dataclass

from mvcgc.data.demo.motions import Motion
from mvcgc.errors import UserError

MIN_SIZE = 64
STEP = 16
"""Sides are whole macroblocks."""
MIN_FRAMES = 16


@dataclass
class DemoConfig:
    """How many videos, and of what kind.

    Attributes:
        train, val, test: number of videos of each part; the classes share them evenly.
        classes: number of classes, the first of `Motion`.
        size: side of the square picture in pixels.
        frames: length of a video; it plays at 25 frames per second.
        seed: chooses every video's content.
    """

    train: int = 400
    val: int = 120
    test: int = 160
    classes: int = len(Motion)
    size: int = 96
    frames: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        if not 2 <= self.classes <= len(Motion):
            raise UserError(f"dataset.classes={self.classes}: give 2 to {len(Motion)}")
        for part in ("train", "val", "test"):
            videos = getattr(self, part)
            if videos < self.classes:
                raise UserError(f"dataset.{part}={videos}: give at least one per class, {self.classes}")
        if self.size < MIN_SIZE or self.size % STEP:
            raise UserError(f"dataset.size={self.size}: give a multiple of {STEP} from {MIN_SIZE} on")
        if self.frames < MIN_FRAMES:
            raise UserError(f"dataset.frames={self.frames}: give {MIN_FRAMES} or more")
        if self.seed < 0:
            raise UserError(f"dataset.seed={self.seed}: give 0 or more")
