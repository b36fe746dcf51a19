"""The cost of testing a video: seconds from the stored file to the networks' input and through the networks,
and the space that the test part takes (the paper's table 1 and figure 1).

Measured are some test videos, one after the other, each alone and on this machine, with networks of random
weights; figures are medians over the videos.

- **Pre-processing** is everything from the stored file to the input of the networks of all views: all crops
  of all windows of the test, normalised, in memory. What the way of storing needs first (flow, encoding
  again) is in it, what a scan tells once of each file is not. It is done on one core, and counted in seconds
  on the processor, which other work on the machine does not lengthen; waiting for a disk is not in them.
- **Inference** takes these inputs to the device and through the networks of all views, in seconds on the
  clock until the device is done.
- **Storage** is what has to be kept of the whole test part to feed the networks: of files that are read as
  they are the sum of their sizes, of what is made from them that of the videos measured, scaled by frames.
"""

import json
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from mvcgc.data.clips.modality import built
from mvcgc.data.clips.sampling import spread
from mvcgc.data.index.manifest import Manifest
from mvcgc.data.index.videos import Video
from mvcgc.files import write_atomic
from mvcgc.models.backbone import backbone_params, build_backbone
from mvcgc.models.classifier import Classifier
from mvcgc.models.layers import lay_out
from mvcgc.stages.context import Result, StageContext
from mvcgc.stages.efficiency.pipelines import WAYS, Inputs, Way
from mvcgc.stages.efficiency.spec import EfficiencySpec, Stored
from mvcgc.stages.provenance import machine

MEASURED = Path("measured.json")


@dataclass(frozen=True)
class Measured:
    """One video: how many frames it has, the bytes kept of it, and seconds."""

    video: str
    frames: int
    stored_bytes: int
    preprocess_s: float
    preprocess_wall_s: float
    inference_s: float
    inference_cpu_s: float


@dataclass
class Stopwatch:
    """Seconds on the clock, and of this process's threads on processors, within `running`."""

    wall: float = 0.0
    cpu: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Counts what happens meanwhile."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall += time.perf_counter() - wall
        self.cpu += time.process_time() - cpu


def run(context: StageContext, spec: EfficiencySpec) -> Result:
    """Measure, and leave the figures of every video in ``measured.json``.

    The headline metrics are ``preprocess_s``, ``inference_ms`` and ``total_s`` of a video and ``storage_gb``
    (10^9 bytes) of the test part; those with ``q1_`` and ``q3_`` before are the videos' quartiles.
    Pre-processing on the clock is ``preprocess_wall_s``, inference on processors ``inference_cpu_ms``. An
    attempt on the machine of an earlier one goes on where that was; on another it begins anew. Raises
    UserError without test videos, Interrupted after a stop signal.
    """
    manifest = context.manifest()
    test = manifest.require(manifest.ids("test"), "test")
    ways = [
        WAYS[spec.stored](spec, manifest, number, context.folder.path / "scratch")
        for number in spread(test, spec.task.videos)
    ]
    context.journal.params(_params(spec))
    context.journal.begin(len(ways), "video")
    measured = _measure(context, ways, _networks(spec, manifest, context.dist.device))
    stored = _storage(spec.stored, measured, [manifest.videos[number] for number in test])
    metrics = _metrics(measured) | {"storage_gb": stored / 1e9}
    context.journal.metrics(len(ways), metrics)
    content = {"machine": machine(context.dist.device), "videos": [asdict(one) for one in measured]}
    write_atomic(context.folder.path / MEASURED, json.dumps(content, indent=2) + "\n")
    return Result([MEASURED], metrics)


def _params(spec: EfficiencySpec) -> dict[str, str | int | float | bool | None]:
    """Return the parameters that name the run in a table of runs."""
    return {
        **backbone_params(spec.backbone),
        "task": "efficiency",
        "dataset": spec.dataset.name,
        "views": "+".join(spec.views),
        "stored": spec.stored.value,
        "frames": spec.clip.frames,
        "size": spec.clip.size,
        "crops": spec.test.crops,
        "windows": spec.test.windows,
        "videos": spec.task.videos,
    }


