"""Specification of pre-training stages."""

from dataclasses import dataclass, field

from mvcgc.data.augment.base import AugmentationConfig
from mvcgc.data.clips.modality import ModalityConfig
from mvcgc.data.clips.sampling import ClipConfig, MotionConfig
from mvcgc.method.base import MethodConfig
from mvcgc.models.backbone import BackboneConfig
from mvcgc.stages.spec import StageDataset, check_clip
from mvcgc.train.optim import OptimConfig


@dataclass
class PretrainSpec:
    """``init/<view>``, one view with InfoNCE, and ``cross``, with any method that has a second stage.

    ``motion`` is None where no view is a motion view, so that what it says cannot make two equal stages
    differ. ``weights`` are the SHA-256 of the files that encoders start from in place of a parent, by view.
    """

    views: list[str]
    modalities: dict[str, ModalityConfig]
    dataset: StageDataset
    clip: ClipConfig
    motion: MotionConfig | None
    augment: AugmentationConfig
    backbone: BackboneConfig
    method: MethodConfig
    optim: OptimConfig
    seed: int
    weights: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_clip(self.views, self.modalities, self.clip, self.motion, self.backbone)
        self.method.part.check(self.method, self.views, self.optim.epochs)
