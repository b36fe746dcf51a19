"""The columns of a table that names none."""

from collections.abc import Iterator, Sequence

from mvcgc.plan import Column, Experiment
from mvcgc.stages.evaluate.kinds import Evaluation
from mvcgc.stages.kind import BOTH, StageKind
from mvcgc.stages.pretrain.kind import Cross, Init


def default_columns(experiment: Experiment) -> list[Column]:
    """Return the headline of each task on each dataset, by view and for both; without tasks the loss."""
    return list(_evaluated(experiment)) or list(_pretrained(experiment))


def _evaluated(experiment: Experiment) -> Iterator[Column]:
    views = list(experiment.evaluated_views)
    if len(views) > 1:
        views.append(BOTH)
    datasets = [dataset.name for dataset in experiment.evaluated_datasets]
    for dataset in datasets:
        where = f" {dataset}" if len(datasets) > 1 else ""
        for task in experiment.downstream.tasks:
            kind, stage = experiment.downstream.kinds[task].part, f"{task}/{dataset}"
            among = f" ({task})" if _several(experiment, kind) else ""
            yield from _columns(kind, stage, views, f"{among}{where}")
            if issubclass(kind, Evaluation) and kind.classifies:
                for name, metric in experiment.downstream.metrics.items():
                    for view in views:
                        yield Column(
                            stage, f"{name}_{view}", f"{task} {name}{where} {view}", better=metric.part.better
                        )


def _several(experiment: Experiment, kind: type[StageKind]) -> bool:
    """Return whether several tasks are of one class, so that its headlines do not tell them apart."""
    kinds = [experiment.downstream.kinds[task].part for task in experiment.downstream.tasks]
    return kinds.count(kind) > 1


def _pretrained(experiment: Experiment) -> Iterator[Column]:
    if experiment.has_cross:
        yield from _columns(Cross, Cross.label, experiment.views)
    else:
        for view, stage in experiment.initialisations(experiment.views):
            yield from _columns(Init, stage, experiment.views, f" {view}")


def _columns(kind: type[StageKind], stage: str, views: Sequence[str], where: str = "") -> Iterator[Column]:
    for one in kind.headlines:
        if one.by_view:
            for view in views:
                yield Column(stage, f"{one.metric}_{view}", f"{one.label}{where} {view}", better=one.better)
        else:
            yield Column(stage, one.metric, f"{one.label}{where}", better=one.better)
