"""Classification: the linear probe on frozen backbones, and full fine-tuning."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from mvcgc.data.clips.sampler import check_batch
from mvcgc.data.inputs import Inputs
from mvcgc.data.loading.batch import Batch
from mvcgc.data.loading.loader import eval_loader, train_loader
from mvcgc.metrics import topk_accuracy
from mvcgc.models.backbone import Backbone
from mvcgc.models.classifier import Classifier, Probe
from mvcgc.models.encoder import pool_map
from mvcgc.stages.context import Result
from mvcgc.stages.evaluate.course import Course
from mvcgc.stages.evaluate.inference import ROWS, Compute, collect, forget
from mvcgc.stages.evaluate.kinds import Finetune, Linear
from mvcgc.stages.evaluate.output import save_arrays, save_state
from mvcgc.stages.evaluate.setup import Bench, embed
from mvcgc.stages.evaluate.task import Classify, FeatureBatch, FeatureLoader, validation
from mvcgc.stages.pretrain.epochs import Epochs
from mvcgc.train import Amp, OptimConfig, ScheduleKind, Validated, fit, rng, total_steps
from mvcgc.train.arrival import Arrival
from mvcgc.train.task import Loader

BOTH = "both"
PREDICTIONS = Path("predictions.npz")
TOPS = (1, 5)

Network = Callable[[Tensor], Tensor]
"""From clips [B, C, T, H, W] of a view to logits [B, classes]."""


def probe_file(view: str) -> Path:
    """Where the linear probe leaves what it has trained for a view, within its folder."""
    return Path(f"probe_{view}.pt")


def linear(bench: Bench) -> Result:
    """Train a linear probe per view on cached features of the backbone, then classify the test videos."""
    spec, context = bench.spec, bench.context
    assert isinstance(spec.task, Linear.Config)
    # What is for large networks on several ranks is not for a linear layer, which every rank trains whole.
    optim = replace(spec.task, accumulate=1, sync_bn=False, amp=Amp.none)
    check_batch(optim.batch_size, len(bench.train), "optim.batch_size")
    shown, test = bench.draws("train", bench.train, spec.task.draws), bench.whole("test", bench.test)
    watched = bench.glance("val", bench.val)
    steps = optim.epochs * (len(bench.train) // optim.batch_size)
    parts = {"train": len(shown.ids), "val": len(watched.ids), **dict.fromkeys(spec.views, steps)}
    course = Course(context.journal, {**parts, "test": len(test.ids)})
    backbones = bench.backbones()
    features = collect(context, course.part("train"), shown, embed(backbones))
    held = collect(context, course.part("val"), watched, embed(backbones))
    probes = {
        view: _train(bench, course, view, _probe_training(bench, optim, features.pop(view), held.get(view)))
        for view in spec.views
    }
    networks: dict[str, Network] = {view: _over(backbones[view], probes[view]) for view in spec.views}
    with torch.no_grad():
        logits = {view: probes[view](value.to(context.dist.device)) for view, value in held.items()}
    validated = Arrival({view: _probabilities(value) for view, value in logits.items()}).values()
    tested = collect(context, course.part("test"), test, _classify(networks))
    states = {probe_file(view): probe.state_dict() for view, probe in probes.items()}
    result = _conclude(bench, course, tested, validated, states)
    forget(context, shown, watched, test)
    return result


def finetune(bench: Bench) -> Result:
    """Train backbone and classifier of each view together, then classify the test videos."""
    spec, context = bench.spec, bench.context
    optim = spec.task
    assert isinstance(optim, Finetune.Config)
    loaders = {view: _random_clips(bench, view, optim) for view in spec.views}
    watched, test = bench.glance("val", bench.val), bench.whole("test", bench.test)
    parts = {view: total_steps(loaders[view], optim) for view in spec.views}
    course = Course(context.journal, {**parts, "val": len(watched.ids), "test": len(test.ids)})
    classifiers = {
        view: _train(bench, course, view, _classifier_training(bench, optim, view, loaders.pop(view)))
        for view in spec.views
    }
    networks: dict[str, Network] = dict(classifiers)
    validated = collect(context, course.part("val"), watched, _classify(networks))
    tested = collect(context, course.part("test"), test, _classify(networks))
    states = {Path(f"network_{view}.pt"): network.state_dict() for view, network in classifiers.items()}
    result = _conclude(bench, course, tested, validated, states)
    forget(context, watched, test)
    return result


@dataclass(frozen=True)
class _Training:
    """All that a fit takes but where it runs."""

    task: Classify
    loader: Loader
    optim: OptimConfig
    validate: Callable[[], Validated] | None


def _train(bench: Bench, course: Course, view: str, training: _Training) -> nn.Module:
    """Train to the end, or go on where an earlier attempt was; the network comes in evaluation mode."""
    session = bench.context.session(bench.spec.seed, view)
    session.journal = course.part(view, f"_{view}")
    fit(training.task, training.loader, training.optim, session, training.validate)
    return training.task.network.eval()


def _probe_training(bench: Bench, optim: OptimConfig, features: Tensor, held: Tensor | None) -> _Training:
    rng.reseed(bench.spec.seed)
    task = Classify(Probe(features.shape[-1], len(bench.manifest.classes)), lambda batch: batch.features)
    task.same_batches = True
    labels, names = bench.labels(bench.train), bench.names(bench.train)
    loader = FeatureLoader(features, labels, names, optim.batch_size, bench.spec.seed)
    validate = None
    if held is not None:
        batch = FeatureBatch(held, bench.labels(bench.val), bench.names(bench.val))
        validate = partial(validation, task, [batch], bench.context.dist.device)
    return _Training(task, loader, optim, validate)


def _classifier_training(bench: Bench, optim: Finetune.Config, view: str, loader: Loader) -> _Training:
    rng.reseed(bench.spec.seed)
    network = Classifier(bench.backbone(view), len(bench.manifest.classes), optim.dropout)
    own = bench.modalities([view])
    drawn, shown = Inputs(own, bench.augmentation), Inputs(own)
    task = Classify(
        network, partial(_augmented, drawn, view), partial(_augmented, shown, view), optim.backbone_lr
    )
    validate = None
    if optim.schedule is ScheduleKind.plateau and bench.val:
        place = bench.context.dist
        glances = eval_loader(
            bench.source(bench.val, [view]),
            crops=1,
            rows=ROWS,
            workers=bench.context.config.runtime.workers,
            device=place.device,
            rank=place.rank,
            world=place.world,
            most_windows=1,
        )
        validate = partial(validation, task, glances, place.device)
    return _Training(task, loader, optim, validate)


def _random_clips(bench: Bench, view: str, optim: OptimConfig) -> Epochs:
    place = bench.context.dist
    loader = train_loader(
        bench.source(bench.train, [view]),
        bench.augmentation,
        clips=1,
        batch_size=optim.batch_size,
        seed=bench.spec.seed,
        workers=bench.context.config.runtime.workers,
        device=place.device,
        rank=place.rank,
        world=place.world,
        accumulate=optim.accumulate,
        key="optim.batch_size",
    )
    return Epochs(loader)


def _augmented(inputs: Inputs, view: str, batch: Batch) -> Tensor:
    with torch.no_grad(), torch.autocast(batch.label.device.type, enabled=False):
        return inputs(batch)[view][:, 0]


def _over(backbone: Backbone, probe: nn.Module) -> Network:
    def logits(clips: Tensor) -> Tensor:
        features = pool_map(backbone(clips))
        with torch.autocast(features.device.type, enabled=False):  # as the probe was trained
            found: Tensor = probe(features)
        return found

    return logits


def _classify(networks: Mapping[str, Network]) -> Compute:
    def compute(clips: dict[str, Tensor]) -> dict[str, Tensor]:
        return {view: _probabilities(network(clips[view])) for view, network in networks.items()}

    return compute


def _probabilities(logits: Tensor) -> Tensor:
    return logits.float().softmax(dim=1)


def fused(probabilities: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those of each view and, of two, their mean under the name ``both``."""
    together = dict(probabilities)
    if len(together) > 1:
        together[BOTH] = torch.stack(list(probabilities.values())).mean(dim=0)
    return together


