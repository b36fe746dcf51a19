"""Which stages an experiment is made of, and what each of them is told.

A stage is told only what can change its result, so that experiments which differ elsewhere share it: an
encoder's initialisation does not know of mining, and one of the RGB view not of the motion's resolution.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from mvcgc.data.index.layouts.base import DatasetConfig
from mvcgc.stages.experiment import Experiment
from mvcgc.stages.kind import Cost, StageKind
from mvcgc.stages.pretrain.kind import Cross, Init


@dataclass(frozen=True)
class Recipe:
    """One stage of an experiment; its kind, `kind_of`, is given to what needs it, once for all of that.

    Attributes:
        name: unique within the experiment.
        kind: the name of its kind, as in `Experiment.kinds`.
        views: the views that it reads.
        dataset: index of an evaluated dataset, -1 in pre-training.
    """

    name: str
    kind: str
    views: tuple[str, ...]
    dataset: int = -1

    def kind_of(self, experiment: Experiment) -> StageKind:
        """Return the kind of the stage, with its settings."""
        return experiment.kind(self.kind)

    def dataset_of(self, experiment: Experiment) -> DatasetConfig:
        """Return the dataset that the stage reads."""
        return experiment.dataset if self.dataset < 0 else experiment.evaluated_datasets[self.dataset]

    def parts(self, experiment: Experiment, kind: StageKind) -> dict[str, Any]:
        """Return what the stage is told, by the fields of its specification."""
        return kind.parts(experiment, self.views, self.dataset_of(experiment))

    def parents(self, experiment: Experiment, kind: StageKind) -> list[tuple[str, str]]:
        """Return (role, stage name) of all that the stage reads; an encoder's role is its view."""
        return kind.parents(experiment, self.views, self.dataset_of(experiment).name)

    def cost(self, experiment: Experiment, kind: StageKind, clips: int) -> Cost:
        """Return what the stage trains, with ``clips`` videos in its training set."""
        optim, networks = kind.optim_of(experiment), kind.networks(experiment, self.views)
        epochs = optim.epochs if optim is not None and networks else 0
        return Cost(epochs=epochs, clips=clips, networks=networks)

    @property
    def key(self) -> str:
        """Return where the settings of its kind stand in the configuration."""
        return self.kind if self.dataset < 0 else f"downstream.{self.kind}"


def recipes(experiment: Experiment, labelled: tuple[bool, ...]) -> tuple[Recipe, ...]:
    """The stages of an experiment, parents first; ``labelled`` says which evaluated datasets have classes."""
    names = tuple(dataset.name for dataset in experiment.evaluated_datasets)
    datasets = tuple((i, name) for i, name in enumerate(names) if labelled[i])
    downstream = experiment.downstream
    # Who only measures speed needs no weights, and who evaluates nothing wants those of pre-training.
    used = [downstream.kinds[task].part.needs_encoders for task in downstream.tasks]
    return _recipes(
        views=tuple(experiment.views),
        evaluated=tuple(experiment.evaluated_views),
        initialised=tuple(view for view, _ in experiment.initialisations(experiment.views)),
        has_cross=experiment.has_cross,
        pretrained=not datasets or not used or any(used),
        tasks=tuple(downstream.ordered),
        datasets=datasets,
    )


@cache
def _recipes(
    *,
    views: tuple[str, ...],
    evaluated: tuple[str, ...],
    initialised: tuple[str, ...],
    has_cross: bool,
    pretrained: bool,
    tasks: tuple[str, ...],
    datasets: tuple[tuple[int, str], ...],
) -> tuple[Recipe, ...]:
    def stages() -> Iterator[Recipe]:
        if pretrained:
            yield from (Recipe(Init.name_of(view), Init.label, (view,)) for view in initialised)
        if pretrained and has_cross:
            yield Recipe(Cross.label, Cross.label, views)
        for index, name in datasets:
            yield from (Recipe(f"{task}/{name}", task, evaluated, index) for task in tasks)

    return tuple(stages())
