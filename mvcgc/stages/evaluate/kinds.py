"""Tasks that evaluate encoders: linear probe, full fine-tuning, retrieval."""

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

from mvcgc.data.index.layouts.base import DatasetConfig
from mvcgc.errors import UserError
from mvcgc.stages.evaluate.metric import MetricConfig
from mvcgc.stages.evaluate.spec import EvaluateSpec
from mvcgc.stages.kind import Headline, KindConfig, StageKind
from mvcgc.train.optim import OptimConfig, OptimKind

if TYPE_CHECKING:
    from mvcgc.stages.context import Result, StageContext
    from mvcgc.stages.experiment import Experiment


_NONE: dict[str, MetricConfig] = {}


class Evaluation(StageKind):
    """A task that shows videos to encoders; base of tasks of one's own.

    Its stages know the test's crops and windows, the augmentation and the seed. `run` may start from
    `mvcgc.stages.evaluate.run.features`.

    Attributes:
        classifies: whether it reports the experiment's metrics of classification.
        random_clips: whether it shows random clips, which ``downstream.augment`` draws.
    """

    Spec = EvaluateSpec
    classifies: ClassVar[bool] = False
    random_clips: ClassVar[bool] = True

    def parts(
        self, experiment: "Experiment", views: tuple[str, ...], dataset: DatasetConfig
    ) -> dict[str, Any]:
        """Return what the stage is told."""
        return {
            **super().parts(experiment, views, dataset),
            "augment": experiment.downstream.augment if self.random_clips else None,
            "test": experiment.downstream.test,
            "hold_out": experiment.downstream.hold_out if self.classifies else True,
            "amp": experiment.downstream.amp,
            "metrics": experiment.downstream.metrics if self.classifies else _NONE,
            "seed": experiment.seed,
        }


class Linear(Evaluation):
    """The linear probe: one linear layer per view on the frozen backbone."""

    version = 7
    classifies = True
    headlines = (Headline("top1", "Linear top-1"),)

    @dataclass
    class Config(KindConfig, OptimConfig):
        """Its optimiser; the paper's by default.

        Attributes:
            draws: random clips per training video whose features it learns from, clip e modulo ``draws`` in
                epoch e; with as many as there are epochs no clip comes twice.
        """

        kind: OptimKind = OptimKind.sgd
        lr: float = 0.1
        weight_decay: float = 1e-3
        epochs: int = 100
        draws: int = 100

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.draws < 1:
                raise UserError(f"optim.draws={self.draws}: give a number of clips per video, at least 1")

    @staticmethod
    def run(context: "StageContext", spec: EvaluateSpec) -> "Result":
        """Train and test the probes."""
        from mvcgc.stages.evaluate.classify import linear
        from mvcgc.stages.evaluate.run import evaluate

        return evaluate(context, spec, linear)


class Finetune(Evaluation):
    """Full fine-tuning: backbone and classifier of each view learn together."""

    version = 7
    classifies = True
    headlines = (Headline("top1", "Fine-tuned top-1"),)

    @dataclass
    class Config(KindConfig, OptimConfig):
        """Its optimiser; the paper's by default.

        Attributes:
            dropout: of the features under the classifier (CoCLR).
            backbone_lr: factor of the learning rate for the backbone (CoCLR: 0.1; MVCGC names none).
        """

        kind: OptimKind = OptimKind.sgd
        lr: float = 0.1
        weight_decay: float = 1e-3
        epochs: int = 500
        dropout: float = 0.9
        backbone_lr: float = 1.0

        def __post_init__(self) -> None:
            super().__post_init__()
            if not 0 < self.backbone_lr <= 1:
                raise UserError(f"optim.backbone_lr={self.backbone_lr}: give a factor above 0 and at most 1")
            if not 0 <= self.dropout < 1:
                raise UserError(
                    f"optim.dropout={self.dropout}: give a probability from 0 up to, but not including, 1"
                )

    def networks(self, experiment: "Experiment", views: tuple[str, ...]) -> int:
        """Return one for each view."""
        return len(views)

    @staticmethod
    def run(context: "StageContext", spec: EvaluateSpec) -> "Result":
        """Train and test the networks."""
        from mvcgc.stages.evaluate.classify import finetune
        from mvcgc.stages.evaluate.run import evaluate

        return evaluate(context, spec, finetune)


class Protocol(Enum):
    """Protocol of retrieval: features of videos and their similarity.

    ``coclr``: one centre crop, features of moving windows l2-normalised and averaged, those of each split
    centred by their own mean, cosine similarity (CoCLR, model/classifier.py with its l2-norm, and
    eval/main_classifier.py): the protocol of the published figures. ``crops``: the test's crops and windows,
    averaged, cosine similarity without centring.
    """

    coclr = "coclr"
    crops = "crops"


class Retrieve(Evaluation):
    """Retrieval: search the training videos for those nearest to each test video; nothing is trained."""

    version = 8
    random_clips = False
    headlines = (Headline("r1", "R@1"),)

    @dataclass
    class Config(KindConfig):
        """Settings of retrieval.

        Attributes:
            protocol: see there.
        """

        protocol: Protocol = Protocol.coclr

    @staticmethod
    def run(context: "StageContext", spec: EvaluateSpec) -> "Result":
        """Compute features and ranks."""
        from mvcgc.stages.evaluate.run import evaluate, retrieve

        return evaluate(context, spec, retrieve)
