"""A tiny dataset of real files, encoders of random weights, and evaluations; without a test framework."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mvcgc import dist
from mvcgc.data.augment.coclr import Probe
from mvcgc.data.clips.modalities import settings
from mvcgc.data.clips.sampling import ClipConfig, MotionConfig
from mvcgc.data.index.manifest import Manifest, publish
from mvcgc.data.index.videos import Video
from mvcgc.models import Encoder, build_backbone
from mvcgc.models.s3d import S3D
from mvcgc.runs.folder import StageFolder
from mvcgc.runs.journal import JournalWriter
from mvcgc.stages.context import NoStageJournal, Result, StageContext
from mvcgc.stages.evaluate.kinds import Finetune, Linear, Protocol, Retrieve
from mvcgc.stages.evaluate.spec import EvaluateSpec, TestConfig
from mvcgc.stages.spec import Runtime, StageConfig, StageDataset
from mvcgc.train import Amp, ScheduleKind, StopFlag
from mvcgc.video import encode, probe

CLASSES = ("left", "right", "down")
PARTS = ("train", "train", "test", "val")
WIDTH, HEIGHT = 64, 48
BACKBONE = S3D.Config(width=0.0625)
PROBE = Linear.Config(epochs=6, batch_size=2, schedule=ScheduleKind.plateau, draws=2)
TUNING = Finetune.Config(lr=0.02, epochs=2, batch_size=6, schedule=ScheduleKind.plateau, dropout=0.1)
SPEC = EvaluateSpec(
    task=Retrieve.Config(Protocol.crops),
    views=["rgb", "mv"],
    modalities=settings("rgb", "mv"),
    dataset=StageDataset("tiny"),
    clip=ClipConfig(frames=8, size=32),
    motion=MotionConfig(cell=8, size=32),
    augment=None,
    backbone=BACKBONE,
    test=TestConfig(crops=10, windows=2),
    metrics={},
    hold_out=True,
    amp=Amp.none,
    seed=3,
)
LINEAR = replace(SPEC, task=PROBE, augment=Probe.Config(), test=TestConfig(crops=1))
FINETUNE = replace(SPEC, task=TUNING, augment=Probe.Config(), test=TestConfig(1, 1))


def make_dataset(folder: Path) -> Manifest:
    """A textured square that moves as its class says over a still background; lengths differ."""
    videos = []
    generator = np.random.default_rng(0)
    for label, kind in enumerate(CLASSES):
        for number, part in enumerate(PARTS):
            path = folder / "videos" / kind / f"{number}.avi"
            path.parent.mkdir(parents=True, exist_ok=True)
            background = generator.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
            square = generator.integers(0, 255, (16, 16, 3), dtype=np.uint8)
            frames = []
            for time in range(11 + 3 * number):
                x, y = {"left": (40 - time, 16), "right": (8 + time, 16), "down": (24, 2 + time)}[kind]
                frame = background.copy()
                frame[y : y + 16, x : x + 16] = square
                frames.append(frame)
            encode(path, frames, codec="mpeg4", gop=6)
            relative = path.relative_to(folder / "videos").as_posix()
            videos.append(Video(relative, path.stat().st_size, label, relative, part, probe(path)))
    videos.sort(key=lambda video: video.path)
    return Manifest("tiny", folder / "videos", list(CLASSES), videos, [], carved=False)


def make_encoders(folder: Path) -> dict[str, StageFolder]:
    """A folder as pre-training leaves it, with encoders of random weights and busy batch norms."""
    folder.mkdir()
    for view, channels in (("rgb", 3), ("mv", 2)):
        torch.manual_seed(channels)
        encoder = Encoder(build_backbone(BACKBONE, channels), 16)
        for module in encoder.modules():
            if isinstance(module, torch.nn.BatchNorm3d):
                module.momentum = None  # the statistics become those of the one batch
        with torch.no_grad():
            encoder(torch.randn(8, channels, 8, 32, 32))
        torch.save(encoder.state_dict(), folder / f"encoder_{view}.pt")
    return {view: StageFolder(folder) for view in ("rgb", "mv")}


def context_of(
    folder: Path, manifest: Manifest, encoders: Path, journal: Any = None, stop: StopFlag | None = None
) -> StageContext:
    """The context that a stage's entry point would give."""
    place = dist.Dist(dist.rank(), dist.world(), dist.rank(), torch.device("cpu"))
    runtime = Runtime(manifest=str(publish(manifest, folder.parent / "manifests")), checkpoint_every_s=1e6)
    config = StageConfig("retrieve/tiny", "retrieve", "", "0" * 16, 1, {}, manifest.digest, {}, runtime)
    parents = {view: StageFolder(encoders) for view in ("rgb", "mv")}
    return StageContext(
        StageFolder(folder), config, place, journal or NoStageJournal(), stop or StopFlag(), parents
    )


def evaluated(
    folder: Path,
    manifest: Manifest,
    encoders: Path,
    spec: EvaluateSpec,
    *,
    attempt: int = 1,
    stop: StopFlag | None = None,
) -> Result:
    """Evaluate with a journal in ``folder``."""
    if not dist.is_main():
        return spec.task.part.run(context_of(folder, manifest, encoders, None, stop), spec)
    with JournalWriter(folder / "journal", attempt) as journal:
        return spec.task.part.run(context_of(folder, manifest, encoders, journal, stop), spec)


def on_two_ranks(folder: Path) -> dict[str, Any]:
    """Metrics of each task."""
    manifest, encoders = make_manifest_of(folder), folder / "encoders"
    return {
        spec.task.part.label: evaluated(folder / spec.task.part.label, manifest, encoders, spec).metrics
        for spec in (SPEC, LINEAR, replace(FINETUNE, views=["rgb"], motion=None))
    }


def make_manifest_of(folder: Path) -> Manifest:
    """The manifest that the parent process has published."""
    from mvcgc.data.index.manifest import load

    (path,) = (folder / "manifests").glob("*.arrow")
    return load(path)
