"""A small dataset of real files and the folders of pre-training stages on it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from mvcgc.data.augment.photometric import Photometric
from mvcgc.data.clips.modalities import settings
from mvcgc.data.clips.sampling import ClipConfig, MotionConfig
from mvcgc.data.index.manifest import Manifest, publish
from mvcgc.data.index.videos import Video
from mvcgc.dist import Device
from mvcgc.method.base import MethodConfig
from mvcgc.method.infonce import InfoNCE
from mvcgc.method.mvcgc import MVCGC, Mining
from mvcgc.models.resnet3d import R3D18
from mvcgc.parts import target_of
from mvcgc.runs.fingerprint import fingerprint, plain
from mvcgc.runs.folder import StageFolder
from mvcgc.stages.pretrain.kind import Cross
from mvcgc.stages.pretrain.spec import PretrainSpec
from mvcgc.stages.runner import main
from mvcgc.stages.spec import Runtime, StageConfig, StageDataset
from mvcgc.train import OptimConfig, ScheduleKind
from mvcgc.video import encode, probe

INFONCE = InfoNCE.Config(queue=8, momentum=0.9, dim=16)
CROSS = MVCGC.Config(mining=Mining.union, k=2, queue=8, momentum=0.9, dim=16)
OPTIM = OptimConfig(lr=1e-3, epochs=2, batch_size=4, schedule=ScheduleKind.cosine)


def make_dataset(folder: Path) -> tuple[Manifest, Path]:
    """Twelve videos of 12 frames in two classes: textures that move right or down. And its published file."""
    generator = np.random.default_rng(0)
    videos = []
    for number in range(14):
        label = number % 2
        path = folder / "videos" / f"{number:02d}.avi"
        path.parent.mkdir(parents=True, exist_ok=True)
        texture = generator.integers(0, 255, (12, 12, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        shifts = [(2 * time, 0) if label else (0, 2 * time) for time in range(12)]
        encode(path, [texture[y : y + 48, x : x + 64] for y, x in shifts], codec="mpeg4", gop=6)
        part = "train" if number < 12 else "val"
        videos.append(Video(path.name, path.stat().st_size, label, f"group {number // 2}", part, probe(path)))
    manifest = Manifest("small", folder / "videos", ["right", "down"], videos, [], carved=False)
    return manifest, publish(manifest, folder / "manifests")


def spec(views: list[str], method: MethodConfig, optim: OptimConfig = OPTIM) -> PretrainSpec:
    return PretrainSpec(
        views=views,
        modalities=settings(*views),
        dataset=StageDataset("small"),
        clip=ClipConfig(frames=8, size=32),
        motion=MotionConfig(cell=8, size=32) if "mv" in views else None,
        augment=Photometric.Config(),
        backbone=R3D18.Config(width=0.0625),
        method=method,
        optim=optim,
        seed=0,
    )


def make_stage(
    root: Path,
    name: str,
    wanted: PretrainSpec,
    dataset: tuple[Manifest, Path],
    parents: dict[str, StageFolder] | None = None,
    **runtime: Any,
) -> StageFolder:
    """The stage's folder as the planner leaves it: config.yaml and nothing else."""
    parents = parents or {}
    version = Cross.version
    digest = dataset[0].digest
    own = fingerprint(
        name, version, plain(wanted), digest, [parent.fingerprint for parent in parents.values()]
    )
    folder = StageFolder.of(root, name, own)
    runs = {"device": Device.cpu, "manifest": str(dataset[1]), "log_every": 1, "checkpoint_every_s": 1000.0}
    config = StageConfig(
        name=name,
        kind="cross",
        program=target_of(Cross),
        fingerprint=own,
        code_version=version,
        spec=plain(wanted),
        dataset_digest=digest,
        parents={role: str(parent.path) for role, parent in parents.items()},
        runtime=Runtime(**{**runs, **runtime}),
    )
    config.write(folder)
    return folder


def start(folder: StageFolder) -> "subprocess.Popen[str]":
    """``python -m mvcgc.stages`` on the folder, as a launcher starts it."""
    return subprocess.Popen(
        [sys.executable, "-m", "mvcgc.stages", str(folder.path)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


def stage_process(folder: Path) -> None:
    """The same in a forked process."""
    sys.exit(main([str(folder)]))
