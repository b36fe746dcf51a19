"""What `test_rehearsal` has each process do; without a test framework."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

import evaluate_factories as evaluating
import pretrain_factories as pretraining
import stage_factories as staging
import torch
import torch.distributed as td
from rehearsal import Memory, fake_gpu, fake_ranks, session, strays
from torch import Tensor

from mvcgc import dist
from mvcgc.data.clips.modalities import built_in
from mvcgc.data.inputs import Inputs
from mvcgc.data.loading.batch import Batch
from mvcgc.method.cmc import CMC
from mvcgc.method.coclr import CoCLR
from mvcgc.method.infonce import InfoNCE
from mvcgc.method.uber import UberNCE
from mvcgc.models import Backbone
from mvcgc.models.classifier import Classifier, Probe
from mvcgc.models.resnet3d import R3D18, R2Plus1D18
from mvcgc.models.s3d import S3D
from mvcgc.models.tiny import R2Plus1D4
from mvcgc.stages.context import StageContext
from mvcgc.stages.evaluate.spec import EvaluateSpec, TestConfig
from mvcgc.stages.evaluate.task import Classify, FeatureLoader
from mvcgc.stages.pretrain import run as pretrain
from mvcgc.train import Amp, OptimConfig, OptimKind, ScheduleKind, Task
from mvcgc.train.loop import step
from mvcgc.train.state import TrainState
from mvcgc.train.task import Loader

CONTRAST = replace(pretraining.OPTIM, batch_size=4)
SUPERVISED = replace(CONTRAST, kind=OptimKind.sgd, momentum=0.9)
SMALL = 1 / 16
"""Width of the backbones, which are the real ones."""


def goes_on(make: Callable[[], Task], loader: Loader, config: OptimConfig, device: torch.device) -> None:
    """Steps, a checkpoint, and a step of a run that goes on from it."""
    first, told = TrainState.build(make(), config, 4, device), session(device)
    first.task.train()
    first.task.start_epoch(0, 0)
    batches = loader.epoch(0, 0)
    for _ in range(2):
        step(first, batches, config, told)
    assert strays(first) == []
    first.report(first.interval)
    first.save(told.checkpoints)
    again = TrainState.build(make(), config, 4, device)
    assert again.restore(told.checkpoints)
    again.task.train()
    again.task.start_epoch(0, 2)
    step(again, loader.epoch(0, 2), config, told)
    assert strays(again) == []
    again.save(told.checkpoints)
    again.check()


def classifier(backbone: type[Backbone]) -> Classify:
    network = Classifier(backbone(backbone.Config(width=SMALL), 3), pretraining.CLASSES, dropout=0.5)
    prepare = Inputs(built_in("rgb"))

    def inputs(batch: Batch) -> Tensor:
        return prepare(batch)["rgb"][:, 0]

    return Classify(network, inputs)


def pretraining_steps(_: Path) -> None:
    """The contrastive task: every kind of objective and precision, and an accumulated step."""
    infonce, cmc, coclr, uber = (
        method.Config(**pretraining.COMMON) for method in (InfoNCE, CMC, CoCLR, UberNCE)
    )
    with fake_gpu() as device:
        for method, config in (
            (pretraining.METHOD, CONTRAST),
            (infonce, replace(CONTRAST, kind=OptimKind.sgd)),
            (cmc, replace(CONTRAST, amp=Amp.bf16)),
            (coclr, CONTRAST),
            (uber, replace(CONTRAST, amp=Amp.fp16, accumulate=2)),
        ):
            loader = pretraining.Loader(config)
            goes_on(lambda method=method: pretraining.contrast(method), loader, config, device)


def supervised_steps(_: Path) -> None:
    """The linear probe, and every backbone."""
    labels, names = torch.arange(12) % 3, [str(number) for number in range(12)]
    features = FeatureLoader(torch.randn(12, 2, 16), labels, names, SUPERVISED.batch_size, seed=0)
    with fake_gpu() as device:
        goes_on(lambda: Classify(Probe(16, 3), lambda batch: batch.features), features, SUPERVISED, device)
        for backbone in (S3D, R2Plus1D18, R3D18, R2Plus1D4):
            state = TrainState.build(classifier(backbone), SUPERVISED, 4, device)
            state.task.train()
            step(state, pretraining.OneView(SUPERVISED).epoch(0, 0), SUPERVISED, session(device))
            assert strays(state) == []


def steps_of_ranks(_: Path) -> None:
    """One rank of several: shuffle, gathered keys, statistics, flags; what NCCL and gloo are given."""
    with fake_gpu() as device, fake_ranks(2):
        for config in (CONTRAST, replace(CONTRAST, sync_bn=True, accumulate=2)):
            goes_on(pretraining.contrast, pretraining.Loader(config), config, device)


@contextmanager
def stage_on(context: StageContext, device: torch.device) -> Iterator[StageContext]:
    """The stage on the device, its checkpoints in memory."""
    with mock.patch("mvcgc.stages.context.Checkpoints", Memory):
        yield replace(context, dist=dist.Dist(0, 1, 0, device))


def evaluate_on_fake_gpu(folder: Path, *specs: EvaluateSpec) -> None:
    """Whole stages on real files, from the videos to the results, in half precision."""
    manifest = evaluating.make_dataset(folder)
    evaluating.make_encoders(folder / "encoders")
    with fake_gpu() as device:
        for spec in specs:
            context = evaluating.context_of(folder / spec.task.part.label, manifest, folder / "encoders")
            with stage_on(context, device) as there:
                assert spec.task.part.run(there, replace(spec, amp=Amp.bf16)).metrics


def retrieval(folder: Path) -> None:
    """Both views, ten crops."""
    evaluate_on_fake_gpu(folder, replace(evaluating.SPEC, test=TestConfig(10, 1)))


def classification(folder: Path) -> None:
    """Linear probe and fine-tuning, with validation."""
    linear, finetune = (
        replace(spec, views=["rgb"], motion=None, task=replace(spec.task, epochs=2))
        for spec in (evaluating.LINEAR, evaluating.FINETUNE)
    )
    evaluate_on_fake_gpu(folder, linear, finetune)


def pretrainings(folder: Path) -> None:
    """Whole stages on real files, with validation: initialisation, and cross guidance."""
    manifest, _ = staging.make_dataset(folder)
    optim = replace(staging.OPTIM, epochs=1, schedule=ScheduleKind.plateau)
    with fake_gpu() as device:
        for views, method in ((["rgb"], staging.INFONCE), (["rgb", "mv"], staging.CROSS)):
            context = evaluating.context_of(folder / "-".join(views), manifest, folder)
            with stage_on(replace(context, parents={}), device) as there:
                result = pretrain.run(there, staging.spec(views, method, optim))
            assert all((context.folder.path / output).exists() for output in result.outputs)


def refused(_: Path) -> None:
    """What the device is there to notice, or the other tests could not fail."""
    with fake_gpu() as device, fake_ranks(2):
        there, here = torch.empty(3, 4, device=device), torch.empty(3, 4)
        column, flag = there[:, 0], torch.empty(3, dtype=torch.bool)
        for number, act in enumerate(
            (
                lambda: there + here,
                lambda: there @ here.T,
                lambda: torch.cat([there, here]),
                lambda: there.sum().item(),
                lambda: bool(there.isfinite().all()),
                there.tolist,
                there.nonzero,
                lambda: there[there > 0],
                lambda: there.cpu().sum().item(),
                lambda: td.all_reduce(column),
                lambda: td.all_reduce(flag),
                lambda: td.all_reduce(torch.empty(3, dtype=torch.int16, device=device)),
                lambda: td.all_gather([here, here], there),
                lambda: td.all_to_all_single(torch.empty_like(there), there, [2, 1], [1, 1]),
            )
        ):
            try:
                act()
            except (RuntimeError, TypeError):
                continue
            raise AssertionError(f"number {number} passed")
        td.all_reduce(there)
        td.all_reduce(here)


def rehearse(job: Callable[[Path], None], folder: Path) -> None:
    """In a process of its own: what goes wrong is left in a file."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    wrong = ""
    try:
        job(folder)
    except Exception:  # noqa: BLE001 - the test shows it
        wrong = traceback.format_exc()
    (folder / "wrong.txt").write_text(wrong)