def _measure(
    context: StageContext, ways: Sequence[Way], networks: Mapping[str, Classifier]
) -> list[Measured]:
    """All videos; the first is done once more before, to warm up."""
    known = _Known(context)
    if known.videos:
        context.journal.resume(len(known.videos))
    warm = False
    for step, way in enumerate(ways, 1):
        if way.video.path in known.videos:
            continue
        for _ in range(1 if warm else 2):
            context.check_stop()
            one = _video(context.dist.device, way, networks)
        warm = True
        known.add(one)
        context.journal.metrics(
            step, {"preprocess_s": one.preprocess_s, "inference_ms": 1e3 * one.inference_s}
        )
    known.forget()
    return [known.videos[way.video.path] for way in ways]


class _Known:
    """Videos measured by earlier attempts on this machine, and by this one."""

    def __init__(self, context: StageContext) -> None:
        self._file, self._machine = context.folder.checkpoint / MEASURED, machine(context.dist.device)
        self.videos: dict[str, Measured] = {}
        if self._file.exists():
            content = json.loads(self._file.read_text())
            if content["machine"] == self._machine:
                self.videos = {one["video"]: Measured(**one) for one in content["videos"]}

    def add(self, one: Measured) -> None:
        self.videos[one.video] = one
        videos = [asdict(known) for known in self.videos.values()]
        write_atomic(self._file, json.dumps({"machine": self._machine, "videos": videos}))

    def forget(self) -> None:
        self._file.unlink(missing_ok=True)


def _video(device: torch.device, way: Way, networks: Mapping[str, Classifier]) -> Measured:
    preparing, inferring = Stopwatch(), Stopwatch()
    shutil.rmtree(way.scratch, ignore_errors=True)  # of an attempt that was killed
    way.scratch.mkdir(parents=True)
    try:
        with _one_core():
            with preparing.running():
                stored = way.make()
            way.look()
        clips = way.clips()
        while True:
            with _one_core(), preparing.running():
                inputs = next(clips, None)
            if inputs is None:
                break
            with inferring.running():
                _infer(device, inputs, networks)
    finally:
        shutil.rmtree(way.scratch)
    return Measured(
        video=way.video.path,
        frames=way.video.info.frames,
        stored_bytes=stored,
        preprocess_s=preparing.cpu,
        preprocess_wall_s=preparing.wall,
        inference_s=inferring.wall,
        inference_cpu_s=inferring.cpu,
    )


@contextmanager
def _one_core() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _networks(spec: EfficiencySpec, manifest: Manifest, device: torch.device) -> dict[str, Classifier]:
    networks = {}
    for view, modality in built(spec.modalities, spec.views).items():
        backbone = build_backbone(spec.backbone, modality.channels)
        network = Classifier(backbone, len(manifest.classes), dropout=0.0).eval().to(device)
        lay_out(network.backbone)
        networks[view] = network
    return networks


def _infer(device: torch.device, inputs: Inputs, networks: Mapping[str, Classifier]) -> None:
    with torch.no_grad():
        for view, network in networks.items():
            network(inputs[view].to(device)).softmax(dim=1)
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _metrics(measured: Sequence[Measured]) -> dict[str, float]:
    figures: dict[str, Callable[[Measured], float]] = {
        "preprocess_s": lambda one: one.preprocess_s,
        "inference_ms": lambda one: 1e3 * one.inference_s,
        "total_s": lambda one: one.preprocess_s + one.inference_s,
        "preprocess_wall_s": lambda one: one.preprocess_wall_s,
        "inference_cpu_ms": lambda one: 1e3 * one.inference_cpu_s,
    }
    metrics = {}
    for name, of in figures.items():
        values = [of(one) for one in measured]
        metrics[name] = statistics.median(values)
        if len(values) > 1:
            quartiles = statistics.quantiles(values, n=4, method="inclusive")
            metrics |= {f"q1_{name}": quartiles[0], f"q3_{name}": quartiles[2]}
    return metrics


def _storage(stored: Stored, measured: Sequence[Measured], test: Sequence[Video]) -> float:
    """Bytes of the whole test part."""
    if stored is Stored.COMPRESSED:
        return float(sum(video.size for video in test))
    share = sum(video.info.frames for video in test) / sum(one.frames for one in measured)
    return share * sum(one.stored_bytes for one in measured)
