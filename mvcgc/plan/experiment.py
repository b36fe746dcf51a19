"""What there is to compare: experiments, and the rows that name them."""

from dataclasses import dataclass, field
from typing import Any

from mvcgc.data.clips.modalities import check_views
from mvcgc.data.clips.sampling import AugmentConfig, ClipConfig, MotionConfig
from mvcgc.data.index.layouts.base import DatasetConfig
from mvcgc.errors import UserError
from mvcgc.method.base import MethodConfig
from mvcgc.models.backbone import BackboneConfig
from mvcgc.stages.activation.spec import ActivationConfig
from mvcgc.stages.efficiency.spec import EfficiencyConfig
from mvcgc.stages.evaluate.spec import Downstream, TestConfig
from mvcgc.stages.spec import Runtime
from mvcgc.train.optim import OptimConfig, OptimKind


def _linear() -> OptimConfig:
    return OptimConfig(kind=OptimKind.sgd, lr=0.1, weight_decay=1e-3, epochs=100)


def _finetune() -> OptimConfig:
    return OptimConfig(kind=OptimKind.sgd, lr=0.1, weight_decay=1e-3, epochs=500)


@dataclass
class DownstreamConfig:
    """How the encoders are judged: each task on each dataset.

    Attributes:
        tasks: linear probe, full fine-tuning, retrieval; what speed and storage the test takes;
            where in a video the linear probe sees its class.
        datasets: settings of datasets (`DatasetConfig`) by a key of the user's choice; none means the
            dataset of the pre-training.
        views: which views' encoders are judged; none means all.
        linear: the optimiser of the linear probe; the paper's by default.
        finetune: the optimiser of full fine-tuning; the paper's by default.
        draws: random clips per training video whose features the linear probe learns from; with as many as
            linear.epochs no clip comes twice.
        dropout: of the features under the classifier of full fine-tuning (CoCLR).
        test: crops and windows.
        efficiency: on how many videos speed is measured.
        activation: which videos the activation is shown of.
    """

    tasks: list[Downstream] = field(default_factory=lambda: [Downstream.linear, Downstream.retrieve])
    datasets: dict[str, Any] = field(default_factory=dict)
    views: list[str] = field(default_factory=list)
    linear: OptimConfig = field(default_factory=_linear)
    finetune: OptimConfig = field(default_factory=_finetune)
    draws: int = 100
    dropout: float = 0.9
    test: TestConfig = field(default_factory=TestConfig)
    efficiency: EfficiencyConfig = field(default_factory=EfficiencyConfig)
    activation: ActivationConfig = field(default_factory=ActivationConfig)

    def __post_init__(self) -> None:
        if Downstream.activation in self.tasks and Downstream.linear not in self.tasks:
            tasks = _listed([task.value for task in self.tasks])
            raise UserError(f"downstream.tasks={tasks}: activation is that of the linear probe, add linear")
        if self.draws < 1:
            raise UserError(
                f"downstream.draws={self.draws}: the linear probe learns from one clip per video at least"
            )
        if not 0 <= self.dropout < 1:
            raise UserError(
                f"downstream.dropout={self.dropout}: give a probability from 0 up to, not including, 1"
            )


@dataclass
class Resources:
    """What a stage of each kind runs with; it does not change results, so it is in no fingerprint."""

    init: Runtime = field(default_factory=Runtime)
    cross: Runtime = field(default_factory=Runtime)
    linear: Runtime = field(default_factory=Runtime)
    finetune: Runtime = field(default_factory=Runtime)
    retrieve: Runtime = field(default_factory=Runtime)
    efficiency: Runtime = field(default_factory=Runtime)
    activation: Runtime = field(default_factory=Runtime)


@dataclass
class Experiment:
    """Everything that decides the figures of one row for one seed.

    ``init`` and ``cross`` are the optimisers of the two stages of pre-training. Raises UserError where the
    parts do not go together.
    """

    dataset: DatasetConfig
    clip: ClipConfig
    motion: MotionConfig
    augment: AugmentConfig
    views: list[str]
    backbone: BackboneConfig
    method: MethodConfig
    init: OptimConfig
    cross: OptimConfig
    downstream: DownstreamConfig
    seed: int

    def __post_init__(self) -> None:
        check_views(self.views)
        check_views(self.evaluated_views, "downstream.views")
        for view in self.evaluated_views:
            if view not in self.views:
                raise UserError(f"downstream.views={_listed(self.evaluated_views)}: {view} is not trained")
        names = [dataset.name for dataset in self.evaluated_datasets]
        for name in names:
            if names.count(name) > 1:
                raise UserError(f"downstream.datasets: two of them are named {name}, give each its own name")

    @property
    def evaluated_views(self) -> list[str]:
        """The views whose encoders are judged."""
        return self.downstream.views or self.views

    @property
    def evaluated_datasets(self) -> list[DatasetConfig]:
        """The datasets on which they are judged."""
        return list(self.downstream.datasets.values()) or [self.dataset]

    @property
    def has_init(self) -> bool:
        """Whether there is a stage 1."""
        return self.method.part.has_init and (self.method.init or not self.has_cross)

    @property
    def has_cross(self) -> bool:
        """Whether there is a stage 2."""
        return self.method.part.has_cross


@dataclass
class Row:
    """One line of a table for one seed: a name, what it is, and what its stages run with.

    ``paper`` names the line of the paper's table to print beside it, ``view`` whose figures it shows where a
    column names none: one of the evaluated views, or ``both``; None for all of them.
    """

    name: str
    experiment: Experiment
    resources: Resources
    paper: str | None = None
    view: str | None = None

    def __post_init__(self) -> None:
        views = self.experiment.evaluated_views
        if self.view not in (None, *views, *(["both"] if len(views) > 1 else [])):
            raise UserError(f"view={self.view}: the row evaluates {_listed(views)}")

    @property
    def seed(self) -> int:
        """The experiment's."""
        return self.experiment.seed


def _listed(views: list[str]) -> str:
    return f"[{','.join(views)}]"
