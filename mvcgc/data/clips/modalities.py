"""The built-in modalities: RGB, motion vectors and optical flow, cropped and sized alike."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float16, UInt8

from mvcgc.data.clips.modality import Decoded, Modality, ModalityConfig, Tensor, Vectors, built
from mvcgc.data.clips.motion import in_blocks
from mvcgc.video import FlowMethod, flow, to_grey

RGB = "rgb"
MV = "mv"

REFERENCE_SIZE = 128
"""Side in pixels of the frame that standard deviations of a blur, and motion, refer to."""

MOTION_LIMIT = 20.0
"""Longer components are cut off: pixels of the reference frame per frame."""

MOTION_UNIT = 4.0
"""What becomes 1.0: pixels of the reference frame per frame. Typical motion is then below 1."""


class Rgb(Modality):
    """Frames, stored as the codec keeps them: the planes of `mvcgc.video.colour`, uint8."""

    version = 1
    channels = 3
    dtype = np.uint8
    planes = True
    colour = True

    def make(self, decoded: Decoded, out: UInt8[np.ndarray, "3 T S S"]) -> None:
        """Take the planes as they are; mostly they were decoded to where they belong."""
        assert decoded.planes is not None
        if not np.may_share_memory(decoded.planes, out):
            out[...] = decoded.planes

    def room(self, out: UInt8[np.ndarray, "3 T S S"]) -> UInt8[np.ndarray, "3 T S S"]:
        """Return the clip itself."""
        return out


class Motion(Modality):
    """Two components of motion, (dx right, dy down), float16 in pixels of the s x s picture per frame.

    The networks see it in units of MOTION_UNIT pixels of a 128-pixel frame, whatever its size, so that input
    sizes can be compared. A flip negates dx.
    """

    channels = 2
    channels_last = True
    moving = True

    def to_input(self, clips: Tensor, out: Tensor) -> None:
        """Scale to the reference frame, cut off long vectors, divide by the unit."""
        out.copy_(clips)
        out.mul_(REFERENCE_SIZE / out.shape[-1]).clamp_(-MOTION_LIMIT, MOTION_LIMIT).div_(MOTION_UNIT)

    def mirrored(self, clips: Tensor) -> Tensor:
        """Mirror the cells, and the direction to the right."""
        flipped = clips.flip(-1)
        flipped[:, 0].neg_()
        return flipped


class MotionVectors(Motion):
    """The codec's motion vectors, one for ``motion.cell`` x ``motion.cell`` pixels."""

    version = 1
    vectors = Vectors.STORED

    def make(self, decoded: Decoded, out: Float16[np.ndarray, "T s s 2"]) -> None:
        """Sample the cells at the pixels of the crop."""
        decoded.sample(out)


class RecodedVectors(MotionVectors):
    """Vectors of the video encoded again to MPEG-4 part 2, P-frames only (CoViAR, IMRNet)."""

    version = 1
    vectors = Vectors.RECODED


class Flow(Motion):
    """Optical flow, computed on the crop as the network sees it; frame 0 repeats frame 1."""

    version = 1
    planes = True

    @dataclass
    class Config(ModalityConfig):
        """Settings of optical flow.

        Attributes:
            method: TVL1 or DIS.
            low: one value for 2x2 pixels, their mean (the paper's table 2).
        """

        method: FlowMethod = FlowMethod.TVL1
        low: bool = False

    config: Config

    def make(self, decoded: Decoded, out: Float16[np.ndarray, "T s s 2"]) -> None:
        """Compute the flow from luma."""
        assert decoded.planes is not None
        field = flow(to_grey(decoded.planes[0]), self.config.method)
        out[...] = in_blocks(field) if self.config.low else field


def settings(*views: str) -> dict[str, ModalityConfig]:
    """Return the settings of built-in modalities (of all if none is named), as the files of ``views`` say."""
    known: dict[str, ModalityConfig] = {
        RGB: Rgb.Config(),
        MV: MotionVectors.Config(),
        "mv_coviar": RecodedVectors.Config(),
        "flow": Flow.Config(),
        "flow_low": Flow.Config(low=True),
        "flow_dis": Flow.Config(FlowMethod.DIS),
        "flow_dis_low": Flow.Config(FlowMethod.DIS, low=True),
    }
    return {view: known[view] for view in views or known}


def built_in(*views: str) -> dict[str, Modality]:
    """Return built-in modalities by their names."""
    return built(settings(*views), views)
