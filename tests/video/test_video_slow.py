"""Vectors against the slow reader, bit by bit, on real and made files."""

from pathlib import Path

import numpy as np
import pytest
from video_made import make
from video_slow import slow_motion

from mvcgc.video import ClipRequest, Reader, probe

REAL = [
    ("ucf_v_SoccerJuggling_g23_c01.avi", 16),
    ("ucf_v_ApplyEyeMakeup_g01_c01.avi", 14),
    ("hmdb_TrumanShow_wave_f_nm_np1_fr_med_26.avi", 26),
    ("hmdb_hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi", 14),
    ("k400_R6llTwEh07w.mp4", 10),
    ("k400_SOX5yA1l24A.mp4", 10),
]

MADE = [
    ("mpeg4", ".avi", 0),
    ("mpeg4", ".mp4", 2),
    ("h264", ".mp4", 0),
    ("h264", ".mp4", 3),
    ("mpeg1video", ".mpg", 2),
    ("mpeg2video", ".ts", 2),
    ("flv1", ".flv", 0),
]


def check(path: Path, count: int) -> None:
    mv, valid = slow_motion(path, count)
    with Reader(path, probe(path)) as reader:
        clip = reader.read([ClipRequest(0, count)], motion=True)[0]
    assert clip.valid is not None
    assert clip.mv is not None
    np.testing.assert_array_equal(clip.valid, valid)
    np.testing.assert_array_equal(clip.mv, mv.astype(np.float32))
    assert valid.any()
    assert np.abs(mv).max() > 1


@pytest.mark.parametrize(("name", "count"), REAL)
def test_real_files_give_the_vectors_of_the_slow_reader(clips_dir: Path, name: str, count: int) -> None:
    check(clips_dir / name, count)


@pytest.mark.parametrize(("codec", "suffix", "bframes"), MADE)
def test_made_files_give_the_vectors_of_the_slow_reader(
    tmp_path: Path, codec: str, suffix: str, bframes: int
) -> None:
    check(make(tmp_path / f"made{suffix}", 2, -1, frames=16, codec=codec, bframes=bframes), 14)
