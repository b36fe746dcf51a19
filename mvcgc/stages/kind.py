"""Kinds of stages: one object says what a stage of a kind is told, needs, costs, does and reports."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from mvcgc.data.clips.modality import ModalityConfig, uses_motion
from mvcgc.data.index.layouts.base import DatasetConfig
from mvcgc.errors import UserError
from mvcgc.parts import Part, PartConfig
from mvcgc.stages.given import starts
from mvcgc.stages.spec import StageDataset
from mvcgc.train.optim import OptimConfig

if TYPE_CHECKING:
    from mvcgc.stages.context import Result, StageContext
    from mvcgc.stages.experiment import Experiment

BOTH = "both"
"""Name of what two views show together, in metrics and columns."""


@dataclass
class KindConfig(PartConfig):
    """Settings of a kind of stages."""

    part: ClassVar[type["StageKind"]]


@dataclass(frozen=True)
class Headline:
    """A headline metric that a kind reports; a table without columns of its own shows it.

    Attributes:
        metric: its name in ``DONE.json``, without the view.
        label: the column's title.
        better: "higher" or "lower".
        by_view: whether there is one for each view, ``<metric>_<view>``, and for two views together.
    """

    metric: str
    label: str
    better: str = "higher"
    by_view: bool = True


@dataclass(frozen=True)
class Cost:
    """What a stage trains: ``epochs`` over ``clips`` videos, for ``networks`` networks at a time."""

    epochs: int = 0
    clips: int = 0
    networks: int = 0

    @property
    def network_epochs(self) -> int:
        """Epochs, counted once for every network that learns."""
        return self.epochs * self.networks

    @property
    def clip_epochs(self) -> int:
        """Videos shown to learning networks."""
        return self.network_epochs * self.clips


class StageKind(Part, ABC):
    """One kind of stages. The defaults are those of a task that evaluates encoders on a dataset.

    Attributes:
        Spec: dataclass of all that can change a stage's result; its fields are the keys of `parts`.
        headlines: the metrics that stand for the stage in a table.
        after: tasks on the same dataset whose stages this one reads.
        pretrains: whether it trains encoders, on the dataset of the pre-training.
        needs_encoders: whether it reads encoders; what only measures speed does not.
        one_rank: whether it runs on one rank only.
    """

    Config: ClassVar[type[KindConfig]] = KindConfig
    Spec: ClassVar[type[Any]]
    headlines: ClassVar[tuple[Headline, ...]] = ()
    after: ClassVar[tuple[str, ...]] = ()
    pretrains: ClassVar[bool] = False
    needs_encoders: ClassVar[bool] = True
    one_rank: ClassVar[bool] = False

    def __init__(self, config: KindConfig) -> None:
        self.config = config

    def optim_of(self, experiment: "Experiment") -> OptimConfig | None:
        """Return how the stage is optimised; None where nothing is trained."""
        return self.config if isinstance(self.config, OptimConfig) else None

    def parts(
        self, experiment: "Experiment", views: tuple[str, ...], dataset: DatasetConfig
    ) -> dict[str, Any]:
        """Return what the stage is told, by the fields of ``Spec``: parts of the experiment as they are.

        Where two experiments hold the same objects, so do these parts: planning relies on it.
        """
        told = {**common(experiment, views, dataset), "task": self.config}
        reads = self.needs_encoders and not experiment.has_cross
        weights = starts(experiment, views if reads else ())
        if "weights" in {field.name for field in fields(self.Spec)}:
            told["weights"] = weights
        elif weights:
            raise UserError(
                f"downstream.tasks: {self.label} reads encoders of stages only: its Spec has no field weights"
            )
        return told

    def parents(self, experiment: "Experiment", views: Sequence[str], dataset: str) -> list[tuple[str, str]]:
        """Return (role, stage name) of all that the stage reads; an encoder's role is its view."""
        encoders = experiment.encoders(views) if self.needs_encoders else []
        return [*encoders, *((task, f"{task}/{dataset}") for task in self.after)]

    def networks(self, experiment: "Experiment", views: tuple[str, ...]) -> int:
        """Return how many networks learn at a time; by default none, as what is trained is small."""
        return 0

    @staticmethod
    @abstractmethod
    def run(context: "StageContext", spec: Any) -> "Result":
        """Carry out a stage on one rank; ``spec`` is a ``Spec``."""


@cache
def _listed(views: tuple[str, ...]) -> list[str]:
    return list(views)


@cache
def _stage_dataset(name: str, mestimate: bool) -> StageDataset:
    return StageDataset(name, mestimate)


_CHOSEN: dict[tuple[object, ...], tuple[list[ModalityConfig], dict[str, ModalityConfig]]] = {}


def _chosen(modalities: Mapping[str, ModalityConfig], views: tuple[str, ...]) -> dict[str, ModalityConfig]:
    """Return the modalities of ``views``: of the same objects always the same dict, as planning relies on."""
    own = [modalities[view] for view in views]
    key = (*views, *map(id, own))
    if key not in _CHOSEN:
        # The settings are kept beside the result, so that their ids stay their own.
        _CHOSEN[key] = own, dict(zip(views, own, strict=True))
    return _CHOSEN[key][1]


def common(experiment: "Experiment", views: tuple[str, ...], dataset: DatasetConfig) -> dict[str, Any]:
    """Return the fields that every specification has.

    ``modalities`` are those of ``views``. ``motion`` is None where no view is a motion view, so that its
    settings cannot make two equal stages differ.
    """
    modalities = _chosen(experiment.modalities, views)
    return {
        "views": _listed(views),
        "modalities": modalities,
        "dataset": _stage_dataset(dataset.name, dataset.mestimate),
        "clip": experiment.clip,
        "motion": experiment.motion if uses_motion(modalities, views) else None,
        "backbone": experiment.backbone,
    }
