"""Kinds of stages that pre-train: ``init/<view>``, and ``cross``."""

from functools import cache
from typing import TYPE_CHECKING, Any

from mvcgc.data.index.layouts.base import DatasetConfig
from mvcgc.method.base import MethodConfig
from mvcgc.method.infonce import InfoNCE
from mvcgc.stages.given import starts
from mvcgc.stages.kind import Headline, StageKind, common
from mvcgc.stages.pretrain.spec import PretrainSpec
from mvcgc.train.optim import OptimConfig

if TYPE_CHECKING:
    from mvcgc.stages.context import Result, StageContext
    from mvcgc.stages.experiment import Experiment


class _Pretrain(StageKind):
    version = 6
    Spec = PretrainSpec
    pretrains = True

    @staticmethod
    def run(context: "StageContext", spec: PretrainSpec) -> "Result":
        """Train, and leave one encoder per view."""
        from mvcgc.stages.pretrain.run import run

        return run(context, spec)


class Init(_Pretrain):
    """Stage 1, initialisation: one view alone, with InfoNCE."""

    version = 6
    headlines = (Headline("loss", "Loss", better="lower", by_view=False),)

    @staticmethod
    def name_of(view: str) -> str:
        """Return the name of the stage that initialises ``view``."""
        return f"init/{view}"

    def optim_of(self, experiment: "Experiment") -> OptimConfig:
        """Return how it is optimised."""
        return experiment.init.optim

    def parts(
        self, experiment: "Experiment", views: tuple[str, ...], dataset: DatasetConfig
    ) -> dict[str, Any]:
        """Return what the stage is told; it knows nothing of mining."""
        method = experiment.method
        return _told(
            experiment,
            views,
            dataset,
            method=_info_nce(method.tau, method.queue, method.momentum, method.dim),
            optim=experiment.init.optim,
        )

    def parents(self, experiment: "Experiment", views: object, dataset: str) -> list[tuple[str, str]]:
        """Return nothing: it starts from random weights."""
        return []

    def networks(self, experiment: "Experiment", views: tuple[str, ...]) -> int:
        """Return 1, its view's."""
        return len(views)


class Cross(_Pretrain):
    """Stage 2, cross guidance: both views together, with the experiment's method."""

    version = 6
    headlines = (
        Headline("loss", "Loss", better="lower", by_view=False),
        Headline("acc", "Own pair found"),
    )

    def optim_of(self, experiment: "Experiment") -> OptimConfig:
        """Return how it is optimised."""
        return experiment.cross

    def parts(
        self, experiment: "Experiment", views: tuple[str, ...], dataset: DatasetConfig
    ) -> dict[str, Any]:
        """Return what the stage is told."""
        told = _told(experiment, views, dataset, method=experiment.method, optim=experiment.cross)
        return {**told, "weights": starts(experiment, views)}

    def parents(self, experiment: "Experiment", views: object, dataset: str) -> list[tuple[str, str]]:
        """Return the initialisations that are trained, unless it starts from random weights."""
        return experiment.initialisations(experiment.views)

    def networks(self, experiment: "Experiment", views: tuple[str, ...]) -> int:
        """Return how many views the method trains at a time."""
        method = experiment.method
        return len(method.part(method).trained(views, 0, experiment.cross.epochs))


def _told(
    experiment: "Experiment",
    views: tuple[str, ...],
    dataset: DatasetConfig,
    *,
    method: MethodConfig,
    optim: OptimConfig,
) -> dict[str, Any]:
    return {
        **common(experiment, views, dataset),
        "augment": experiment.augment,
        "method": method,
        "optim": optim,
        "seed": experiment.seed,
    }


@cache
def _info_nce(tau: float, queue: int, momentum: float, dim: int) -> MethodConfig:
    return InfoNCE.Config(tau=tau, queue=queue, momentum=momentum, dim=dim)
