"""Broken, empty and foreign files: the right reason, one line that names the file, never a crash."""

import pickle
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from video_made import linear_planes, make

from mvcgc.video import ClipRequest, Reader, Reason, VideoError, VideoInfo, probe
from mvcgc.video.container import ahead


def refused(path: Path, reason: Reason) -> VideoError:
    with pytest.raises(VideoError) as caught:
        probe(path)
    error = caught.value
    assert error.reason is reason
    assert error.path == str(path)
    assert str(error).startswith(f"{path}: ")
    assert "\n" not in str(error)
    return error


def test_files_that_are_no_video(tmp_path: Path) -> None:
    contents = {
        "empty.mp4": b"",
        "text.avi": b"this is no video\n" * 100,
        "text.txt": b"this is no video\n" * 100,
        "playlist.mp4": b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n",
        "noise.mp4": np.random.default_rng(0).bytes(5000),
        "zeros.mkv": bytes(5000),
    }
    for name, content in contents.items():
        path = tmp_path / name
        path.write_bytes(content)
        refused(path, Reason.UNREADABLE)
    refused(tmp_path / "absent.mp4", Reason.UNREADABLE)
    (tmp_path / "folder.mp4").mkdir()
    refused(tmp_path / "folder.mp4", Reason.UNREADABLE)


def test_a_name_with_a_colon_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "http:made.avi", 1, 1, frames=3)
    monkeypatch.chdir(tmp_path)
    assert probe("http:made.avi").frames == 3


@pytest.mark.parametrize(
    ("right", "wrong", "codec"),
    [(".avi", ".mp4", "mpeg4"), (".mp4", ".avi", "h264"), (".mkv", ".mov", "h264")],
)
def test_a_file_under_another_kinds_name(tmp_path: Path, right: str, wrong: str, codec: str) -> None:
    made = make(tmp_path / f"made{right}", 2, 1, codec=codec)
    misnamed = tmp_path / f"misnamed{wrong}"
    misnamed.write_bytes(made.read_bytes())
    request = ClipRequest(5, 8, size=(64, 64))
    assert probe(misnamed) == probe(made)
    clips = []
    for path in (made, misnamed):
        with Reader(path, probe(path)) as reader:
            clips += reader.read([request], motion=True)
    assert np.array_equal(clips[0].planes, clips[1].planes)
    assert np.array_equal(clips[0].mv, clips[1].mv)


@pytest.mark.parametrize("sound", range(7))
def test_what_is_read_ahead_before_an_error_is_not_lost(sound: int) -> None:
    def breaking() -> Iterator[int]:
        yield from range(sound)
        raise OSError("broken")

    seen: list[int] = []
    with pytest.raises(OSError, match="broken"):
        seen.extend(ahead(breaking()))
    assert seen == list(range(sound))
    assert list(ahead(iter(range(sound)))) == list(range(sound))


def test_sound_without_pictures(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    refused(path, Reason.NO_VIDEO)


def test_a_picture_that_changes_its_size(tmp_path: Path) -> None:
    parts = [
        make(tmp_path / f"{width}.m1v", 1, 1, frames=6, size=(64, width), codec="mpeg1video").read_bytes()
        for width in (80, 96)
    ]
    path = tmp_path / "both.m1v"
    path.write_bytes(b"".join(parts))
    assert "from 80x64 to 96x64" in str(refused(path, Reason.RESOLUTION))


@pytest.mark.parametrize(("suffix", "codec"), [(".avi", "mpeg4"), (".ts", "h264"), (".mkv", "h264")])
def test_a_truncated_file_is_described_up_to_where_it_decodes(
    tmp_path: Path, suffix: str, codec: str
) -> None:
    whole = make(tmp_path / f"whole{suffix}", 2, 1, frames=60, codec=codec)
    path = tmp_path / f"cut{suffix}"
    content = whole.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    info = probe(path)
    assert 15 < info.frames < 45
    assert suffix == ".ts" or info.damage, "a transport stream declares nothing that could be missing"
    with Reader(path, info) as reader:
        clip = reader.read([ClipRequest(info.frames - 5, 5, size=(64, 64))], motion=True)[0]
    assert clip.planes is not None
    assert np.array_equal(clip.planes, linear_planes(path, (64, 64))[:, info.frames - 5 : info.frames])


def test_an_mp4_without_its_index_is_unreadable(tmp_path: Path) -> None:
    content = make(tmp_path / "whole.mp4", 2, 1).read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(content[: len(content) // 2])
    refused(path, Reason.UNREADABLE)


def test_a_container_without_one_frame(tmp_path: Path) -> None:
    content = bytearray(make(tmp_path / "whole.mkv", 2, 1, frames=4, codec="h264").read_bytes())
    start = content.find(b"\x1f\x43\xb6\x75")  # the first cluster
    content[start + 12 :] = bytes(len(content) - start - 12)
    path = tmp_path / "hollow.mkv"
    path.write_bytes(content)
    with pytest.raises(VideoError) as caught:
        probe(path)
    assert caught.value.reason in {Reason.CORRUPT, Reason.UNREADABLE}


def test_the_real_corrupted_file(clips_dir: Path) -> None:
    info = probe(clips_dir / "dec_corrupted.mp4")
    assert info.frames == 28
    assert "Invalid data" in info.damage
    assert "frame 27" in info.damage


def test_a_clip_beyond_the_end_is_too_short(tmp_path: Path) -> None:
    path = make(tmp_path / "made.avi", 2, 1, frames=20)
    with Reader(path, probe(path)) as reader:
        with pytest.raises(VideoError, match=r"has 20 frames, not 10\.\.25") as caught:
            reader.read([ClipRequest(10, 16)], motion=True)
        assert caught.value.reason is Reason.TOO_SHORT


def shifted(info: VideoInfo, **changes: object) -> VideoInfo:
    return VideoInfo.from_dict({**info.to_dict(), **changes})


def test_a_file_that_is_no_longer_what_the_probe_saw(tmp_path: Path) -> None:
    path = make(tmp_path / "made.avi", 2, 1, frames=20)
    info = probe(path)
    with Reader(path, shifted(info, frames=30)) as reader:
        with pytest.raises(VideoError) as caught:
            reader.read([ClipRequest(18, 6, size=(32, 32))], motion=True)
        assert caught.value.reason is Reason.TRUNCATED
        clip = reader.read([ClipRequest(2, 6, size=(32, 32))], motion=True)[0]  # and goes on working
        assert clip.planes is not None
    with Reader(path, shifted(info, origin=-3)) as reader:
        with pytest.raises(VideoError, match="time stamp") as caught:
            reader.read([ClipRequest(0, 6, size=(32, 32))], motion=True)
        assert caught.value.reason is Reason.CORRUPT
    path.unlink()
    with pytest.raises(VideoError) as caught:
        Reader(path, info)
    assert caught.value.reason is Reason.UNREADABLE


def test_errors_survive_pickling() -> None:
    error = VideoError("a.mp4", Reason.TRUNCATED, "two\nlines")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.reason, copy.path, copy.detail) == (
        "a.mp4: two lines",
        Reason.TRUNCATED,
        "a.mp4",
        "two lines",
    )
