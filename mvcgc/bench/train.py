"""``mvcgc bench train``: what a pre-training step costs, where its time goes, and beside a plain one."""

import multiprocessing
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from mvcgc import dist
from mvcgc.bench import measure, workload
from mvcgc.bench.baseline_step import BaselineStep
from mvcgc.bench.pretrain_step import STAGES, PretrainStep, Setting, backbone_of
from mvcgc.bench.workload import Shape
from mvcgc.data.loading.loader import train_loader
from mvcgc.dist import Device, Dist
from mvcgc.parts import title
from mvcgc.phases import observed
from mvcgc.stages.pretrain.epochs import Epochs

PHASES = (
    "copy",
    "augmentation",
    "shuffle",
    "forward",
    "gather",
    "backward",
    "optimiser",
    "queue",
    "statistics",
    "flags",
)
FED_STEPS = 3
"""Steps on which the wait for data is measured, after as many that fill the loader's buffers."""


@dataclass(frozen=True)
class StepResult:
    """One stage with one backbone. Seconds are medians of a step's; ``clips_per_s`` counts as the journal
    does, two clips a video, whatever the views.

    ``speedup``: how many times as long the plain step takes, on processors, or on the clock with a GPU;
    ``phases``: seconds of a step in each; ``data_wait``: share of a step, when clips are read by ``workers``
    processes meanwhile; ``memory_mb``: the most memory, of the GPU or else of a process that does only this.
    """

    stage: str
    backbone: str
    clips_per_s: float
    clips_per_cpu_s: float
    step: measure.Elapsed
    plain: measure.Elapsed
    speedup: float
    phases: dict[str, float]
    workers: int
    data_wait: float
    memory_mb: float
    plain_memory_mb: float
    gpu_use: float | None


@dataclass(frozen=True)
class BenchConfig:
    """How it is measured: on ``device``, with so many threads of torch, in so many rounds, and so many
    processes that read videos.
    """

    device: Device = Device.auto
    threads: int = 1
    rounds: int = 5
    workers: int = 1


def run(backbones: Sequence[str], shape: Shape, config: BenchConfig) -> measure.BenchReport:
    """Measure all stages with each backbone. Raises UserError for a device that is not there."""
    place, here = dist.setup(config.device, config.threads), measure.environment()
    with tempfile.TemporaryDirectory() as folder:
        results = [
            _measured(Setting(stage, backbone_of(backbone), shape), place, config, Path(folder))
            for backbone in backbones
            for stage in STAGES
        ]
    return _report(here, results, shape, config, place.device)


def _measured(setting: Setting, place: Dist, config: BenchConfig, folder: Path) -> StepResult:
    device = place.device
    measure.announce(f"{setting.stage}, {title(setting.backbone)}")
    batches = [workload.synthetic_batch(setting.shape, setting.views, seed, device) for seed in range(2)]
    ours, plain = (
        PretrainStep(setting, place),
        BaselineStep(setting.model(), setting.method, setting.optim, device),
    )

    def each(take: Callable[[Any], object]) -> Callable[[], None]:
        def go() -> None:
            for batch in batches:
                take(batch)

        return go

    cases = {"ours": each(ours.take), "plain": each(plain.take)}
    with measure.GpuUse(device) as use:
        spent = measure.in_rounds(cases, config.rounds, device)
    gpu = device.type == "cuda"
    ratios = [
        (b.wall / a.wall) if gpu else (b.cpu / a.cpu)
        for a, b in zip(spent["ours"], spent["plain"], strict=True)
    ]
    step, peer = (_step(spent[name], len(batches)) for name in ("ours", "plain"))
    clock = measure.PhaseClock(device)
    with observed(clock):
        cases["ours"]()
    taken = 2 * setting.shape.batch
    return StepResult(
        stage=setting.stage,
        backbone=title(setting.backbone),
        clips_per_s=taken / step.wall,
        clips_per_cpu_s=taken / step.cpu,
        step=step,
        plain=peer,
        speedup=median(ratios),
        phases={name: clock.seconds.get(name, 0.0) / len(batches) for name in PHASES},
        workers=config.workers,
        data_wait=_data_wait(setting, ours, config.workers, folder, device),
        memory_mb=_memory(setting, device, config.threads, plain=False),
        plain_memory_mb=_memory(setting, device, config.threads, plain=True),
        gpu_use=use.mean,
    )


