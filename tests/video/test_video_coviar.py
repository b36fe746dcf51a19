"""Vectors of a video encoded again: against the whole file encoded again and read plainly."""

from pathlib import Path

import numpy as np
import pytest
from video_made import make, types

from mvcgc.video import ClipRequest, Reader, probe, reencode


@pytest.fixture(scope="module", params=[("mpeg4", ".avi", 2), ("h264", ".mp4", 2), ("vp9", ".webm", 0)])
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    codec, suffix, bframes = request.param
    path = tmp_path_factory.mktemp("coviar") / f"v{suffix}"
    return make(path, 3, -2, frames=40, codec=codec, bframes=bframes, gop=30)


def test_the_file_is_encoded_again_without_b_frames(video: Path, tmp_path: Path) -> None:
    reencode(video, tmp_path / "again.avi")
    assert types(tmp_path / "again.avi") == ("I" + 11 * "P") * 3 + "IPPP"
    assert probe(tmp_path / "again.avi").frames == 40


def test_a_clip_has_the_vectors_of_the_whole_file_encoded_again(video: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.avi"
    reencode(video, again)
    requests = [ClipRequest(0, 16), ClipRequest(7, 20), ClipRequest(24, 16)]
    with Reader(video, probe(video), recode=True) as reader, Reader(again, probe(again)) as whole:
        clips, expected = reader.read(requests, motion=True), whole.read(requests, motion=True)
    for clip, other in zip(clips, expected, strict=True):
        np.testing.assert_array_equal(clip.valid, other.valid)
        np.testing.assert_array_equal(clip.mv, other.mv)
        moved = clip.mv[clip.valid]
        assert np.abs(np.median(moved, axis=0) - (3, -2)).max() < 0.25


def test_pictures_are_those_of_the_file_itself(video: Path) -> None:
    request = ClipRequest(5, 12, size=(32, 32))
    info = probe(video)
    with Reader(video, info, recode=True) as recoded, Reader(video, info) as plain:
        pictures = recoded.read([request], motion=True)[0].planes
        np.testing.assert_array_equal(pictures, plain.read([request], motion=False)[0].planes)


def test_an_upright_clip_of_a_turned_video(tmp_path: Path) -> None:
    path = make(tmp_path / "turned.mp4", 3, 0, frames=14, codec="h264", rotation=90)
    with Reader(path, probe(path), recode=True) as reader:
        (clip,) = reader.read([ClipRequest(0, 12)], motion=True)
    assert clip.mv.shape[1:] == (176 // 8, 144 // 8, 2)
    # Clockwise: what moves to the right moves down.
    assert np.abs(np.median(clip.mv[clip.valid], axis=0) - (0, 3)).max() < 0.25
