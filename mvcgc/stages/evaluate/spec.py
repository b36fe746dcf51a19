"""Specification of the stages that evaluate encoders."""

from dataclasses import dataclass, field

from mvcgc.data.augment.base import AugmentationConfig
from mvcgc.data.clips.modality import ModalityConfig
from mvcgc.data.clips.sampling import ClipConfig, MotionConfig
from mvcgc.errors import UserError
from mvcgc.models.backbone import BackboneConfig
from mvcgc.stages.evaluate.metric import MetricConfig
from mvcgc.stages.kind import KindConfig
from mvcgc.stages.spec import StageDataset, check_clip
from mvcgc.train.optim import Amp, OptimConfig


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
    """``<task>/<dataset>``, on the encoders of the parents.

    Attributes:
        task: the settings of the task, by which it is known.
        motion: None where no view is a motion view.
        hold_out: whether classifiers learn without the validation part.
        augment: how random clips vary; None where the task shows none.
        amp: precision of networks that do not learn.
        metrics: by name, those reported beside the built-in ones.
        weights: by view, the identity of encoders that no parent has trained (`mvcgc.stages.given`).
    """

    task: KindConfig
    views: list[str]
    modalities: dict[str, ModalityConfig]
    dataset: StageDataset
    clip: ClipConfig
    motion: MotionConfig | None
    augment: AugmentationConfig | None
    backbone: BackboneConfig
    test: TestConfig
    hold_out: bool
    amp: Amp
    metrics: dict[str, MetricConfig]
    seed: int
    weights: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_clip(self.views, self.modalities, self.clip, self.motion, self.backbone)

    @property
    def optim(self) -> OptimConfig | None:
        """Return how the task is optimised; None where it trains nothing."""
        return self.task if isinstance(self.task, OptimConfig) else None
