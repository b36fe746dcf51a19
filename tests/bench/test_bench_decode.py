"""The decoding bench on small files: what it reads, tells and leaves; never how fast."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mvcgc import cli
from mvcgc.bench import decode, decode_profile, decode_report, decoders
from mvcgc.bench.decoders import ClipPosition
from mvcgc.video import encode, probe, to_rgb

FEW = ("ours rgb+mv", "ours mv", "ffmpeg", "ffmpeg's start", "naive PyAV", "decord", "DIS at 128")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "small.mp4"
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    pictures = [np.roll(noise, (t, 2 * t), (0, 1))[:64, :96] for t in range(70)]
    encode(path, pictures, codec="h264", bframes=2, gop=12)
    return path


def test_a_report_of_what_is_there_and_what_is_absent(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(decode, "READERS", {reader: decoders.READERS[reader] for reader in FEW})
    monkeypatch.setenv("PATH", str(tmp_path))  # no ffmpeg here
    out = tmp_path / "out"
    arguments = ["bench", "decode", "--files", str(video), "--rounds", "1", "--memory", "3"]
    assert cli.main([*arguments, "--json", "--out", str(out)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((out / "decode.json").read_text())
    assert told["files"]["small"] == {
        "codec": "h264",
        "size": "96x64",
        "frames": 70,
        "longest_gop": 12,
        "bytes": video.stat().st_size,
    }
    assert told["absent"]["ffmpeg"] == "no program ffmpeg on the PATH"
    present = set(FEW) - told["absent"].keys()
    assert {"ours rgb+mv", "ours mv", "naive PyAV"} <= present
    assert told["ms_per_clip"].keys() == present
    assert all(each["small"] > 0 for each in told["ms_per_clip"].values())
    assert told["quartiles_relative_to_ffmpeg"] == {}
    assert {"open", "seek", "decode", "convert", "vectors", "raster"} <= told["phases_ms"]["small"].keys()
    assert [held["clips"] for held in told["memory"]] == [1, 3]
    text = (out / "decode.md").read_text()
    assert "ffmpeg (no program ffmpeg on the PATH)" in text
    assert "| ours rgb+mv" in text
    assert (out / "decode.png").read_bytes().startswith(b"\x89PNG")


def test_files_that_will_not_do_are_named_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, short = tmp_path / "text.mp4", tmp_path / "short.avi"
    text.write_text("no video")
    encode(short, [np.zeros((64, 64, 3), np.uint8)] * 10)
    for path, reason in ((text, "cannot be opened"), (short, "64 frames or more")):
        assert cli.main(["bench", "decode", "--files", str(path)]) == 2
        told = capsys.readouterr().err.strip()
        assert "\n" not in told
        assert f"{path}" in told
        assert reason in told


def test_all_ways_read_the_same_frames(video: Path) -> None:
    info = probe(video)
    for start in (0, 17, 38):
        at = ClipPosition(video, info, start)
        mine, matrix = decoders.mvcgc_reader("rgb", "mv")(at)
        pictures, fields = decoders.naive_pyav()(at)
        assert mine["rgb"].shape == (1, 3, 32, 128, 128)
        assert mine["mv"].shape == (1, 32, 128, 128, 2)
        # Theirs has half the colours across.
        difference = to_rgb(mine["rgb"][0], matrix).astype(int) - pictures
        assert np.abs(difference @ (0.299, 0.587, 0.114)).mean() < 2
        assert fields.shape == (32, 8, 12, 2)
        assert np.median(fields[fields.any(-1)], 0).tolist() == [-2, -1]
    assert decoders.mvcgc_reader("rgb", clips=2)(at)[0]["rgb"].shape[0] == 2


def test_opencv_reads_the_same_pictures_and_averages_if_told_to(tmp_path: Path) -> None:
    """Noise, four pixels of which make one of the bench's in each direction."""
    pytest.importorskip("cv2")
    path, noise = tmp_path / "noise.mp4", np.random.default_rng(0).integers(0, 256, (512, 512, 1), np.uint8)
    encode(path, [np.roll(noise, 4 * t, 0).repeat(3, 2) for t in range(70)], codec="h264")
    at = ClipPosition(path, probe(path), 5)
    planes, matrix = decoders.mvcgc_reader("rgb")(at)
    ours = to_rgb(planes["rgb"][0], matrix).astype(int)
    averaged, default = (decoders.opencv(averaging)(at) for averaging in (True, False))
    assert averaged.shape == default.shape == ours.shape
    frame_late = np.abs(averaged[1:] - ours[:-1]).mean()
    assert np.abs(averaged - ours).mean() < 0.5 * min(np.abs(default - ours).mean(), frame_late)


def test_ffmpeg_decodes_from_the_keyframe(video: Path) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("no ffmpeg here")
    info = probe(video)
    assert decoders.ffmpeg()(ClipPosition(video, info, 30)).returncode == 0
    assert decoders.ffmpeg(start_only=True)(ClipPosition(video, info, 30)).returncode == 0


def test_made_files_are_of_their_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = list(decode._frames(26))
    assert {picture.shape for picture in pictures} == {(240, 320, 3)}
    monkeypatch.setattr(decode, "_frames", lambda _: iter(pictures))
    infos = {path.name: probe(path) for path in decode.synthetic_files(tmp_path)}
    assert infos.keys() == decode.SYNTHETIC.keys()
    for name, info in infos.items():
        assert info.codec == ("mpeg4" if name.startswith("MPEG-4") else "h264")
        assert info.keyframes == ((0, 12, 24) if "GOP 12" in name else (0,))
        assert info.vectors


def test_time_goes_to_the_innermost_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 3.0, 7.0, 15.0, 31.0])
    monkeypatch.setattr(decode_profile.time, "perf_counter", lambda: next(clock))
    watch = decode_profile.Watch()
    inner = watch.watched("inner", lambda: None)
    watch.watched("outer", inner)()
    watch.lap("other")
    assert watch.seconds == {"other": 1.0 + 16.0, "outer": 2.0 + 8.0, "inner": 4.0}


def test_the_start_of_a_program_is_not_counted() -> None:
    spent = {"a": [{"cpu_ms": 30.0}, {"cpu_ms": 50.0}]}
    decode._without_start(spent, {"a": [{"cpu_ms": 10.0}, {"cpu_ms": 12.0}]})
    assert spent == {"a": [{"cpu_ms": 19.0}, {"cpu_ms": 39.0}]}
    ways = {"ffmpeg": spent, "ours": {"a": [{"cpu_ms": 38.0}, {"cpu_ms": 39.0}]}}
    assert decode._relative(ways)["ours"] == {"a": [0.625, 0.75, 0.875]}


def test_each_way_says_what_it_delivers() -> None:
    delivered = {reader: decode_report._delivers(reader) for reader in decoders.READERS}
    assert delivered["ours two clips"] == "2 x rgb + mv"
    assert delivered["torchcodec"] == "rgb"
    assert delivered["TV-L1"] == "motion"
    assert delivered["ffmpeg"] == "rgb + mv"
