"""Placement of labels beside points, so that none covers another label or point.

matplotlib has nothing for it. Offsets that are the same for all points put labels on each other and on
points, in figure 1 as well as in the sweep of motion resolutions; numbered points with a list beside them
take two fifths of the width and have to be looked up.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Box:
    """A rectangle, in points."""

    left: float
    bottom: float
    right: float
    top: float

    def shared(self, other: "Box") -> float:
        """The area of what both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(width, 0.0) * max(height, 0.0)

    @property
    def area(self) -> float:
        """Of the rectangle."""
        return (self.right - self.left) * (self.top - self.bottom)


@dataclass(frozen=True)
class Anchor:
    """What is to be labelled: a disc at (x, y), and the size of its label, in points."""

    x: float
    y: float
    radius: float
    width: float
    height: float

    @property
    def box(self) -> Box:
        """Around the disc."""
        return Box(self.x - self.radius, self.y - self.radius, self.x + self.radius, self.y + self.radius)


_DIRECTIONS = tuple((float(np.cos(a)), float(np.sin(a))) for a in np.arange(16) * np.pi / 8)
_DISTANCES = (3.0, 12.0, 24.0, 40.0, 60.0, 84.0)
_PASSES = 8


def place(anchors: Sequence[Anchor], room: Box, obstacles: Sequence[Box] = ()) -> list[Box]:
    """A box for the label of each anchor, beside it, within ``room``, off the other labels and the discs.

    Labels are placed one by one and then, given all others, again, until none moves: what overlaps least
    wins, then what is nearest. Where there is no free place labels do overlap.
    """
    order = sorted(range(len(anchors)), key=lambda index: -anchors[index].radius)
    placed: dict[int, Box] = {}
    discs = [anchor.box for anchor in anchors]
    for _ in range(_PASSES):
        before = dict(placed)
        for index in order:
            others = [box for other, box in placed.items() if other != index]
            taken = [*others, *discs, *obstacles]
            placed[index] = min(_candidates(anchors[index]), key=lambda c: _badness(c, taken, room))[0]
        if placed == before:
            break
    return [placed[index] for index in range(len(anchors))]


def _candidates(anchor: Anchor) -> list[tuple[Box, float]]:
    """Boxes around the anchor, and how far each is from it; above and to the right come first."""
    found = []
    for distance in _DISTANCES:
        for rank, (east, north) in enumerate(_DIRECTIONS):
            reach = anchor.radius + distance
            x = anchor.x + east * reach + (east - 1) / 2 * anchor.width
            y = anchor.y + north * reach + (north - 1) / 2 * anchor.height
            found.append((Box(x, y, x + anchor.width, y + anchor.height), distance + 0.1 * rank))
    return found


def _badness(candidate: tuple[Box, float], taken: Sequence[Box], room: Box) -> tuple[float, float]:
    box, distance = candidate
    outside = box.area - box.shared(room)
    return round(outside * 4 + sum(box.shared(other) for other in taken), 3), distance
