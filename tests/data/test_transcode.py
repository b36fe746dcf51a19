"""Transcoding folders: copies read like their sources, are made once, and appear whole or not at all."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from data_factories import moving_frames, texture, write_video

from mvcgc.cli import main
from mvcgc.data.transcode import LOG, TranscodeConfig, folder, report, transcode
from mvcgc.errors import UserError
from mvcgc.video import ClipRequest, Reader, encode, probe

SMALL = TranscodeConfig(side=32)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Four videos in four containers, with a list, a damaged file and one that is no video."""
    root = tmp_path / "source"
    write_video(root / "a" / "plain.avi", frames=40, dx=2, dy=0)
    write_video(root / "a" / "long gop.mp4", frames=45, dx=0, dy=2, codec="h264")
    write_video(root / "b" / "old.flv", frames=33, codec="flv1")
    encode(root / "b" / "turned.mp4", moving_frames(20, 2, 0), codec="mpeg4", rotation=90)
    whole = write_video(root / "cut.avi", frames=40).read_bytes()
    (root / "cut.avi").write_bytes(whole[: len(whole) // 2])
    (root / "list.txt").write_text("a/plain.avi 1\n")
    (root / "notes.pdf").write_text("no list")
    return root


def test_copies_have_the_frames_of_their_sources_small_and_with_many_keyframes(
    source: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    found = {each.path: each for each in transcode(source, target, SMALL, workers=2)}
    assert {path: each.refused != "" for path, each in found.items()} == {
        "a/long gop.mp4": False,
        "a/plain.avi": False,
        "b/old.flv": False,
        "b/turned.mp4": False,
        "cut.avi": True,
    }
    for path in ("a/plain.avi", "a/long gop.mp4", "b/old.flv", "b/turned.mp4"):
        old, new = probe(source / path), probe(target / found[path].becomes)
        assert (new.codec, new.frames, new.fps, new.rotation) == ("mpeg4", old.frames, old.fps, 0)
        assert (new.height, new.width) == (SMALL.size(old.height, old.width))
        assert min(new.height, new.width) == 32
        assert new.keyframes == tuple(range(0, old.frames, 12))
    assert sorted(path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()) == [
        "a/long gop.mp4",
        "a/plain.avi",
        "b/old.mp4",
        "b/turned.mp4",
        "list.txt",
        LOG,
    ]


def test_pictures_and_motion_are_those_of_the_source(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    transcode(source, target, TranscodeConfig(side=1000), workers=1)
    for path in ("a/plain.avi", "b/turned.mp4"):
        clips = []
        for file in (source / path, target / path):
            info = probe(file)
            with Reader(file, info) as reader:
                clips += reader.read([ClipRequest(3, 8, size=(info.height, info.width))], motion=True)
        old, new = clips
        assert old.planes is not None
        assert new.planes is not None
        assert (
            np.abs(old.planes[0].astype(int) - new.planes[0]).mean() < 4
        )  # colour loses half its resolution
        assert old.mv is not None
        assert new.mv is not None
        assert np.abs(np.median(old.mv, axis=(0, 1, 2)) - np.median(new.mv, axis=(0, 1, 2))).max() < 0.3


def test_the_report_tells_sizes_speeds_and_vectors(source: Path, tmp_path: Path) -> None:
    found = transcode(source, tmp_path / "target", TranscodeConfig(side=48), workers=1)
    (plain,) = (each for each in found if each.path == "a/plain.avi")
    assert plain.bytes == (tmp_path / "target" / "a" / "plain.avi").stat().st_size
    assert plain.speed == pytest.approx((2, 2), abs=0.5)  # in pixels of the source, whose side is 64
    assert plain.difference < 0.5
    assert min(plain.decode_ms) > 0
    text = report(found, tmp_path / "target")
    assert "4 of 5 videos transcoded" in text
    assert "renamed to .mp4: 1" in text
    assert "skipped: cut.avi: " in text


def test_a_second_run_writes_what_is_new_changed_or_gone(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, written = tmp_path / "target", []

    def in_process(function, jobs, workers):
        for job in jobs:
            written.append(job.path)
            yield job, function(job)

    monkeypatch.setattr(folder, "in_workers", in_process)
    first = transcode(source, target, SMALL, workers=1)
    assert len(written) == 5
    written.clear()
    assert str(transcode(source, target, SMALL, workers=1)) == str(first)  # as text: NaN is NaN there
    assert written == ["cut.avi"]  # what was refused is tried again
    written.clear()
    write_video(source / "a" / "plain.avi", frames=41, seed=9)
    write_video(source / "new.avi", frames=20)
    (target / "b" / "old.mp4").unlink()
    (target / "b" / "turned.mp4").write_bytes(b"cut off")
    with (target / LOG).open("a") as log:
        log.write('{"path": "torn')
    transcode(source, target, SMALL, workers=1)
    assert sorted(written) == ["a/plain.avi", "b/old.flv", "b/turned.mp4", "cut.avi", "new.avi"]
    written.clear()
    transcode(source, target, replace(SMALL, gop=6), workers=1)
    assert len(written) == 6


def tasks_of(pid: int) -> list[Path]:
    """Return the files that name the children of a process, by thread (Linux)."""
    return list(Path(f"/proc/{pid}/task").glob("*/children"))


def test_a_killed_run_leaves_only_whole_files_and_is_taken_up(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for number in range(12):
        encode(source_file := tmp_path / "one.avi", [texture(number, 256, 320)] * 60)
        (source / "x").mkdir(parents=True, exist_ok=True)
        source_file.replace(source / "x" / f"{number}.avi")
    command = [sys.executable, "-m", "mvcgc.cli", "data", "transcode", str(source), str(target)]
    process = subprocess.Popen([*command, "--workers", "1"], stderr=subprocess.DEVNULL)
    log = target / LOG
    while not (log.exists() and log.read_text().count("\n") >= 3):
        assert process.poll() is None
        time.sleep(0.02)
    workers = [int(pid) for path in tasks_of(process.pid) for pid in path.read_text().split()]
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline, "a worker survives the process that started it"
        time.sleep(0.05)
    known = {json.loads(line)["path"] for line in log.read_text().splitlines() if line}
    stamps = {path: (target / path).stat().st_mtime_ns for path in known}
    found = transcode(source, target, TranscodeConfig(), workers=2)
    assert [each.refused for each in found] == [""] * 12
    for path in (path for path in target.rglob("*.avi") if not path.name.startswith(".")):
        assert probe(path).frames == 60
    assert {path: (target / path).stat().st_mtime_ns for path in known} == stamps


@pytest.mark.parametrize("inside", ["same", "below", "above"])
def test_a_target_within_the_source_is_refused(tmp_path: Path, inside: str) -> None:
    source = tmp_path / "up" / "source"
    write_video(source / "a.avi")
    target = {"same": source, "below": source / "out", "above": tmp_path / "up"}[inside]
    with pytest.raises(UserError, match="write to a folder outside of"):
        transcode(source, target, SMALL, workers=1)


def test_what_cannot_be_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    write_video(tmp_path / "twins" / "a.avi")
    (tmp_path / "twins" / "a.ts").write_bytes(b"")
    (tmp_path / "twins" / "a.mp4").write_bytes(b"")
    out = str(tmp_path / "out")
    for arguments, message in (
        ([str(tmp_path / "none"), out], "none: no such folder"),
        ([str(tmp_path / "empty"), out], "empty: holds no video"),
        ([str(tmp_path / "twins"), out], "twins: 2 files would become a.mp4; rename them"),
        ([str(tmp_path / "twins"), out, "--side", "15"], "--side 15: give an even number of at least 16"),
        ([str(tmp_path / "twins"), out, "--gop", "0"], "--gop 0: give a number of at least 1"),
    ):
        assert main(["data", "transcode", *arguments]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1


def test_the_command_says_that_some_were_not_written(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "transcode", str(source), str(tmp_path / "out"), "--workers", "1"]) == 1
    assert "skipped: cut.avi: " in capsys.readouterr().out
    os.remove(source / "cut.avi")
    assert main(["data", "transcode", str(source), str(tmp_path / "out"), "--workers", "1"]) == 0
    assert "4 of 4 videos transcoded" in capsys.readouterr().out


@pytest.mark.parametrize("fps", ["24000/1001", "25", "120000/1001", "240000/1001", "1/2"])
def test_every_frame_rate_can_be_stored(tmp_path: Path, fps: str) -> None:
    source = tmp_path / "source"
    source.mkdir()
    encode(source / "a.mp4", moving_frames(20, 2, 0), fps=Fraction(fps), codec="h264")
    (found,) = transcode(source, tmp_path / "target", SMALL, workers=1)
    assert found.refused == ""
    assert probe(tmp_path / "target" / "a.mp4").fps == pytest.approx(float(Fraction(fps)), rel=1e-4)


def test_a_source_that_vanishes_is_named_and_the_rest_is_transcoded(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_video(source / "a.avi")
    (source / "gone.avi").symlink_to(source / "nowhere.avi")
    (source / ".hidden").mkdir()
    (source / ".hidden" / "notes.txt").write_text("not a list")
    found = {each.path: each.refused for each in transcode(source, tmp_path / "target", SMALL, workers=1)}
    assert found["a.avi"] == ""
    assert "No such file" in found["gone.avi"]
    assert not (tmp_path / "target" / ".hidden").exists()
