"""Experiments, rows and manifests for the tests of planning and launching."""

import dataclasses
from pathlib import Path
from typing import Any

from mvcgc.data.augment.photometric import Photometric
from mvcgc.data.clips.modalities import settings
from mvcgc.data.clips.sampling import ClipConfig, MotionConfig
from mvcgc.data.index.layouts.folder import Folder
from mvcgc.data.index.manifest import Manifest
from mvcgc.data.index.videos import Video
from mvcgc.method.mvcgc import MVCGC
from mvcgc.models.s3d import S3D
from mvcgc.plan import DownstreamConfig, Experiment, Graph, Need, Resources, Row, Stage, build, dataset_needs
from mvcgc.stages.activation import Activation
from mvcgc.stages.efficiency.spec import Efficiency
from mvcgc.stages.evaluate.kinds import Finetune, Linear, Retrieve
from mvcgc.train.optim import InitConfig, OptimConfig
from mvcgc.video.info import Clock, VideoInfo

INFO = VideoInfo(
    codec="mpeg4",
    width=64,
    height=48,
    fps=25.0,
    frames=40,
    keyframes=(0,),
    seeks=(0,),
    clock=Clock.PTS,
    origin=0,
    step=1.0,
    rotation=0,
    vectors=True,
    damage="",
)


TASKS = ["linear", "finetune", "retrieve", "efficiency", "activation"]


def make_experiment(**changes: Any) -> Experiment:
    """A small mvcgc experiment; ``changes`` by field, or by ``component__field`` for one of a component."""
    parts: dict[str, Any] = {
        "dataset": Folder.Config(name="tiny", root="/videos"),
        "clip": ClipConfig(frames=8, size=32),
        "motion": MotionConfig(cell=8, size=32),
        "augment": Photometric.Config(),
        "views": ["rgb", "mv"],
        "modalities": settings(),
        "backbone": S3D.Config(width=0.125),
        "method": MVCGC.Config(k=5, queue=16),
        "init": InitConfig(epochs=30, batch_size=8),
        "cross": OptimConfig(epochs=20, batch_size=8),
        "downstream": DownstreamConfig(
            tasks=["linear", "retrieve"],
            kinds={
                "linear": Linear.Config(epochs=10, batch_size=8),
                "finetune": Finetune.Config(epochs=5, batch_size=8),
                "retrieve": Retrieve.Config(),
                "efficiency": Efficiency.Config(),
                "activation": Activation.Config(),
            },
        ),
        "seed": 0,
    }
    fields: dict[str, dict[str, Any]] = {}
    for key, value in changes.items():
        part, _, name = key.partition("__")
        if not name:
            parts[part] = value
        elif part == "downstream" and name in TASKS:
            kinds = fields.setdefault(part, {}).setdefault("kinds", {**parts[part].kinds})
            kinds[name] = value
        else:
            fields.setdefault(part, {})[name] = value
    replaced = {part: dataclasses.replace(parts[part], **values) for part, values in fields.items()}
    return Experiment(**{**parts, **replaced})


def make_row(name: str = "row", resources: Resources | None = None, **changes: Any) -> Row:
    """A row of `make_experiment`."""
    return Row(name, make_experiment(**changes), resources or Resources())


def make_manifest(name: str = "tiny", videos: int = 40, classes: int = 4, without: str = "") -> Manifest:
    """Videos of which half are to train on, a tenth of those is validation; all labelled or none.

    The videos of the part ``without`` are left out.
    """
    described = []
    for number in range(videos):
        part = "test" if number % 2 else ("val" if number % 20 == 0 else "train")
        if part == without:
            continue
        label = number % classes if classes else -1
        described.append(Video(f"{number:05d}.avi", 1000, label, f"g{number}", part, INFO))
    names = [f"class{number}" for number in range(classes)]
    return Manifest(name, Path("/videos"), names, described, [], carved=True)


def make_graph(rows: list[Row], **manifests: Manifest | None) -> Graph:
    """The graph of rows, each dataset with the manifest of its name (or a small one)."""
    found: dict[Need, Manifest | None] = {}
    for need in dataset_needs(rows):
        name = need.config.name
        found[need] = manifests[name] if name in manifests else make_manifest(name)
    return build(rows, found)


def finish(stage: Stage, root: Path, **metrics: float) -> None:
    """Make ``stage`` look as if it had run: configuration, one output, DONE.json."""
    folder = stage.folder(root)
    folder.path.mkdir(parents=True, exist_ok=True)
    stage.config(root).write(folder)
    (folder.path / "encoder.pt").write_bytes(b"weights")
    folder.write_done([Path("encoder.pt")], metrics)


def checkpoint(stage: Stage, root: Path, step: int, part: str = "") -> None:
    """Make ``stage`` look as if it had a checkpoint after ``step`` steps."""
    folder = stage.folder(root).checkpoint / part / f"{step:08d}"
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text("{}")
