"""What the class activation is told."""

from dataclasses import dataclass, field

from mvcgc.data.clips.sampling import ClipConfig, MotionConfig
from mvcgc.errors import UserError
from mvcgc.models.backbone import BackboneConfig
from mvcgc.stages.spec import StageDataset, check_clip


@dataclass
class ActivationConfig:
    """Which test videos are looked at: ``videos`` of them, evenly spread over the classes, or those of
    ``names``, paths within the dataset.
    """

    videos: int = 8
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.videos < 1:
            raise UserError(f"activation.videos={self.videos}: look at one video at least")
        if len(set(self.names)) != len(self.names):
            raise UserError(f"activation.names={list(self.names)}: name different videos")


@dataclass
class ActivationSpec:
    """``activation/<dataset>``, of the encoders of the parents under the linear probe of the parent
    ``linear``. ``motion`` is as in `mvcgc.stages.spec.PretrainSpec`.
    """

    views: list[str]
    dataset: StageDataset
    clip: ClipConfig
    motion: MotionConfig | None
    backbone: BackboneConfig
    sample: ActivationConfig

    def __post_init__(self) -> None:
        check_clip(self.views, self.clip, self.motion)