def _step(spent: Sequence[measure.Elapsed], steps: int) -> measure.Elapsed:
    return measure.Elapsed(
        median([each.wall for each in spent]) / steps,
        median([each.cpu for each in spent]) / steps,
    )


def _data_wait(
    setting: Setting, ours: PretrainStep, workers: int, folder: Path, device: torch.device
) -> float:
    """Share of a step, by the loop's own account, when the demo's videos are read meanwhile."""
    source = workload.demo_source(folder, setting.shape, 2 * FED_STEPS * setting.shape.batch, setting.views)
    loader = train_loader(
        source,
        workload.AUGMENTATION,
        clips=2,
        batch_size=setting.shape.batch,
        seed=0,
        workers=workers,
        device=device,
    )
    batches = Epochs(loader).epoch(0, 0)
    for _ in range(FED_STEPS):
        ours.go_on(batches)
    ours.state.interval.reset()
    for _ in range(FED_STEPS):
        ours.go_on(batches)
    figures = ours.state.interval.means()
    return figures["wait"] / figures["seconds"]


def _memory(setting: Setting, device: torch.device, threads: int, plain: bool) -> float:
    """The most MB that two steps take, in a process of their own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak, (setting, device.type, threads, plain))


def _peak(setting: Setting, kind: str, threads: int, plain: bool) -> float:
    place = dist.setup(Device(kind), threads)
    batch = workload.synthetic_batch(setting.shape, setting.views, 0, place.device)
    if plain:
        peer = BaselineStep(setting.model(), setting.method, setting.optim, place.device)
        for _ in range(2):
            peer.take(batch)
    else:
        ours = PretrainStep(setting, place)
        for _ in range(2):
            ours.take(batch)
    if kind == "cuda":
        return torch.cuda.max_memory_allocated(place.device) / 2**20
    # Not getrusage's figure, which begins with that of the process that started this one.
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 2**10


def _report(
    here: measure.Environment,
    results: Sequence[StepResult],
    shape: Shape,
    config: BenchConfig,
    device: torch.device,
) -> measure.BenchReport:
    gpu = device.type == "cuda"
    speeds = [
        [
            f"{one.stage}, {one.backbone}",
            one.clips_per_s,
            one.clips_per_cpu_s,
            one.step.wall if gpu else one.step.cpu,
            one.plain.wall if gpu else one.plain.cpu,
            one.speedup,
            100 * one.data_wait,
            one.memory_mb,
            one.plain_memory_mb,
            "-" if one.gpu_use is None else one.gpu_use,
        ]
        for one in results
    ]
    seconds = "seconds" if gpu else "CPU seconds"
    head = ["stage", "clips/s", "clips per CPU s", f"{seconds} a step", "plain step", "times faster"]
    head += ["data wait, %", "peak MB", "plain, MB", "GPU use, %"]
    shares = [
        [
            f"{one.stage}, {one.backbone}",
            *(100 * one.phases[name] / sum(one.phases.values()) for name in PHASES),
        ]
        for one in results
    ]
    return measure.BenchReport(
        name="train",
        title="A pre-training step",
        machine=here,
        figures={
            "device": device.type,
            "threads": config.threads,
            "rounds": config.rounds,
            "shape": {"frames": shape.frames, "size": shape.size, "batch": shape.batch},
            "results": [_plain_data(one) for one in results],
        },
        sections=[
            f"{shape.batch} videos a step, two clips of {shape.frames} x {shape.size} x {shape.size} of "
            f"each, float32, {config.threads} thread(s), {device.type}. Medians of {config.rounds} rounds in "
            "which our step and a plain one take turns; the plain one has the same weights, and torch's "
            "three-dimensional layers on contiguous tensors, an optimiser and a momentum update parameter "
            "by parameter, copies of the queues, and its loss read at every step. Clips/s are by the clock, "
            "which other work on the machine slows down; the factor is by "
            + ("the clock." if gpu else "this process's time on processors.")
            + f" The data wait is measured with {results[0].workers} worker(s) reading the demo's videos.",
            measure.markdown_table(head, speeds),
            "Share of a step's time in each part, in per cent:",
            measure.markdown_table(["stage", *PHASES], shares),
        ],
    )


def _plain_data(one: StepResult) -> dict[str, Any]:
    return {**vars(one), "step": vars(one.step), "plain": vars(one.plain)}
