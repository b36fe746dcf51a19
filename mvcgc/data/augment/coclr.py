"""CoCLR's augmentations: far fewer colours change than in ``augment=strong`` (Han et al., NeurIPS 2020).

Source: the authors' repository, TengdaHan/CoCLR (utils/augmentation.py, main_nce.py, main_coclr.py, and
eval/main_classifier.py for the probe).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from mvcgc.data.augment.base import Footage, check_probabilities
from mvcgc.data.augment.colour import CHANNELS
from mvcgc.data.augment.photometric import Photometric
from mvcgc.data.clips.sampling import Draw, starts_of


class CoCLR(Photometric):
    """Two random clips of a video, of which one is dropped half of the time.

    - One clip (with probability ``same_time_p``): the clip that is left is shown twice, each with its own
      crop and flip; one copy gets the strong transform, the other the weak one.
    - Two clips: each gets the strong transform with probability ``strong_p``, else the weak one.

    The weak transform is crop and flip; the strong one also jitter, greyscale and blur.
    """

    version = 1

    @dataclass
    class Config(Photometric.Config):
        """Settings of CoCLR's augmentation.

        Attributes:
            strong_p: probability of the strong transform for each of two clips.
        """

        strong_p: float = 0.3

        def __post_init__(self) -> None:
            super().__post_init__()
            check_probabilities(self, "strong_p")

    config: Config

    def draw(self, random: Iterator[float], footage: Footage) -> tuple[Draw, Draw]:
        """Return the two clips of a sample."""
        starts = [coclr_start(random, footage) for _ in range(2)]
        one_clip = next(random) < self.config.same_time_p
        kept, strong = next(random) < 0.5, next(random) < 0.5
        draws = [next(random) < self.config.strong_p for _ in range(2)]
        if one_clip:
            starts, draws = [starts[kept]] * 2, [strong, not strong]
        first, second = (
            self._transformed(random, start, footage, strong)
            for start, strong in zip(starts, draws, strict=True)
        )
        return first, second

    def grey(self, random: Iterator[float]) -> int:
        """Return one random channel, whose values all three take."""
        return CHANNELS[math.floor(3 * next(random))]

    def _transformed(self, random: Iterator[float], start: int, footage: Footage, strong: bool) -> Draw:
        drawn = self.clip(random, start, footage)
        return drawn if strong else replace(drawn, parameters=tuple(self.columns.values()))


class Probe(Photometric):
    """One clip for a classifier: crop, flip and, now and then, colour jitter; no greyscale and no blur."""

    version = 1

    @dataclass
    class Config(Photometric.Config):
        """Settings of the photometric changes under a classifier."""

        jitter_p: float = 0.3
        grey_p: float = 0.0
        blur_p: float = 0.0

    def draw(self, random: Iterator[float], footage: Footage) -> tuple[Draw, Draw]:
        """Return two independent clips, of which a classifier takes the first."""
        starts = [coclr_start(random, footage) for _ in range(2)]
        first, second = (self.clip(random, start, footage) for start in starts)
        return first, second


def coclr_start(random: Iterator[float], footage: Footage) -> int:
    """Return a start that is uniform in [0, frames - clip): CoCLR leaves the last one out."""
    room = starts_of(footage.frames, footage.clip.frames) - 1
    return math.floor(next(random) * max(room, 1))
