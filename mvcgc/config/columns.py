"""The columns of a table that names none."""

from collections.abc import Iterator

from mvcgc.plan import Column, Experiment
from mvcgc.stages.evaluate.spec import Downstream

_METRICS = {Downstream.linear: "top1", Downstream.finetune: "top1", Downstream.retrieve: "r1"}
_COSTS = {
    "preprocess_s": "Pre-processing (s)",
    "inference_ms": "Inference (ms)",
    "total_s": "Total (s)",
    "storage_gb": "Storage (GB)",
}
_LABELS = {
    Downstream.linear: "Linear top-1",
    Downstream.finetune: "Fine-tuned top-1",
    Downstream.retrieve: "R@1",
}


def default_columns(experiment: Experiment) -> list[Column]:
    """The headline of each task on each dataset, by view and for both together; without tasks the loss."""
    return list(_evaluated(experiment)) or list(_pretrained(experiment))


def _evaluated(experiment: Experiment) -> Iterator[Column]:
    views = list(experiment.evaluated_views)
    if len(views) > 1:
        views.append("both")
    datasets = [dataset.name for dataset in experiment.evaluated_datasets]
    for dataset in datasets:
        where = f" {dataset}" if len(datasets) > 1 else ""
        for task in experiment.downstream.tasks:
            if task is Downstream.efficiency:
                for metric, label in _COSTS.items():
                    yield Column(f"{task.value}/{dataset}", metric, f"{label}{where}", better="lower")
                continue
            if task is Downstream.activation:
                continue  # it is looked at, in a plot
            for view in views:
                yield Column(
                    f"{task.value}/{dataset}", f"{_METRICS[task]}_{view}", f"{_LABELS[task]}{where} {view}"
                )


def _pretrained(experiment: Experiment) -> Iterator[Column]:
    if experiment.has_cross:
        yield Column("cross", "loss", "Loss", better="lower")
        for view in experiment.views:
            yield Column("cross", f"acc_{view}", f"Own pair found {view}")
    else:
        for view in experiment.views:
            yield Column(f"init/{view}", "loss", f"Loss {view}", better="lower")
