"""``mvcgc bench loader``: how fast videos become augmented clips on the device, against workers."""

import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch

from mvcgc import dist
from mvcgc.bench import measure, workload
from mvcgc.bench.workload import Shape
from mvcgc.data.clips.dataset import Source
from mvcgc.data.clips.modalities import MV, RGB, built_in
from mvcgc.data.inputs import Inputs
from mvcgc.data.loading.loader import Loader, train_loader
from mvcgc.dist import Device
from mvcgc.errors import UserError
from mvcgc.stages.pretrain.epochs import Epochs

VIEWS = (RGB, MV)
BATCHES = 4
"""Batches of an epoch; each round is one."""


@dataclass(frozen=True)
class LoaderResult:
    """``workers`` processes read (0: the one that augments, too); a sample is two clips of both views.

    ``cpu_ms``: milliseconds on processors per sample, of all processes together; ``augment_ms``: of them
    those of copying and augmenting.
    """

    workers: int
    samples_per_s: float
    cpu_ms: float
    augment_ms: float


def run(shape: Shape, workers: list[int], device: Device, rounds: int) -> measure.BenchReport:
    """Measure with each number of ``workers``, in turns. Raises UserError for a device that is not there."""
    if min(workers) < 0:
        raise UserError(f"--workers {min(workers)}: give numbers of processes, or 0")
    place, here = dist.setup(device), measure.environment()
    with tempfile.TemporaryDirectory() as folder:
        source = workload.demo_source(Path(folder), shape, BATCHES * shape.batch, VIEWS)
        loaders = {count: _loader(source, shape, count, place.device) for count in workers}
        found: dict[int, list[LoaderResult]] = {count: [] for count in workers}
        for number in range(rounds + 1):  # the first starts the workers and fills the disk's cache
            for count, loader in loaders.items():
                result = _epoch(loader, count, number, shape.batch, place.device)
                if number > 0:
                    found[count].append(result)
    return _report(here, [_medians(each) for each in found.values()], shape, rounds, place.device)


def _loader(source: Source, shape: Shape, workers: int, device: torch.device) -> Loader:
    return train_loader(
        source, workload.AUGMENTATION, clips=2, batch_size=shape.batch, seed=0, workers=workers, device=device
    )


def _epoch(loader: Loader, workers: int, epoch: int, batch_size: int, device: torch.device) -> LoaderResult:
    others, started, cpu, augmenting = measure.children_cpu(), time.perf_counter(), time.process_time(), 0.0
    inputs = Inputs(built_in(*VIEWS), workload.AUGMENTATION)
    for batch in Epochs(loader).epoch(epoch, 0):
        before = time.process_time()
        inputs(batch.to(device))
        measure.synchronize(device)
        augmenting += time.process_time() - before
    wall = time.perf_counter() - started
    spent = time.process_time() - cpu + measure.children_cpu() - others
    samples = len(loader) * batch_size
    return LoaderResult(workers, samples / wall, 1e3 * spent / samples, 1e3 * augmenting / samples)


def _medians(results: list[LoaderResult]) -> LoaderResult:
    return LoaderResult(
        results[0].workers,
        median([one.samples_per_s for one in results]),
        median([one.cpu_ms for one in results]),
        median([one.augment_ms for one in results]),
    )


def _report(
    here: measure.Environment, results: list[LoaderResult], shape: Shape, rounds: int, device: torch.device
) -> measure.BenchReport:
    rows = [[one.workers, one.samples_per_s, one.cpu_ms, one.augment_ms, 1e3 / one.cpu_ms] for one in results]
    head = ["workers", "samples/s", "CPU ms a sample", "of them augmentation", "samples per CPU s"]
    return measure.BenchReport(
        name="loader",
        title="From files to augmented clips",
        machine=here,
        figures={
            "device": device.type,
            "rounds": rounds,
            "picture": workload.RESOLUTION,
            "shape": asdict(shape),
            "results": [asdict(one) for one in results],
        },
        sections=[
            f"A sample is two random clips of {shape.frames} x {shape.size} x {shape.size} of a video, RGB "
            f"and motion vectors, read, collated in batches of {shape.batch}, copied to the device "
            f"({device.type}) and augmented there. The videos are the demo's at "
            f"{workload.RESOLUTION} x {workload.RESOLUTION} pixels, MPEG-4 and H.264 alike. Medians of "
            f"{rounds} rounds in which all numbers of workers take turns; samples/s are by the clock, which "
            "other work on the machine slows down.",
            measure.markdown_table(head, rows),
        ],
    )
