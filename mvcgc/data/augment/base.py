"""Base of augmentations: which clips a sample shows, and how they are changed on the device.

An augmentation of one's own derives from `Augmentation` or from a built-in one and overrides what differs::

    class Inverted(Photometric):
        version = 1
        columns = {**Photometric.columns, "invert": 0.0}

        @dataclass
        class Config(Photometric.Config):
            invert_p: float = 0.1

        def parameters(self, random):
            return (*super().parameters(random), float(next(random) < self.config.invert_p))

        def change(self, clips, draws, modality):
            super().change(clips, draws, modality)
            if modality.colour:
                apply(lambda chosen, _: 1 - chosen, clips, draws["invert"])
"""

import math
from abc import ABC
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from mvcgc.data.clips.modality import Modality
from mvcgc.data.clips.sampling import ClipConfig, Draw, random_crop, starts_of
from mvcgc.errors import UserError
from mvcgc.parts import Part, PartConfig

Draws = Mapping[str, Sequence[float]]
"""By column: its value for each of M clips, on the host: choosing clips never waits for the device."""


@dataclass
class AugmentationConfig(PartConfig):
    """Settings that every augmentation has.

    Attributes:
        area: least and most area of the random crop, as a share of the picture.
        flip: probability that a clip is mirrored left to right.
        same_time_p: probability that the two clips of a sample show the same frames.
    """

    part: ClassVar[type["Augmentation"]]
    area: list[float] = field(default_factory=lambda: [0.2, 1.0])
    flip: float = 0.5
    same_time_p: float = 0.5

    def __post_init__(self) -> None:
        if len(self.area) != 2 or not 0 < self.area[0] <= self.area[1] <= 1:
            raise UserError(f"augment.area={list(self.area)}: use [least, most] with 0 < least <= most <= 1")
        check_probabilities(self, "flip", "same_time_p")


def check_probabilities(config: AugmentationConfig, *names: str) -> None:
    """Raise UserError for a setting that is no probability."""
    for name in names:
        if not 0 <= getattr(config, name) <= 1:
            raise UserError(f"augment.{name}={getattr(config, name)}: a probability is from 0 to 1")


@dataclass(frozen=True)
class Footage:
    """All that a draw may know of its video: ``frames``, and the upright picture in pixels; and the clip."""

    frames: int
    width: int
    height: int
    clip: ClipConfig


class Augmentation(Part, ABC):
    """Random time, crop and flip; subclasses add parameters and what the device does with them.

    Sampling runs in the process of the rank, whoever decodes: worker processes get finished `Draw`s, plain
    data, and never import this class. So an augmentation may import torch, and nothing has to be done for
    workers to find the module of one's own.

    Results are the same for every number of ranks and workers as long as every random number comes from the
    stream that is handed in: it depends on (seed, epoch, video) alone. Never use torch's or NumPy's global
    generators.

    Attributes:
        columns: names of the parameters of a clip beside crop and flip, each with the value that changes
            nothing.
    """

    Config: ClassVar[type[AugmentationConfig]] = AugmentationConfig
    columns: ClassVar[Mapping[str, float]] = {}

    def __init__(self, config: AugmentationConfig) -> None:
        self.config = config

    def draw(self, random: Iterator[float], footage: Footage) -> tuple[Draw, Draw]:
        """Return the two clips of a training sample; supervised training takes the first.

        With probability ``same_time_p`` both show the same frames, else (where the video is longer than a
        clip) they start at different frames; crops and all else are drawn for each.

        Args:
            random: endless numbers in [0, 1) that belong to this sample.
            footage: what is known of its video.
        """
        room = starts_of(footage.frames, footage.clip.frames)
        first = math.floor(next(random) * room)
        same = next(random) < self.config.same_time_p
        shift = next(random)
        second = first if same or room == 1 else (first + 1 + math.floor(shift * (room - 1))) % room
        return self.clip(random, first, footage), self.clip(random, second, footage)

    def clip(self, random: Iterator[float], start: int, footage: Footage) -> Draw:
        """Draw the crop, the flip and the parameters of a clip that begins at frame ``start``."""
        crop = random_crop(random, footage.width, footage.height, *self.config.area)
        flip = next(random) < self.config.flip
        return Draw(start, crop, flip, self.parameters(random))

    def parameters(self, random: Iterator[float]) -> tuple[float, ...]:
        """Draw a value for each of ``columns``; by default there are none."""
        return ()

    def change(self, clips: Float[Tensor, "M C T H W"], draws: Draws, modality: Modality) -> None:
        """Change clips on their device, in place, by what was drawn for each; nothing by default.

        Args:
            clips: cropped and mirrored; R, G and B in [0, 1] of colour, the network's input of other
                modalities.
            draws: values of ``columns``.
            modality: what the clips are of. All modalities of a clip share its draw.
        """
