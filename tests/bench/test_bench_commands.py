"""``mvcgc bench loader``, ``train`` and ``scale`` on the smallest clips: what they find, print and keep."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from data_factories import write_video

from mvcgc.bench import commands
from mvcgc.cli import main

SMALL = ["--frames", "8", "--size", "32", "--batch", "2", "--rounds", "1", "--device", "cpu", "--json"]


def found(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["bench", *arguments, *SMALL]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    answer: dict[str, Any] = json.loads(lines[0])
    return answer


def test_loader(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    told = found(capsys, "loader", "--workers", "0", "1", "--out", str(tmp_path))
    assert [one["workers"] for one in told["results"]] == [0, 1]
    for one in told["results"]:
        assert one["samples_per_s"] > 0
        assert 0 < one["augment_ms"] < one["cpu_ms"]
    assert json.loads((tmp_path / "loader.json").read_text()) == told
    assert "samples/s" in (tmp_path / "loader.md").read_text()


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux's smaps_rollup")
def test_scan(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    video = write_video(tmp_path / "small.avi", frames=40)
    out = tmp_path / "out"
    arguments = ["--files", str(video), "--rounds", "2", "--videos", "500", "--out", str(out)]
    assert main(["bench", "scan", *arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (file,) = told["files"]
    assert (file["name"], file["frames"]) == ("small.avi", 40)
    assert file["mvcgc_ms"] > 0
    assert (file["ffprobe_ms"] is None) == (shutil.which("ffprobe") is None)
    assert told["manifest"]["videos"] == 500
    assert told["manifest"]["load_s"] > 0
    assert "A manifest of 500 videos" in (out / "scan.md").read_text()
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    assert main(["bench", "scan", "--files", str(text)]) == 2
    assert "error: bench scan --files: " in capsys.readouterr().err


def test_train(capsys: pytest.CaptureFixture[str]) -> None:
    told = found(capsys, "train", "--backbone", "r2plus1d_4")
    assert [one["stage"] for one in told["results"]] == ["init/rgb", "init/mv", "cross"]
    for one in told["results"]:
        assert one["speedup"] == pytest.approx(one["plain"]["cpu"] / one["step"]["cpu"])
        assert {"copy", "augmentation", "forward", "backward", "optimiser", "queue"} <= set(one["phases"])
        assert 0.3 * one["step"]["cpu"] < sum(one["phases"].values()) < 3 * one["step"]["cpu"]
        assert 0 <= one["data_wait"] < 1
        assert 50 < one["memory_mb"] < 10_000
        assert one["gpu_use"] is None


def test_scale(capsys: pytest.CaptureFixture[str]) -> None:
    told = found(capsys, "scale", "--backbone", "r2plus1d_4")
    alone, two, four = told["ranks"]
    assert (alone["ranks"], two["ranks"], four["ranks"]) == (1, 2, 4)
    assert alone["bytes"] == {}
    # Each sends its own: two clips of video are one query's, which stays, and one key's, which travels.
    stored = 2 * 8 * 32 * 32 * (3 + 2 * 2)
    assert stored <= two["bytes"]["shuffle"] <= stored + 500
    assert two["bytes"] == four["bytes"]
    # Both views' keys of 128 numbers, and three ids, of two samples.
    assert two["bytes"]["gather"] == 2 * (2 * 128 * 4 + 3 * 8)
    assert two["bytes"]["gradients"] > 1e6
    assert all(0 < value <= 1 for line in told["efficiency"].values() for value in line)


def test_all_runs_each_by_itself_and_stops_at_what_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "HERE", ("decode", "train"))
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    assert main(["bench", "all", "--out", str(tmp_path), "--files", str(text)]) == 2
    assert "bench decode failed, see above" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--rounds", "0"], "--rounds 0: give at least 1"),
        (["scale", "--frames", "4"], "--frames 4: give at least 8"),
        (["loader", "--workers", "2", "-1"], "--workers -1: give numbers of processes, or 0"),
    ],
)
def test_wrong_numbers_are_told_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["bench", *arguments]) == 2
    assert capsys.readouterr().err == f"error: {message}\n"
