"""A single video file: what it shows, and that its clips are those of evaluation."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluate_factories import BACKBONE, SPEC, evaluated, make_encoders
from evaluate_factories import make_dataset as make_videos

import mvcgc
from mvcgc.data.clips.modalities import built_in
from mvcgc.errors import UserError
from mvcgc.models.pretrained import EncoderCard, save_encoder
from mvcgc.stages.evaluate.run import FEATURES
from mvcgc.stages.evaluate.spec import TestConfig
from mvcgc.stages.given import input_of
from mvcgc.video import VideoError, encode


def test_frames_and_motion_are_of_the_same_frames(folder: Path) -> None:
    with mvcgc.open_video("video.mp4") as video:
        whole = video.both()
        assert whole.rgb.shape == (12, 48, 64, 3)
        assert np.array_equal(video.frames(5, 3), whole.rgb[5:8])
        assert np.array_equal(video.motion(5), whole.mv[5:])
        assert np.array_equal(video.frames(2, 1), whole.rgb[2:3])  # backwards, too
        assert video.frames(0, 2, size=(24, 32)).shape == (2, 24, 32, 3)
        moving = whole.mv[whole.valid]
        assert np.median(moving[:, 0]) == pytest.approx(-2)  # the texture moves 2 pixels to the left


def test_clips_for_networks(folder: Path) -> None:
    with mvcgc.open_video("video.mp4") as video:
        rgb = video.clip("rgb", frames=8, size=32)
        mv = video.clip("mv", frames=8, size=32)
        assert (rgb.dtype, rgb.shape) == (np.float32, (3, 8, 32, 32))
        assert (mv.dtype, mv.shape) == (np.float32, (2, 8, 32, 32))
        assert 0 <= rgb.min() < rgb.max() <= 1
        # In pixels of the clip: 32 of them show the 42 of the central crop.
        assert np.median(mv[0]) == pytest.approx(-2 * 32 / 42, rel=1e-3)
        assert np.array_equal(video.clip("rgb", frames=8, size=32, start=3), rgb)  # windows begin at 0, 3, 4
        assert not np.array_equal(video.clip("rgb", frames=8, size=32, start=0), rgb)


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda video: video.frames(10, 5), "start=10 and 5 frames: the video has the frames 0 to 11"),
        (lambda video: video.motion(-1, 2), "start=-1 and 2 frames"),
        (lambda video: video.frames(12), "start=12 and 0 frames"),
        (
            lambda video: video.clip("mv", frames=32),
            "start=0 and 32 frames: the video has the frames 0 to 11",
        ),
        (lambda video: video.clip("depth"), "no view 'depth'"),
        (lambda video: video.clip("rgb", frames=1), "a clip has at least 2 frames"),
        (lambda video: video.clip("mv", frames=8, cell=9), "codecs move blocks of 8 pixels"),
    ],
)
def test_mistakes(folder: Path, call: object, line: str) -> None:
    assert callable(call)
    with mvcgc.open_video("video.mp4") as video, pytest.raises(UserError, match=line):
        call(video)


def test_codecs_without_vectors(tmp_path: Path) -> None:
    path = tmp_path / "video.webm"
    picture = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    encode(path, [np.roll(picture, time, axis=1) for time in range(8)], codec="vp9")
    with mvcgc.open_video(path) as video:
        assert "without motion vectors" in repr(video)
        assert video.clip("rgb", frames=8, size=32).shape == (3, 8, 32, 32)
        with pytest.raises(
            UserError, match=r"vp9 exports no motion vectors; open_video\(..., mestimate=True\)"
        ):
            video.motion()
        with pytest.raises(UserError, match="vp9 exports no motion vectors"):
            video.clip("mv", frames=8, size=32)
    with mvcgc.open_video(path, mestimate=True) as video:
        assert video.motion().shape == (8, 6, 8, 2)
        assert video.clip("mv", frames=8, size=32).shape == (2, 8, 32, 32)


def test_what_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    with pytest.raises(VideoError, match=r"video\.mp4"):
        mvcgc.open_video(path)
    path.write_text("no video")
    with pytest.raises(VideoError, match=r"video\.mp4"):
        mvcgc.open_video(path)


@pytest.mark.parametrize("view", ["rgb", "mv"])
def test_features_are_those_of_evaluation(tmp_path: Path, view: str) -> None:
    manifest = make_videos(tmp_path)
    encoders = make_encoders(tmp_path / "encoders")
    spec = replace(SPEC, test=TestConfig(crops=1, windows=1))
    evaluated(tmp_path / "retrieve", manifest, tmp_path / "encoders", spec)
    found = np.load(tmp_path / "retrieve" / FEATURES)

    card = EncoderCard(
        view=view,
        backbone=BACKBONE,
        in_channels=3 if view == "rgb" else 2,
        frames=spec.clip.frames,
        size=spec.clip.size,
        cell=8,
        input=input_of(built_in(view)[view], view),
        method="mvcgc",
        dataset="tiny",
    )
    state = torch.load(encoders[view].path / f"encoder_{view}.pt", weights_only=True)
    backbone = {key.removeprefix("backbone."): state[key] for key in state if key.startswith("backbone.")}
    save_encoder(tmp_path / "encoder.safetensors", card, backbone)
    encoder = mvcgc.load_encoder(tmp_path / "encoder.safetensors")
    clips = []
    for name in found["names"]:
        with mvcgc.open_video(manifest.root / name) as video:
            clips.append(video.clip_for(encoder))
    with torch.no_grad():
        together = encoder(torch.cat(clips)).numpy()
        alone = torch.cat([encoder(clip) for clip in clips]).numpy()
    # Evaluation shows all of them as one batch; convolutions of other batches round otherwise.
    np.testing.assert_array_equal(together, found[view])
    np.testing.assert_allclose(alone, found[view], rtol=1e-4, atol=1e-5 * found[view].max())
    assert np.ptp(found[view], axis=0).max() > 0.1  # videos differ, and so would wrong clips
