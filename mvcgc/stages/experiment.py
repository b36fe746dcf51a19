"""What there is to compare: experiments, each everything that decides the metrics of a row for one seed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from graphlib import CycleError, TopologicalSorter
from typing import Any

from mvcgc.data.augment.base import AugmentationConfig
from mvcgc.data.augment.coclr import Probe
from mvcgc.data.clips.modality import ModalityConfig, check_views
from mvcgc.data.clips.sampling import ClipConfig, MotionConfig
from mvcgc.data.index.layouts.base import DatasetConfig
from mvcgc.errors import UserError
from mvcgc.method.base import MethodConfig
from mvcgc.models.backbone import BackboneConfig
from mvcgc.runs.fingerprint import plain
from mvcgc.stages.evaluate.spec import TestConfig
from mvcgc.stages.kind import KindConfig, StageKind
from mvcgc.stages.pretrain.kind import Cross, Init
from mvcgc.train.optim import Amp, InitConfig, OptimConfig

# Kinds of stages that pre-train, and the metrics that each task reports by itself, whatever the view.
_NO_TASK = re.compile(f"{Init.label}|{Cross.label}")
_NO_METRIC = re.compile(r"val_.*|loss|top\d+|r\d+")


@dataclass
class DownstreamKeys:
    """The keys that every configuration has below ``downstream``.

    Attributes:
        tasks: what is done with the encoders, each a key below ``downstream`` with its settings.
        datasets: settings of datasets (`DatasetConfig`) by a key of the user's choice; none means the
            dataset of the pre-training.
        views: which views' encoders are judged; none means all.
        augment: how the clips that classifiers learn from vary (`AugmentationConfig`).
        test: crops and windows.
        hold_out: whether classifiers learn without the validation part; its metrics choose settings. CoCLR
            trains on the whole split.
        amp: precision of networks that do not learn, for features and tests; bf16 or fp16 halve their time
            on GPUs. Classes are ranked, and neighbours searched, in float32.
        metrics: by name, metrics of classification (`MetricConfig`) reported beside top-1 and top-5.
    """

    tasks: list[str] = field(default_factory=lambda: ["linear", "retrieve"])
    datasets: dict[str, Any] = field(default_factory=dict)
    views: list[str] = field(default_factory=list)
    augment: Any = field(default_factory=Probe.Config)
    test: TestConfig = field(default_factory=TestConfig)
    hold_out: bool = True
    amp: Amp = Amp.none
    metrics: dict[str, Any] = field(default_factory=dict)


@dataclass
class DownstreamConfig(DownstreamKeys):
    """How the encoders are judged: each task on each dataset; ``kinds`` has the settings of each task."""

    kinds: dict[str, KindConfig] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.kinds:
            _check_name(f"downstream.{name}", name, _NO_TASK)
        for name in self.metrics:
            _check_name(f"downstream.metrics.{name}", name, _NO_METRIC)
        given = f"downstream.tasks={listed(self.tasks)}"
        for task in self.tasks:
            kind = self.kinds.get(task)
            if kind is None:
                near = get_close_matches(task, self.kinds, n=len(self.kinds), cutoff=0.0)
                raise UserError(f"{given}: no task {task}; choose from {', '.join(near)}")
            for needed in kind.part.after:
                if needed not in self.tasks:
                    raise UserError(f"{given}: {task} reads what {needed} has trained, add {needed}")
        if len(set(self.tasks)) != len(self.tasks):
            raise UserError(f"{given}: name each task once")
        try:
            _ = self.ordered
        except CycleError as error:
            raise UserError(f"{given}: {' after '.join(error.args[1][::-1])}: none can be first") from error

    @property
    def ordered(self) -> tuple[str, ...]:
        """The tasks, each behind those whose stages it reads."""
        return _ordered(tuple((task, self.kinds[task].part.after) for task in self.tasks))


@dataclass
class Experiment:
    """Everything that decides the metrics of one row for one seed.

    ``modalities`` says what each of ``views`` is; ``init`` and ``cross`` are the optimisers of the two stages
    of pre-training. Raises UserError where the parts do not go together.
    """

    dataset: DatasetConfig
    clip: ClipConfig
    motion: MotionConfig
    augment: AugmentationConfig
    views: list[str]
    modalities: dict[str, ModalityConfig]
    backbone: BackboneConfig
    method: MethodConfig
    init: InitConfig
    cross: OptimConfig
    downstream: DownstreamConfig
    seed: int

    def __post_init__(self) -> None:
        check_views(self.views, self.modalities)
        for view in self.init.weights:
            check_views([view], self.modalities, "init.weights")
        for view in self.evaluated_views:
            if view not in self.views:
                raise UserError(f"downstream.views={listed(self.evaluated_views)}: {view} is not trained")
        check_views(self.evaluated_views, self.modalities, "downstream.views")
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
        """Return whether there is a stage 1."""
        return self.method.part.has_init and (self.method.init or not self.has_cross)

    @property
    def has_cross(self) -> bool:
        """Return whether there is a stage 2."""
        return self.method.part.has_cross

    @property
    def kinds(self) -> list[str]:
        """The kinds of stages that there are, used or not."""
        return [Init.label, Cross.label, *self.downstream.kinds]

    def kind(self, name: str) -> StageKind:
        """Return the kind of stages of a name of `kinds`."""
        if name in _PRETRAINING:
            return _PRETRAINING[name]
        config = self.downstream.kinds[name]
        return config.part(config)

    def encoders(self, views: Sequence[str]) -> list[tuple[str, str]]:
        """Return (view, name of the stage that leaves its encoder), for those who evaluate encoders."""
        return [(view, Cross.label) for view in views] if self.has_cross else self.initialisations(views)

    def initialisations(self, views: Sequence[str]) -> list[tuple[str, str]]:
        """Return (view, name of the stage that initialises it), without views whose weights are given."""
        wanted = [view for view in views if view not in self.given_views] if self.has_init else []
        return [(view, Init.name_of(view)) for view in wanted]

    @property
    def given_views(self) -> list[str]:
        """The views that start from a file of weights; none where the method starts from random weights."""
        starts = not self.method.part.untrained and (self.method.init or not self.has_cross)
        return [view for view in self.views if view in self.init.weights] if starts else []


@cache
def _ordered(tasks: tuple[tuple[str, tuple[str, ...]], ...]) -> tuple[str, ...]:
    return tuple(TopologicalSorter(dict(tasks)).static_order())


def _check_name(key: str, name: str, taken: re.Pattern[str]) -> None:
    """Check a name of the user's choice: it becomes a part of folders and of names of metrics."""
    if not name.isidentifier():
        raise UserError(f"{key}: use letters, digits and _ in its name, and no digit first")
    if taken.fullmatch(name):
        raise UserError(f"{key}: is the name of a built-in one, choose another")


_PRETRAINING: dict[str, StageKind] = {kind.label: kind(kind.Config()) for kind in (Init, Cross)}


def as_typed(part: Any) -> Any:
    """Return a part of an experiment as plain data, by the keys that users type."""
    found = plain(part)
    if isinstance(part, DownstreamConfig):
        found |= found.pop("kinds")
    return found


def listed(names: Sequence[str]) -> str:
    """Return names as the command line writes a list."""
    return f"[{','.join(names)}]"
