"""What the measurement of speed and storage is told."""

from dataclasses import dataclass
from enum import Enum

from mvcgc.data.clips.modalities import MV, MV_COVIAR, RGB
from mvcgc.data.clips.sampling import ClipConfig, MotionConfig
from mvcgc.errors import UserError
from mvcgc.models.backbone import BackboneConfig
from mvcgc.stages.evaluate.spec import TestConfig
from mvcgc.stages.spec import StageDataset, check_clip


class Stored(Enum):
    """As what videos lie on the disk, from where they get to the networks."""

    COMPRESSED = "compressed"
    """As they are; decoded when they are needed."""
    RECODED = "recoded"
    """Encoded again to MPEG-4 part 2, P-frames only (CoViAR, IMRNet); then as COMPRESSED."""
    JPEG = "jpeg"
    """All frames and the optical flow between them as JPEG files (two-stream networks)."""


_STORED = {
    (): Stored.COMPRESSED,
    (MV,): Stored.COMPRESSED,
    (MV_COVIAR,): Stored.RECODED,
    ("flow",): Stored.JPEG,
    ("flow_dis",): Stored.JPEG,
}


@dataclass
class EfficiencyConfig:
    """How speed is measured: on so many test videos, evenly spread; their medians are the figures."""

    videos: int = 10

    def __post_init__(self) -> None:
        if self.videos < 1:
            raise UserError(f"efficiency.videos={self.videos}: measure one video at least")


@dataclass
class EfficiencySpec:
    """``efficiency/<dataset>``: the cost of testing with networks of these ``views``. Weights do not matter.

    ``motion`` is as in `mvcgc.stages.spec.PretrainSpec`.
    """

    views: list[str]
    dataset: StageDataset
    clip: ClipConfig
    motion: MotionConfig | None
    backbone: BackboneConfig
    test: TestConfig
    sample: EfficiencyConfig

    def __post_init__(self) -> None:
        check_clip(self.views, self.clip, self.motion)
        if self._moving not in _STORED:
            known = ", ".join(view for views in _STORED for view in views)
            raise UserError(f"views={self.views}: speed is measured with rgb and at most one of {known}")

    @property
    def _moving(self) -> tuple[str, ...]:
        return tuple(view for view in self.views if view != RGB)

    @property
    def stored(self) -> Stored:
        """As what videos with these views are commonly stored."""
        return _STORED[self._moving]