def accuracies(probabilities: Mapping[str, Tensor], labels: Tensor, prefix: str = "") -> dict[str, float]:
    """``top1_<name>``, and ``top5_<name>`` where there are more classes than that, in per cent."""
    return {
        f"{prefix}top{k}_{name}": topk_accuracy(scores, labels, k)
        for name, scores in probabilities.items()
        for k in TOPS
        if k < scores.shape[1]
    }


def _conclude(
    bench: Bench,
    course: Course,
    tested: Mapping[str, Tensor],
    validated: Mapping[str, Tensor],
    states: Mapping[Path, Mapping[str, Tensor]],
) -> Result:
    """Write predictions and what was trained, and give the headline metrics."""
    labels, tested = bench.labels(bench.test), fused(tested)
    metrics = accuracies(tested, labels)
    if bench.val:
        metrics |= accuracies(fused(validated), bench.labels(bench.val), "val_")
    for name, config in bench.spec.metrics.items():
        metric = config.part(config)
        metrics |= {f"{name}_{view}": float(metric(scores, labels)) for view, scores in tested.items()}
    course.finish(metrics)
    if bench.context.dist.is_main:
        folder = bench.context.folder.path
        save_arrays(folder / PREDICTIONS, bench.names(bench.test), labels, tested)
        for path, state in states.items():
            save_state(folder / path, state)
    return Result([PREDICTIONS, *states], metrics)
