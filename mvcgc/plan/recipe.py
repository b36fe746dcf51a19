"""Which stages an experiment is made of, and what each of them is told.

A stage is told only what can change its result, so that experiments which differ elsewhere share it: an
encoder's initialisation does not know of mining, and one of the RGB view not of the motion's resolution.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any

from mvcgc.data.index.layouts.base import DatasetConfig
from mvcgc.method.base import MethodConfig
from mvcgc.method.infonce import InfoNCE
from mvcgc.plan.experiment import Experiment
from mvcgc.stages.activation.spec import ActivationSpec
from mvcgc.stages.efficiency.spec import EfficiencySpec
from mvcgc.stages.evaluate.spec import Downstream, EvaluateSpec
from mvcgc.stages.pretrain.spec import PretrainSpec
from mvcgc.stages.spec import StageDataset
from mvcgc.train.optim import OptimConfig


class Group(Enum):
    """The sorts of stages; each has its own resources and its own keys in the configuration."""

    init = "init"
    cross = "cross"
    linear = "linear"
    finetune = "finetune"
    retrieve = "retrieve"
    efficiency = "efficiency"
    activation = "activation"

    @property
    def kind(self) -> str:
        """The program that runs it: a key of CODE_VERSION."""
        match self:
            case Group.init | Group.cross:
                return "pretrain"
            case Group.linear | Group.finetune | Group.retrieve:
                return "evaluate"
            case Group.efficiency:
                return "efficiency"
            case Group.activation:
                return "activation"

    @property
    def optim_key(self) -> str:
        """Where its optimiser stands in the configuration."""
        return self.value if self.kind == "pretrain" else f"downstream.{self.value}"


Spec = PretrainSpec | EvaluateSpec | EfficiencySpec | ActivationSpec
"""What a stage may be told."""

_SPECS: dict[str, type[Spec]] = {
    "pretrain": PretrainSpec,
    "evaluate": EvaluateSpec,
    "efficiency": EfficiencySpec,
    "activation": ActivationSpec,
}


@dataclass(frozen=True)
class Cost:
    """What a stage trains: ``epochs`` over ``clips`` videos, for ``networks`` networks at a time.

    A linear probe and a retrieval train no network: what they compute is small beside the rest.
    """

    epochs: int
    clips: int
    networks: int

    @property
    def network_epochs(self) -> int:
        """Epochs, counted once for every network that learns."""
        return self.epochs * self.networks

    @property
    def clip_epochs(self) -> int:
        """Videos shown to learning networks."""
        return self.network_epochs * self.clips


@dataclass(frozen=True)
class Recipe:
    """One stage of an experiment: ``dataset`` is the index of an evaluated dataset, -1 in pre-training."""

    name: str
    group: Group
    views: tuple[str, ...]
    dataset: int = -1

    def dataset_of(self, experiment: Experiment) -> DatasetConfig:
        """The dataset that the stage reads."""
        return experiment.dataset if self.dataset < 0 else experiment.evaluated_datasets[self.dataset]

    def optim_of(self, experiment: Experiment) -> OptimConfig | None:
        """How the stage is optimised; None where nothing is trained."""
        match self.group:
            case Group.init:
                return experiment.init
            case Group.cross:
                return experiment.cross
            case Group.linear:
                return experiment.downstream.linear
            case Group.finetune:
                return experiment.downstream.finetune
            case Group.retrieve | Group.efficiency | Group.activation:
                return None

    def parts(self, experiment: Experiment) -> dict[str, Any]:
        """What the stage is told, by the specification's fields: parts of the experiment as they are.

        Where two experiments hold the same objects, so do these parts.
        """
        dataset = self.dataset_of(experiment)
        parts = {
            "views": _listed(self.views),
            "dataset": _stage_dataset(dataset.name, dataset.mestimate),
            "clip": experiment.clip,
            "motion": None if self.views == ("rgb",) else experiment.motion,
            "backbone": experiment.backbone,
        }
        downstream = experiment.downstream
        if self.group is Group.efficiency:
            return {**parts, "test": downstream.test, "sample": downstream.efficiency}
        if self.group is Group.activation:
            return {**parts, "sample": downstream.activation}
        parts["augment"] = experiment.augment
        parts["optim"] = self.optim_of(experiment)
        parts["seed"] = experiment.seed
        if self.group.kind == "pretrain":
            return {**parts, "method": self._method(experiment.method)}
        return {
            **parts,
            "task": Downstream(self.group.value),
            "test": downstream.test,
            "draws": downstream.draws if self.group is Group.linear else None,
            "dropout": downstream.dropout if self.group is Group.finetune else None,
        }

    def spec(self, parts: dict[str, Any]) -> Spec:
        """The specification of these `parts`. Raises UserError where they do not go together."""
        return _SPECS[self.group.kind](**parts)

    def _method(self, method: MethodConfig) -> MethodConfig:
        if self.group is Group.cross:
            return method
        return _init_method(method.tau, method.queue, method.momentum, method.dim)

    def parents(self, experiment: Experiment) -> list[tuple[str, str]]:
        """(view, name of the stage that gives its encoder); for activation also the linear probe."""
        if self.group is Group.init or (self.group is Group.cross and not experiment.has_init):
            return []
        if self.group is Group.efficiency:
            return []  # weights do not change speed
        from_cross = self.group is not Group.cross and experiment.has_cross
        encoders = [(view, "cross" if from_cross else init_name(view)) for view in self.views]
        if self.group is not Group.activation:
            return encoders
        return [*encoders, ("linear", f"linear/{self.dataset_of(experiment).name}")]

    def cost(self, experiment: Experiment, clips: int) -> Cost:
        """What the stage trains, with ``clips`` videos in its training set."""
        optim = self.optim_of(experiment)
        if optim is None or self.group is Group.linear:
            return Cost(epochs=0, clips=clips, networks=0)
        learning = self.views
        if self.group is Group.cross:
            learning = experiment.method.part(experiment.method).trained(self.views, 0, optim.epochs)
        return Cost(epochs=optim.epochs, clips=clips, networks=len(learning))


def init_name(view: str) -> str:
    """The name of the stage that initialises ``view``."""
    return f"init/{view}"


def recipes(experiment: Experiment, labelled: tuple[bool, ...]) -> tuple[Recipe, ...]:
    """The stages of an experiment, parents first; ``labelled`` says which evaluated datasets have classes."""
    names = tuple(dataset.name for dataset in experiment.evaluated_datasets)
    datasets = tuple((i, name) for i, name in enumerate(names) if labelled[i])
    return _recipes(
        views=tuple(experiment.views),
        evaluated=tuple(experiment.evaluated_views),
        has_init=experiment.has_init,
        has_cross=experiment.has_cross,
        tasks=tuple(experiment.downstream.tasks),
        datasets=datasets,
    )


@cache
def _recipes(
    *,
    views: tuple[str, ...],
    evaluated: tuple[str, ...],
    has_init: bool,
    has_cross: bool,
    tasks: tuple[Downstream, ...],
    datasets: tuple[tuple[int, str], ...],
) -> tuple[Recipe, ...]:
    # Who only measures speed needs no weights, and who evaluates nothing wants those of pre-training.
    pretrained = not datasets or set(tasks) != {Downstream.efficiency}

    def stages() -> Iterator[Recipe]:
        if pretrained and has_init:
            yield from (Recipe(init_name(view), Group.init, (view,)) for view in views)
        if pretrained and has_cross:
            yield Recipe("cross", Group.cross, views)
        for index, name in datasets:
            for task in sorted(tasks, key=lambda task: task is Downstream.activation):  # after linear
                yield Recipe(f"{task.value}/{name}", Group(task.value), evaluated, index)

    return tuple(stages())


@cache
def _listed(views: tuple[str, ...]) -> list[str]:
    return list(views)


@cache
def _stage_dataset(name: str, mestimate: bool) -> StageDataset:
    return StageDataset(name, mestimate)


@cache
def _init_method(tau: float, queue: int, momentum: float, dim: int) -> MethodConfig:
    return InfoNCE.Config(tau=tau, queue=queue, momentum=momentum, dim=dim)
