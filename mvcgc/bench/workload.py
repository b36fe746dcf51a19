"""What measurements of training are fed with: made-up batches, and the project's own demo videos."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mvcgc.data.augment.base import Footage
from mvcgc.data.augment.photometric import Photometric
from mvcgc.data.clips.dataset import Source
from mvcgc.data.clips.modalities import RGB, built_in
from mvcgc.data.clips.sampling import ClipConfig, MotionConfig, uniforms
from mvcgc.data.demo import Demo, DemoConfig
from mvcgc.data.index.prepare import prepare
from mvcgc.data.loading.batch import Batch

FRAME_SIZE = (320, 240)
"""Width and height of the video that a made-up batch is supposed to come from, UCF101's."""


AUGMENTATION = Photometric(Photometric.Config())
"""``augment=strong``, which changes most clips."""

RESOLUTION = 256
"""Side in pixels of the demo's pictures here: about as many pixels as UCF101's have."""


@dataclass(frozen=True)
class Shape:
    """Clips of ``frames`` pictures of ``size`` x ``size`` pixels, two of each of ``batch`` videos a rank."""

    frames: int
    size: int
    batch: int

    @property
    def clip(self) -> ClipConfig:
        """As configurations say it."""
        return ClipConfig(frames=self.frames, size=self.size)

    @property
    def motion(self) -> MotionConfig:
        """Motion as large as the picture."""
        return MotionConfig(size=self.size)


def synthetic_batch(shape: Shape, views: tuple[str, ...], seed: int, device: torch.device) -> Batch:
    """Noise in the form of a batch, pinned for a GPU; what augmentation does to it is drawn as ever."""
    generator = torch.Generator().manual_seed(seed)
    sizes = (shape.batch, 2, shape.frames, shape.size, shape.size)
    stored = {
        view: torch.randint(0, 256, (*sizes[:2], 3, *sizes[2:]), generator=generator, dtype=torch.uint8)
        if view == RGB
        else torch.randn(*sizes, 2, generator=generator).half()
        for view in views
    }
    footage = Footage(4 * shape.frames, *FRAME_SIZE, shape.clip)
    pairs = [
        AUGMENTATION.draw(uniforms(seed, 0, f"clips/{number}"), footage) for number in range(shape.batch)
    ]
    number = torch.arange(shape.batch) + seed * shape.batch
    batch = Batch(
        views=stored,
        draws=torch.from_numpy(np.array([[draw.row() for draw in pair] for pair in pairs], np.float32)),
        video=number,
        group=number,
        label=number % 10,
        names=[f"{each}.avi" for each in number.tolist()],
        matrix=torch.zeros_like(number),
    )
    return batch.pin_memory() if device.type == "cuda" else batch


def demo_source(folder: Path, shape: Shape, videos: int, views: tuple[str, ...]) -> Source:
    """So many training videos of the demo, made in ``folder`` or found there."""
    classes = DemoConfig().classes
    config = Demo.Config(
        root=str(folder / "videos"),
        train=max(videos, classes),
        val=classes,
        test=classes,
        size=RESOLUTION,
        frames=2 * shape.frames,
    )
    manifest = prepare(config, folder, min_frames=shape.frames, needs_vectors=True, workers=1)
    return Source(manifest, manifest.ids("train"), built_in(*views), shape.clip, shape.motion)
