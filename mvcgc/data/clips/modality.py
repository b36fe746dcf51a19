"""Base of modalities: what a network sees of a clip, and how it is made of what the file holds.

A modality of one's own derives from `Modality` and is named by a file of the group ``views``, with which
``views=[rgb,diff]`` is all that there is to type::

    # conf/views/diff.yaml
    # @package views.diff
    _target_: mylab.modalities.Difference
    gain: 2.0

    # mylab/modalities.py
    class Difference(Modality):
        version = 1
        channels = 1
        planes = True

        @dataclass
        class Config(ModalityConfig):
            gain: float = 1.0

        def make(self, decoded, out):
            luma = decoded.planes[0].astype(np.float16)
            out[0, 0] = 0
            np.subtract(luma[1:], luma[:-1], out=out[0, 1:])

        def to_input(self, clips, out):
            out.copy_(clips).mul_(self.config.gain / 255)

Worker processes import the module of a modality, found where this process finds it. Nothing that they import
should import torch, which would make each three times as large and start seconds later: use the tensors' own
methods in what runs on the device, or import torch within it.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float16, Shaped, UInt8

from mvcgc.data.clips.motion import crop_motion
from mvcgc.data.clips.sampling import ClipConfig, MotionConfig
from mvcgc.errors import UserError
from mvcgc.parts import Part, PartConfig
from mvcgc.video import Box, MotionField

Tensor = Any
"""torch's, which is not imported here."""


class Vectors(Enum):
    """Which motion vectors a modality is made of."""

    STORED = "stored"
    """Those of the file, or block-matched ones where ``dataset.mestimate`` permits them."""
    RECODED = "recoded"
    """Those of the file once it is encoded again (`mvcgc.video.coviar`)."""


@dataclass
class ModalityConfig(PartConfig):
    """Settings that every modality has: none."""

    part: ClassVar[type["Modality"]]


@dataclass(frozen=True)
class Decoded:
    """What was decoded of one crop of a clip, all of its frames.

    Attributes:
        planes: Y', Cb and Cr of the crop (`mvcgc.video.colour`), scaled to the modality's size; None where it
            needs none.
        field: motion on cells of ``cell`` pixels of the whole picture, without gaps; None where the modality
            needs none.
        cell: side of a cell in pixels.
        crop: in pixels of the upright picture.
    """

    planes: UInt8[np.ndarray, "3 T S S"] | None
    field: MotionField | None
    cell: int
    crop: Box

    def sample(self, out: Float16[np.ndarray, "T s s 2"]) -> None:
        """Write the motion of the crop, (dx right, dy down) in pixels of the s x s picture per frame.

        It points from the past to the current frame. Where the stream does not tell a cell's motion, it is
        that of the nearest frame of the clip that does, else 0.
        """
        assert self.field is not None, "a modality that declares no vectors gets none"
        crop_motion(self.field, self.cell, self.crop, out)


class Modality(Part, ABC):
    """What one network sees of a clip.

    A clip of it is made in a worker with NumPy (`make`), travels as an array of ``dtype`` and becomes the
    network's input on the device (`to_input`). Clips of different modalities show the same crop.

    Attributes:
        channels: of the network's input.
        dtype: of the stored clip.
        channels_last: whether a stored clip is [T, S, S, C] instead of [C, T, S, S].
        planes: whether it is made of pictures.
        vectors: which motion vectors it is made of; None for none.
        moving: whether its side is ``motion.size`` instead of ``clip.size``.
        colour: whether it is stored as the planes of pictures. They become RGB and are changed by an
            augmentation and normalised in `mvcgc.data.inputs`; `to_input` is not called.
    """

    Config: ClassVar[type[ModalityConfig]] = ModalityConfig
    channels: ClassVar[int]
    dtype: ClassVar[type[np.generic]] = np.float16
    channels_last: ClassVar[bool] = False
    planes: ClassVar[bool] = False
    vectors: ClassVar[Vectors | None] = None
    moving: ClassVar[bool] = False
    colour: ClassVar[bool] = False

    def __init__(self, config: ModalityConfig) -> None:
        self.config = config

    @abstractmethod
    def make(self, decoded: Decoded, out: Shaped[np.ndarray, "..."]) -> None:
        """Write a clip into ``out``, in a worker; of as many frames as were decoded."""

    def room(self, out: Shaped[np.ndarray, "..."]) -> UInt8[np.ndarray, "3 T S S"] | None:
        """Return where the planes may be decoded to, to save a copy; by default nowhere in ``out``."""
        return None

    def to_input(self, clips: Tensor, out: Tensor) -> None:
        """Write the network's input of stored clips, on their device; by default the numbers as they are.

        Args:
            clips: of ``dtype``, [M, C, T, S, S], mirrored where their draw says so.
            out: float32 of the same shape.
        """
        out.copy_(clips)

    def mirrored(self, clips: Tensor) -> Tensor:
        """Return stored clips, [M, C, T, S, S], mirrored left to right."""
        return clips.flip(-1)

    def size(self, clip: ClipConfig, motion: MotionConfig) -> int:
        """Return the side of its clips in pixels."""
        return motion.size if self.moving else clip.size

    def shape(self, frames: int, size: int) -> tuple[int, ...]:
        """Return the shape of a stored clip."""
        inner = (frames, size, size)
        return (*inner, self.channels) if self.channels_last else (self.channels, *inner)

    def part_of(self, stored: Shaped[np.ndarray, "..."], frames: slice) -> Shaped[np.ndarray, "..."]:
        """Return some frames of a stored clip; nothing is copied."""
        return stored[frames] if self.channels_last else stored[:, frames]

    def time_first(self, stored: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "T ..."]:
        """Return a stored clip with its frames along the first axis; nothing is copied."""
        return stored if self.channels_last else stored.swapaxes(0, 1)


def check_views(views: Sequence[str], modalities: Mapping[str, ModalityConfig], key: str = "views") -> None:
    """Raise UserError unless ``views`` are one or more different names of ``modalities``, of one reading."""
    for view in views:
        if view not in modalities:
            raise UserError(f"{key}={list(views)}: no view {view!r}; choose from {', '.join(modalities)}")
    if not views or len(set(views)) != len(views):
        raise UserError(f"{key}={list(views)}: name one or more different views")
    if len({modalities[view].part.vectors for view in views} - {None}) > 1:
        raise UserError(
            f"{key}={list(views)}: a file is read for its own vectors or for new ones, choose one"
        )


def needs_vectors(modalities: Mapping[str, ModalityConfig], views: Sequence[str]) -> bool:
    """Return whether these views need files with motion vectors."""
    return any(modalities[view].part.vectors is Vectors.STORED for view in views)


def uses_motion(modalities: Mapping[str, ModalityConfig], views: Sequence[str]) -> bool:
    """Return whether a `MotionConfig` means something to any of these views."""
    parts = [modalities[view].part for view in views]
    return any(part.moving or part.vectors for part in parts)


def of_stored_vectors(modality: Modality) -> Modality:
    """Return the same modality made of the vectors of a file that has been encoded again already."""
    if modality.vectors is not Vectors.RECODED:
        return modality
    same = copy.copy(modality)
    same.__dict__["vectors"] = Vectors.STORED
    return same


def built(modalities: Mapping[str, ModalityConfig], views: Sequence[str]) -> dict[str, Modality]:
    """Return the modalities of ``views``, in this order."""
    return {view: modalities[view].part(modalities[view]) for view in views}
