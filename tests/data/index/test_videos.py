"""The table of videos: what goes in comes out, from memory and from a file, whole or refused."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mvcgc.data.index.manifest import Manifest, load, publish
from mvcgc.data.index.videos import Video, VideoTable
from mvcgc.errors import UserError
from mvcgc.video.info import Clock, Opening, VideoInfo

PLAIN = VideoInfo("mpeg4", 320, 240, 25.0, 100, (0, 12), (0, 480), Clock.DTS, 0, 1.0, 0, True, "")
ODD = replace(
    PLAIN,
    fps=30000 / 1001,
    keyframes=(),
    seeks=(),
    clock=Clock.NONE,
    origin=-(2**40),
    step=1 / 3,
    rotation=270,
    vectors=False,
    damage="52 of 65 declared frames decode",
    gaps=((3, 1), (7, -2)),
    mirrored=True,
    opening=Opening("mp4", stored=True),
    delay=2,
    stat=(2**41, 1_700_000_000_123_456_789),
)
VIDEOS = [
    Video("b/ü 1.avi", 2**40, 0, "g10", "train", PLAIN),
    Video("b/2.avi", 0, -1, "g9", "val", ODD),
    Video("b/3.avi", 7, 1, "g10", "test", PLAIN),
]
KEPT = 20_000


def made(videos: list[Video]) -> Manifest:
    return Manifest("made", Path("/videos"), ["x", "y"], videos, [], carved=True)


def test_videos_come_out_as_they_went_in(tmp_path: Path) -> None:
    path = tmp_path / "table.arrow"
    path.write_bytes(VideoTable.of(VIDEOS).to_bytes(b"header"))
    table, header = VideoTable.map(path)
    assert header == b"header"
    assert list(table) == VIDEOS
    assert [(video.info.stat, video.info.clock) for video in table] == [
        (video.info.stat, video.info.clock) for video in VIDEOS
    ]
    assert table == VIDEOS
    assert table != VIDEOS[::-1]
    assert table[1:] == VIDEOS[1:]
    assert table[-1] == VIDEOS[-1]
    with pytest.raises(IndexError, match="video 3 of 3"):
        table[3]


def test_columns_tell_parts_groups_and_labels() -> None:
    table = VideoTable.of(VIDEOS)
    assert table.of_parts(["train", "val"]) == [0, 1]
    assert table.of_parts(["test"]) == [2]
    assert table.of_parts(["nothing"]) == []
    assert table.group_ids.tolist() == [0, 1, 0]
    assert table.labelled
    assert not VideoTable.of([replace(video, label=-1) for video in VIDEOS]).labelled


def test_a_table_of_no_videos(tmp_path: Path) -> None:
    empty = load(publish(made([]), tmp_path))
    assert (len(empty.videos), empty.training(), empty.labelled) == (0, [], False)


@pytest.mark.parametrize(
    "changed",
    [replace(VIDEOS[1], label=1), replace(VIDEOS[1], part="train"), replace(VIDEOS[1], info=PLAIN)],
    ids=["label", "part", "info"],
)
def test_the_digest_tells_videos_apart(changed: Video) -> None:
    assert made([VIDEOS[0], changed, VIDEOS[2]]).digest != made(VIDEOS).digest


def test_the_digest_is_that_of_a_copy(tmp_path: Path) -> None:
    copied = [replace(video, info=replace(video.info, stat=(1, 2))) for video in VIDEOS]
    assert made(copied).digest == made(VIDEOS).digest
    assert load(publish(made(VIDEOS), tmp_path)).digest == made(VIDEOS).digest


@pytest.mark.parametrize("kept", [0, 8, 100, 0.5, 0.99])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, kept: float) -> None:
    path = publish(made(VIDEOS), tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept if kept > 1 else kept * len(whole))])
    with pytest.raises(UserError, match=r"cannot be read as a manifest .*; run `mvcgc data scan`"):
        load(path)


MEASURE = """
import sys
from pathlib import Path
from mvcgc.data.index.manifest import load

def own() -> int:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty"))

before = own()
manifest = load(Path(sys.argv[1]))
ids = manifest.training()
assert manifest.digest and manifest.group(ids[-1]) > 0 and manifest.videos[ids[-1]].info.frames == 100
print(own() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux's smaps_rollup")
def test_a_rank_holds_little_of_a_large_manifest_itself(tmp_path: Path) -> None:
    videos = [Video(f"{n:06d}.avi", n, 0, f"g{n // 2}", "train", PLAIN) for n in range(KEPT)]
    path = publish(made(videos), tmp_path)
    done = subprocess.run([sys.executable, "-c", MEASURE, path], check=True, capture_output=True, text=True)
    assert int(done.stdout) * 1024 / KEPT < 330  # bytes a video: 100 MB of 300,000
