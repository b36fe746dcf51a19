"""Pre-training: ``init/<view>`` trains one view alone, ``cross`` two views with each other's guidance."""

import io
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from mvcgc.data.augment.base import Augmentation
from mvcgc.data.clips.dataset import Source
from mvcgc.data.clips.modality import built
from mvcgc.data.clips.sampling import MotionConfig
from mvcgc.data.index.manifest import Manifest
from mvcgc.data.inputs import Inputs
from mvcgc.data.loading.loader import train_loader
from mvcgc.errors import UserError
from mvcgc.files import write_atomic
from mvcgc.method.base import MethodConfig
from mvcgc.method.momentum import ContrastModel
from mvcgc.method.task import CHANCES, Contrast
from mvcgc.models.backbone import backbone_params
from mvcgc.parts import scalars
from mvcgc.runs.folder import StageFolder
from mvcgc.stages.context import Result, StageContext
from mvcgc.stages.given import given_tensors
from mvcgc.stages.pretrain.epochs import Epochs
from mvcgc.stages.pretrain.spec import PretrainSpec
from mvcgc.train import ScheduleKind, Validated, fit, rng, total_steps
from mvcgc.train.arrival import Arrival

CLIPS = 2


def encoder_file(view: str) -> Path:
    """Return the path, within its stage folder, of a view's query encoder (backbone and head)."""
    return Path(f"encoder_{view}.pt")


def run(context: StageContext, spec: PretrainSpec) -> Result:
    """Train, from the parents' encoders or from random weights, and leave one encoder file per view."""
    manifest = context.manifest()
    method = spec.method.part(spec.method)
    if method.supervised and not manifest.labelled:
        raise UserError(f"method={method.label} needs labels and the videos of {manifest.name} have none")
    rng.reseed(spec.seed)
    model = build_model(spec, context.parents, context.config.runtime.weights)
    inputs = Inputs(built(spec.modalities, spec.views), augmentation_of(spec))
    task = Contrast(model, method, spec.optim.epochs, inputs)
    loader = _loader(context, spec, manifest, training=True)
    steps = total_steps(loader, spec.optim)
    _warn_if_never_full(spec, steps)
    context.journal.begin(steps, "step")
    context.journal.params(_params(spec))
    validate = _validation(context, spec, manifest, task)
    figures = fit(task, loader, spec.optim, context.session(spec.seed), validate)
    outputs = [encoder_file(view) for view in spec.views]
    if context.dist.is_main:
        for view, output in zip(spec.views, outputs, strict=True):
            _save(model.pair(view).query.state_dict(), context.folder.path / output)
    _warn_if_at_chance(context, figures)
    wanted = ("loss", "acc_", "val_", "lr", "mined", "queue_fill", "clips_per_s")
    return Result(outputs, {name: value for name, value in figures.items() if name.startswith(wanted)})


def build_model(
    spec: PretrainSpec, parents: Mapping[str, StageFolder], files: Mapping[str, str]
) -> ContrastModel:
    """The model before its first step: of each view that has a parent, both encoders start from that one's.

    Given weights, whose ``files`` are by view, take the place of a parent; the head stays random.

    The queue starts empty: the parents' queues hold keys of different clips, and could not be aligned.
    """
    started = {*parents, *spec.weights}
    assert not started or started == set(spec.views), f"{sorted(started)} for views {spec.views}"
    modalities = built(spec.modalities, spec.views)
    channels = {view: modality.channels for view, modality in modalities.items()}
    model = ContrastModel(channels, spec.backbone, spec.method)
    for view, parent in parents.items():
        state = torch.load(parent.path / encoder_file(view), map_location="cpu", weights_only=True)
        model.pair(view).load(state)
    for view, sha256 in spec.weights.items():
        pair = model.pair(view)
        pair.load_backbone(given_tensors(view, sha256, files[view], pair.query.backbone.state_dict()))
    return model


def augmentation_of(spec: PretrainSpec) -> Augmentation:
    """The augmentation that the stage is told."""
    return spec.augment.part(spec.augment)


def _loader(context: StageContext, spec: PretrainSpec, manifest: Manifest, training: bool) -> Epochs:
    """Pairs of clips of the training split, or of the validation part in batches no larger than it is."""
    world = context.dist.world
    ids = manifest.require(manifest.training(), "training") if training else manifest.ids("val")
    source = Source(
        manifest=manifest,
        ids=ids,
        modalities=built(spec.modalities, spec.views),
        clip=spec.clip,
        motion=spec.motion or MotionConfig(),
        mestimate=spec.dataset.mestimate,
    )
    micro = spec.optim.micro_batch(world) * world
    loader = train_loader(
        source,
        augmentation_of(spec),
        clips=CLIPS,
        batch_size=spec.optim.batch_size if training else min(micro, len(ids) // world * world),
        seed=spec.seed,
        workers=context.config.runtime.workers,
        device=context.dist.device,
        rank=context.dist.rank,
        world=world,
        accumulate=spec.optim.accumulate if training else 1,
        key="optim.batch_size",
    )
    return Epochs(loader)


def _validation(
    context: StageContext, spec: PretrainSpec, manifest: Manifest, task: Contrast
) -> Callable[[], Validated] | None:
    """The validation part's instance task, on the same clips each time; None where nothing asks for it."""
    enough = len(manifest.ids("val")) >= context.dist.world
    if spec.optim.schedule is not ScheduleKind.plateau or not enough:
        return None
    loader = _loader(context, spec, manifest, training=False)
    return lambda: task.validate(loader.epoch(0, 0), context.dist.device)


def _warn_if_never_full(spec: PretrainSpec, steps: int) -> None:
    samples = steps * spec.optim.batch_size
    if spec.method.part.mines and samples <= spec.method.queue:
        print(
            f"warning: method.queue={spec.method.queue} is not full before the training ends, after "
            f"{samples} samples: no positives are mined",
            file=sys.stderr,
        )


def _warn_if_at_chance(context: StageContext, figures: Mapping[str, float]) -> None:
    """Say loudly that a plateau was never looked for: nothing was learnt that could have one."""
    accuracies = [value for name, value in figures.items() if name.startswith("val_acc_")]
    chance = figures.get("val_chance", 0.0)
    if accuracies and min(accuracies) < CHANCES * chance:
        warning = (
            f"{context.config.name} has learnt nothing: it finds {100 * min(accuracies):.1f} % of the "
            f"validation part's own pairs, chance is {100 * chance:.1f} %; raise optim.lr or the epochs"
        )
        print(f"warning: {warning}", file=sys.stderr)
        context.journal.tags({"warning": warning})


def _params(spec: PretrainSpec) -> dict[str, str | int | float | bool | None]:
    """Return the parameters that name the run in a table of runs."""
    method, optim = spec.method, spec.optim
    params: dict[str, str | int | float | bool | None] = {
        **backbone_params(spec.backbone),
        "dataset": spec.dataset.name,
        "method": method.part.label,
        "views": "+".join(spec.views),
        "queue": method.queue,
        "momentum": method.momentum,
        "tau": method.tau,
        "frames": spec.clip.frames,
        "size": spec.clip.size,
        "epochs": optim.epochs,
        "batch_size": optim.batch_size,
        "lr": optim.lr,
        "seed": spec.seed,
    }
    params |= scalars(method, beyond=MethodConfig)
    if spec.motion is not None:
        params |= {"mv_cell": spec.motion.cell, "motion_size": spec.motion.size}
    return params


def _save(state: dict[str, torch.Tensor], path: Path) -> None:
    buffer = io.BytesIO()
    torch.save(Arrival(state).values(), buffer)
    write_atomic(path, buffer.getvalue())
