"""The writer: reproducible, and clear about what it cannot do."""

from pathlib import Path

import numpy as np
import pytest
from video_made import make, moving, types

from mvcgc.video import encode, probe


@pytest.mark.parametrize(
    ("codec", "suffix", "bframes"),
    [("mpeg4", ".avi", 0), ("mpeg4", ".avi", 2), ("h264", ".mp4", 0), ("h264", ".mp4", 2)],
)
def test_the_same_pictures_give_the_same_bytes(tmp_path: Path, codec: str, suffix: str, bframes: int) -> None:
    first, second = (
        make(tmp_path / f"{name}{suffix}", 2, 1, frames=14, codec=codec, bframes=bframes).read_bytes()
        for name in ("first", "second")
    )
    assert first == second


def test_gop_bframes_and_rate(tmp_path: Path) -> None:
    assert types(make(tmp_path / "made.avi", 2, 1, frames=15, gop=7)) == "IPPPPPPIPPPPPPI"
    path = make(tmp_path / "made.mp4", 2, 1, frames=21, gop=7, bframes=2, fps=30)
    kinds = types(path)
    assert "BB" in kinds
    assert "BBB" not in kinds
    assert probe(path).fps == 30


def test_what_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "made.avi"
    picture = np.zeros((64, 80, 3), np.uint8)
    with pytest.raises(ValueError, match="codec=theora"):
        encode(path, [picture], codec="theora")
    with pytest.raises(ValueError, match="no frames"):
        encode(path, [])
    with pytest.raises(ValueError, match="frame 1 is"):
        encode(path, [picture, picture[:32]])
    with pytest.raises(ValueError, match="h263 cannot"):
        encode(path, [picture], codec="h263")  # H.263 knows five sizes
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_writer_leaves_no_file(tmp_path: Path) -> None:
    def interrupted():
        yield from moving(3, 1, 1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode(tmp_path / "made.avi", interrupted())
    assert list(tmp_path.iterdir()) == []
