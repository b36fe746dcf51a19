"""Colour jitter, greyscale and blur of each clip on its own: ``augment=strong``."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from mvcgc.data.augment.base import Augmentation, AugmentationConfig, Draws, check_probabilities
from mvcgc.data.augment.colour import LUMA, apply, blur, grey, jitter
from mvcgc.data.clips.modalities import REFERENCE_SIZE
from mvcgc.data.clips.modality import Modality
from mvcgc.errors import UserError

SIGMA = (0.1, 2.0)
"""Standard deviation of the blur in pixels of a 128-pixel picture (CoCLR); it scales with the picture."""


class Photometric(Augmentation):
    """Change the colours of each clip of a sample, drawn independently; all frames of a clip alike.

    Columns: ``brightness``, ``contrast``, ``saturation`` are factors; ``hue`` turns of the colour circle;
    ``order`` which of the 24 orders these four are applied in; ``grey`` 0 or a kind of greyscale
    (`mvcgc.data.augment.colour`); ``sigma`` of the blur in pixels of a 128-pixel picture, 0 for none.
    """

    version = 1
    columns: ClassVar[Mapping[str, float]] = {
        "brightness": 1.0,
        "contrast": 1.0,
        "saturation": 1.0,
        "hue": 0.0,
        "order": 0.0,
        "grey": 0.0,
        "sigma": 0.0,
    }

    @dataclass
    class Config(AugmentationConfig):
        """Settings of photometric changes.

        Attributes:
            jitter: brightness, contrast, saturation (factors 1 +- x) and hue (turns +- x, at most 0.5).
            jitter_p: probability of the colour jitter.
            grey_p: probability of greyscale.
            blur_p: probability of Gaussian blur.
        """

        jitter: list[float] = field(default_factory=lambda: [0.4, 0.4, 0.4, 0.1])
        jitter_p: float = 0.8
        grey_p: float = 0.2
        blur_p: float = 0.5

        def __post_init__(self) -> None:
            super().__post_init__()
            if len(self.jitter) != 4 or not all(0 <= x <= 1 for x in self.jitter) or self.jitter[3] > 0.5:
                raise UserError(
                    f"augment.jitter={list(self.jitter)}: use [brightness, contrast, saturation, hue] from 0 "
                    "to 1, hue to 0.5"
                )
            check_probabilities(self, "jitter_p", "grey_p", "blur_p")

    config: Config

    def parameters(self, random: Iterator[float]) -> tuple[float, ...]:
        """Draw the photometric change of a clip; as many numbers are taken whatever comes of them."""
        config = self.config
        jittered = next(random) < config.jitter_p
        signed = [2 * next(random) - 1 for _ in range(4)]
        order = math.floor(24 * next(random))
        greyed = next(random) < config.grey_p
        blurred = next(random) < config.blur_p
        sigma = SIGMA[0] + (SIGMA[1] - SIGMA[0]) * next(random)
        factors = [1 + x * limit for x, limit in zip(signed[:3], config.jitter[:3], strict=True)]
        found = {
            "brightness": factors[0] if jittered else 1.0,
            "contrast": factors[1] if jittered else 1.0,
            "saturation": factors[2] if jittered else 1.0,
            "hue": signed[3] * config.jitter[3] if jittered else 0.0,
            "order": order if jittered else 0,
            "grey": self.grey(random) if greyed else 0,
            "sigma": sigma if blurred else 0.0,
        }
        return tuple(float(found[name]) for name in Photometric.columns)

    def grey(self, random: Iterator[float]) -> int:
        """Return the kind of greyscale; luma by default."""
        return LUMA

    def change(self, clips: Float[Tensor, "M C T H W"], draws: Draws, modality: Modality) -> None:
        """Jitter, grey and blur RGB clips, in this order; motion keeps its values."""
        if not modality.colour:
            return
        jitter(clips, draws)
        apply(grey, clips, draws["grey"])
        size = clips.shape[-1]
        widest = SIGMA[1] * size / REFERENCE_SIZE
        apply(
            partial(blur, widest=widest), clips, [sigma * size / REFERENCE_SIZE for sigma in draws["sigma"]]
        )
