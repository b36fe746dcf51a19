"""Specification of the stages that evaluate encoders."""

from dataclasses import dataclass
from enum import Enum

from mvcgc.data.clips.sampling import AugmentConfig, ClipConfig, MotionConfig
from mvcgc.errors import UserError
from mvcgc.models.backbone import BackboneConfig
from mvcgc.stages.spec import StageDataset, check_clip
from mvcgc.train.optim import OptimConfig


class Downstream(Enum):
    """What is done with pre-trained encoders."""

    linear = "linear"
    finetune = "finetune"
    retrieve = "retrieve"
    efficiency = "efficiency"
    activation = "activation"


@dataclass
class TestConfig:
    """How a video is tested: ``crops`` per window, 1 (the centre) or 10, over a moving window.

    ``windows`` takes at most that many, evenly spread; 0 takes as many as cover the whole video.
    """

    __test__ = False  # no test class, whatever pytest thinks of the name

    crops: int = 10
    windows: int = 0

    def __post_init__(self) -> None:
        if self.crops not in (1, 10):
            raise UserError(
                f"test.crops={self.crops}: use 1 (the centre) or 10 (corners and centre, mirrored)"
            )
        if self.windows < 0:
            raise UserError(f"test.windows={self.windows}: use a number of windows, or 0 for the whole video")


@dataclass
class EvaluateSpec:
    """``linear/<dataset>``, ``finetune/<dataset>`` and ``retrieve/<dataset>``, on the encoders of the
    parents.

    ``motion`` is as in `PretrainSpec`; ``optim`` is None for retrieval, which trains nothing.

    ``draws`` is for the linear probe alone. It learns from the features of so many random clips per training
    video, clip e modulo ``draws`` in epoch e: with as many as there are epochs no clip comes twice.
    ``dropout``, of the features under the classifier, is for full fine-tuning alone.
    """

    task: Downstream
    views: list[str]
    dataset: StageDataset
    clip: ClipConfig
    motion: MotionConfig | None
    augment: AugmentConfig
    backbone: BackboneConfig
    test: TestConfig
    optim: OptimConfig | None
    draws: int | None
    dropout: float | None
    seed: int

    def __post_init__(self) -> None:
        own = (Downstream.efficiency, Downstream.activation)
        assert self.task not in own, f"{self.task.value} has a specification of its own"
        check_clip(self.views, self.clip, self.motion)
        for key, needed in (
            ("optim", self.task is not Downstream.retrieve),
            ("draws", self.task is Downstream.linear),
            ("dropout", self.task is Downstream.finetune),
        ):
            if (getattr(self, key) is not None) != needed:
                raise UserError(f"{key}={getattr(self, key)} does not go with task={self.task.value}")
        if self.draws is not None and self.draws < 1:
            raise UserError(f"draws={self.draws}: the linear probe learns from one clip per video at least")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise UserError(f"dropout={self.dropout}: give a probability from 0 up to, but not including, 1")
