"""A folder as a user of the Python interface has it: runs, a video file, encoder files."""

from pathlib import Path

import numpy as np
import pytest
from fake_sweep import FakeSweep

from mvcgc.data.clips.modalities import built_in
from mvcgc.models.pretrained import EncoderCard, PretrainedEncoder, save_encoder
from mvcgc.models.tiny import R2Plus1D4
from mvcgc.stages.given import input_of
from mvcgc.video import encode


def make_sweep(root: Path) -> FakeSweep:
    """Two rows of two seeds; the second row's retrieval fails for seed 1, and its probe has not begun."""
    fake = FakeSweep(root)
    for seed in (0, 1):
        fake.complete(fake.row("Init.", seed, cross=False), r1=30.0 + seed, top1=50.0)
    fake.complete(fake.row("MVCGC (k=5)", 0), r1=40.0, top1=60.0)
    stages = fake.row("MVCGC (k=5)", 1).stages
    fake.train(stages["retrieve/demo"], range(1, 3))
    fake.end(stages["retrieve/demo"], "failed", "out of memory")
    fake.finish(stages["cross"], loss=0.5)
    fake.write()
    return fake


def make_encoder(path: Path, view: str) -> None:
    channels = 3 if view == "rgb" else 2
    card = EncoderCard(
        view=view,
        backbone=R2Plus1D4.Config(0.0625),
        in_channels=channels,
        frames=8,
        size=32,
        cell=None if view == "rgb" else 8,
        input=input_of(built_in(view)[view], view),
        method="mvcgc",
        dataset="demo",
    )
    save_encoder(path, card, PretrainedEncoder(card).backbone.state_dict())


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("user")
    make_sweep(folder / "runs")
    texture = np.random.default_rng(0).integers(0, 255, (24, 24, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    encode(folder / "video.mp4", [texture[:48, 2 * t : 2 * t + 64] for t in range(12)], gop=6)
    for view in ("rgb", "mv"):
        make_encoder(folder / f"{view}.safetensors", view)
    return folder


@pytest.fixture
def folder(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, as the working directory."""
    monkeypatch.chdir(made)
    return made
