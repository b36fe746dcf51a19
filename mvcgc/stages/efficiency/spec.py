"""The task that measures what testing a video costs: its settings and its specification."""

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from mvcgc.data.clips.modalities import Flow, Rgb
from mvcgc.data.clips.modality import ModalityConfig, Vectors
from mvcgc.data.clips.sampling import ClipConfig, MotionConfig
from mvcgc.data.index.layouts.base import DatasetConfig
from mvcgc.errors import UserError
from mvcgc.models.backbone import BackboneConfig
from mvcgc.stages.evaluate.spec import TestConfig
from mvcgc.stages.kind import Headline, KindConfig, StageKind
from mvcgc.stages.spec import StageDataset, check_clip

if TYPE_CHECKING:
    from mvcgc.stages.context import Result, StageContext
    from mvcgc.stages.experiment import Experiment


class Stored(Enum):
    """As what videos lie on the disk, from where they get to the networks."""

    COMPRESSED = "compressed"
    """As they are; decoded when they are needed."""
    RECODED = "recoded"
    """Encoded again to MPEG-4 part 2, P-frames only (CoViAR, IMRNet); then as COMPRESSED."""
    JPEG = "jpeg"
    """All frames and the optical flow between them as JPEG files (two-stream networks)."""


@dataclass
class EfficiencyConfig(KindConfig):
    """Choice of test videos.

    Attributes:
        videos: how many are measured, evenly spread; their medians are the metrics.
    """

    videos: int = 10

    def __post_init__(self) -> None:
        if self.videos < 1:
            raise UserError(f"efficiency.videos={self.videos}: measure one video at least")


@dataclass
class EfficiencySpec:
    """``efficiency/<dataset>``: the cost of testing with networks of these ``views``. Weights do not matter.

    ``motion`` is as in `mvcgc.stages.spec.PretrainSpec`.
    """

    task: EfficiencyConfig
    views: list[str]
    modalities: dict[str, ModalityConfig]
    dataset: StageDataset
    clip: ClipConfig
    motion: MotionConfig | None
    backbone: BackboneConfig
    test: TestConfig

    def __post_init__(self) -> None:
        check_clip(self.views, self.modalities, self.clip, self.motion, self.backbone)
        own = [self.modalities[view] for view in self.views]
        flows = [config for config in own if isinstance(config, Flow.Config)]
        pictures = [config for config in own if issubclass(config.part, Rgb)]
        if flows and (len(flows) > 1 or flows[0].low or len(flows) + len(pictures) < len(self.views)):
            raise UserError(
                f"views={self.views}: the cost of optical flow is measured with rgb and one flow of full "
                "resolution"
            )

    @property
    def stored(self) -> Stored:
        """Storage format that is usual for videos with these views."""
        parts = [self.modalities[view].part for view in self.views]
        if any(issubclass(part, Flow) for part in parts):
            return Stored.JPEG
        recoded = any(part.vectors is Vectors.RECODED for part in parts)
        return Stored.RECODED if recoded else Stored.COMPRESSED


class Efficiency(StageKind):
    """Seconds of pre-processing and inference for a test video, and the test part's storage."""

    version = 3
    Config = EfficiencyConfig
    Spec = EfficiencySpec
    needs_encoders = False  # weights do not change speed
    one_rank = True
    headlines = (
        Headline("preprocess_s", "Pre-processing (s)", "lower", by_view=False),
        Headline("inference_ms", "Inference (ms)", "lower", by_view=False),
        Headline("total_s", "Total (s)", "lower", by_view=False),
        Headline("storage_gb", "Storage (GB)", "lower", by_view=False),
    )

    def parts(
        self, experiment: "Experiment", views: tuple[str, ...], dataset: DatasetConfig
    ) -> dict[str, Any]:
        """Return what the stage is told."""
        return {**super().parts(experiment, views, dataset), "test": experiment.downstream.test}

    @staticmethod
    def run(context: "StageContext", spec: EfficiencySpec) -> "Result":
        """Measure the chosen videos."""
        from mvcgc.stages.efficiency.run import run

        return run(context, spec)
