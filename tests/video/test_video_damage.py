"""Files that change after the probe: every read gives what the probe saw, or refuses it by name."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from video_made import linear_planes, make, moving

from mvcgc.video import Box, ClipRequest, Clock, Reader, Reason, VideoError, VideoInfo, encode, probe
from mvcgc.video.container import _with_data
from mvcgc.video.picture import Converter
from mvcgc.video.stream import FrameStream

SIZE = (32, 40)
SMALL = {"frames": 48, "size": (64, 80)}

KINDS = [
    ("mpeg4", ".avi", 0),
    ("mpeg4", ".avi", 2),
    ("mpeg4", ".mp4", 2),
    ("h264", ".mp4", 2),
    ("h264", ".mkv", 2),
]


def refusal(path: Path, info: VideoInfo, *requests: ClipRequest, motion: bool = True) -> VideoError:
    """The error that reading raises, which names the file."""
    with pytest.raises(VideoError) as caught, Reader(path, info) as reader:
        reader.read(requests, motion=motion)
    assert caught.value.path == str(path)
    assert "\n" not in str(caught.value)
    return caught.value


def rewrite(path: Path, content: bytes) -> None:
    """Change a file behind the back of its modification time."""
    before = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_file_of_another_size_or_time_is_refused_at_opening(tmp_path: Path) -> None:
    path = make(tmp_path / "made.avi", 3, -2, **SMALL)
    info, content = probe(path), path.read_bytes()
    assert info.stat == (len(content), path.stat().st_mtime_ns)
    rewrite(path, content + b"\0")
    error = refusal(path, info, ClipRequest(0, 4))
    assert error.reason is Reason.CHANGED
    assert f"({len(content)} bytes then, {len(content) + 1} now): scan again" in str(error)
    rewrite(path, content)
    os.utime(path, ns=(0, info.stat[1] + 1))
    error = refusal(path, info, ClipRequest(0, 4))
    assert error.reason is Reason.CHANGED
    assert "written to" in str(error)
    os.utime(path, ns=(0, info.stat[1]))
    with Reader(path, info) as reader:
        reader.read([ClipRequest(0, 4)], motion=True)


def test_the_time_of_a_file_is_not_what_it_is(tmp_path: Path) -> None:
    path = make(tmp_path / "made.avi", 3, -2, **SMALL)
    info = probe(path)
    os.utime(path, ns=(0, 1))
    assert probe(path) == info
    assert probe(path).stat != info.stat
    assert probe(path) == info
    assert VideoInfo.from_dict(info.to_dict()).stat == info.stat


@pytest.mark.parametrize("crop", [None, Box(10, 12, 40, 48)])
@pytest.mark.parametrize("pictures", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_frames_of_another_size_are_refused(
    tmp_path: Path, kind: tuple[str, str, int], pictures: bool, crop: Box | None
) -> None:
    codec, suffix, bframes = kind
    path = make(tmp_path / f"made{suffix}", 3, -2, codec=codec, bframes=bframes, **SMALL)
    info = replace(probe(path), stat=None)
    make(path, 3, -2, frames=48, size=(96, 64), codec=codec, bframes=bframes)
    request = ClipRequest(20, 8, crop, SIZE) if pictures else ClipRequest(20, 8)
    with pytest.raises(VideoError) as caught, Reader(path, info, pictures=pictures) as reader:
        reader.read([request], motion=True)
    assert caught.value.reason is Reason.RESOLUTION
    assert "the probe saw 80x64" in str(caught.value)


def test_another_codec_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "made.mp4", 3, -2, codec="h264", **SMALL)
    info = replace(probe(path), stat=None)
    make(path, 3, -2, codec="mpeg4", **SMALL)
    error = refusal(path, info, ClipRequest(0, 4))
    assert (error.reason, "is mpeg4 now, the probe saw h264" in str(error)) == (Reason.CHANGED, True)


@pytest.mark.parametrize(("codec", "suffix", "bframes"), KINDS)
def test_a_damaged_packet_is_never_read_in_silence(
    tmp_path: Path, codec: str, suffix: str, bframes: int
) -> None:
    """Noise in the middle of a file: a clip is what it was, or refused, also with what comes later."""
    path = make(tmp_path / f"made{suffix}", 3, -2, codec=codec, bframes=bframes, gop=48, **SMALL)
    info = probe(path)
    with Reader(path, info) as reader:
        (whole,) = reader.read([ClipRequest(0, 48, size=SIZE)], motion=True)
    with av.open(path) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        packet = next(p for p in packets[20:] if p.size > 60)
        at, size = packet.pos, packet.size
    content = bytearray(path.read_bytes())
    content[at + 24 : at + size - 8] = np.random.default_rng(0).bytes(size - 32)
    rewrite(path, bytes(content))
    reasons = []
    with Reader(path, info) as reader:
        for start in range(0, 48, 4):
            try:
                (clip,) = reader.read([ClipRequest(start, 4, size=SIZE)], motion=True)
            except VideoError as error:
                reasons.append(error.reason)
            else:
                assert np.array_equal(clip.planes, whole.planes[:, start : start + 4]), start
    assert reasons
    assert {*reasons} <= {Reason.CORRUPT, Reason.TRUNCATED}


def test_a_keyframe_that_is_none_any_more(tmp_path: Path) -> None:
    """Frames that are counted could be others: a keyframe stands where the probe saw it."""
    path = make(tmp_path / "made.mp4", 3, -2, codec="h264", **SMALL)
    info = probe(path)
    counted = replace(info, clock=Clock.NONE, keyframes=(0, 13), seeks=(info.seeks[0], info.seeks[1]))
    error = refusal(path, counted, ClipRequest(3, 12))
    assert (error.reason, "frame 13 is no keyframe" in str(error)) == (Reason.CORRUPT, True)


def test_a_pixel_format_may_change(tmp_path: Path) -> None:
    """Of one size all the same; a crop is made of both."""
    parts = []
    for number, pixels in enumerate(("yuv420p", "yuv444p")):
        part = tmp_path / f"{number}.h264"
        with av.open(part, "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 80, 64, pixels
            for picture in moving(6, 2, 1, 64, 80):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        parts.append(part.read_bytes())
    path = tmp_path / "both.h264"
    path.write_bytes(b"".join(parts))
    info = probe(path)
    assert info.frames == 12
    with Reader(path, info) as reader:
        (whole,) = reader.read([ClipRequest(0, 12, size=(64, 80))], motion=True)
        (crop,) = reader.read([ClipRequest(2, 8, Box(8, 8, 40, 48), (40, 48))], motion=True)
    assert np.array_equal(whole.planes, linear_planes(path, (64, 80)))
    assert np.array_equal(crop.planes[0], whole.planes[0, 2:10, 8:48, 8:56])
    assert np.array_equal(crop.planes[..., 2:-2, 2:-2], whole.planes[:, 2:10, 10:46, 10:54])


def test_a_stream_that_is_born_late_costs_no_packet(tmp_path: Path) -> None:
    """PyAV raises at the end of the file, for a stream that it did not know at the beginning."""
    with av.open(make(tmp_path / "made.avi", 3, -2, frames=6)) as container:
        packets = [p for p in container.demux(video=0) if p.size]

    def demux() -> Iterator[av.Packet]:
        yield from packets
        raise IndexError("list index out of range")

    assert list(_with_data(demux())) == packets


def test_a_file_with_a_stream_that_is_born_late(tmp_path: Path) -> None:
    """A transport stream may announce another one at any time."""
    silent = make(tmp_path / "silent.ts", 3, -2, codec="mpeg2video", frames=300, size=(64, 80))
    loud = tmp_path / "loud.ts"
    with av.open(silent) as source, av.open(loud, "w") as target:
        copy = target.add_stream_from_template(source.streams.video[0])
        sound = target.add_stream("mp2", rate=32000)
        for packet in (p for p in source.demux(video=0) if p.size):
            packet.stream = copy
            packet.pts, packet.dts = packet.pts + 12 * 90000, packet.dts + 12 * 90000
            target.mux(packet)
        for number in range(40):
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 2304), np.int16), format="s16", layout="stereo")
            samples.sample_rate, samples.pts = 32000, 12 * 32000 + number * 1152
            target.mux(sound.encode(samples))
        target.mux(sound.encode(None))
    path = tmp_path / "late.ts"
    path.write_bytes(silent.read_bytes() * 3 + loud.read_bytes())
    info = probe(path)
    assert (info.frames, info.vectors) == (1200, True)
    with Reader(path, info) as reader:
        (clip,) = reader.read([ClipRequest(1190, 10, size=SIZE)], motion=True)
    assert clip.planes is not None


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".mkv"])
def test_a_pipe_is_refused_without_waiting(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"pipe{suffix}"
    os.mkfifo(path)
    with pytest.raises(VideoError, match="no regular file") as caught:
        probe(path)
    assert caught.value.reason is Reason.UNREADABLE


def test_what_cannot_be_converted_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the probe, and by a reader that meets such a frame later."""
    path = make(tmp_path / "made.avi", 3, -2, frames=6)
    info = probe(path)

    def fail(*_: object, **__: object) -> None:
        raise av.error.ArgumentError(22, "Invalid argument")

    monkeypatch.setattr(Converter, "convert", fail)
    with pytest.raises(VideoError, match="cannot be converted: Invalid argument") as caught:
        probe(path)
    assert caught.value.reason is Reason.CORRUPT
    assert refusal(path, info, ClipRequest(0, 4, size=SIZE)).reason is Reason.CORRUPT


def test_a_reader_whose_file_cannot_be_opened_again_says_so_each_time(tmp_path: Path) -> None:
    """Without keyframes to seek, going back opens the file again."""
    path = make(tmp_path / "made.h264", 3, -2, codec="h264", **SMALL)
    info = probe(path)
    assert info.keyframes == ()
    with Reader(path, info) as reader:
        reader.read([ClipRequest(8, 4)], motion=True)
        path.rename(tmp_path / "moved.h264")
        for _ in range(2):
            with pytest.raises(VideoError, match="No such file") as caught:
                reader.read([ClipRequest(0, 4)], motion=True)
            assert caught.value.reason is Reason.UNREADABLE
        (tmp_path / "moved.h264").rename(path)
        (clip,) = reader.read([ClipRequest(0, 4, size=SIZE)], motion=True)
    assert np.array_equal(clip.planes, linear_planes(path, SIZE)[:, :4])


def test_a_read_that_fails_is_tried_again_with_the_file_opened_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once: it may be due to what was read before."""
    path = make(tmp_path / "made.mp4", 3, -2, codec="h264", **SMALL)
    info, expected, seek = probe(path), linear_planes(path, SIZE), FrameStream._seek
    failures = [VideoError(path, Reason.TRUNCATED, "lost")]

    def fail(self: FrameStream, slot: int) -> None:
        if failures:
            raise failures.pop()
        seek(self, slot)

    monkeypatch.setattr(FrameStream, "_seek", fail)
    with Reader(path, info) as reader:
        (clip,) = reader.read([ClipRequest(30, 4, size=SIZE)], motion=True)
        assert np.array_equal(clip.planes, expected[:, 30:34])
        failures += [VideoError(path, Reason.TRUNCATED, "lost")] * 2
        with pytest.raises(VideoError, match="lost"):
            reader.read([ClipRequest(30, 4, size=SIZE)], motion=True)
        assert not failures


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.avi")
    make(tmp_path / "made.avi", 3, -2, frames=3).rename(path)
    with pytest.raises(VideoError, match="not UTF-8") as caught:
        probe(path)
    assert caught.value.reason is Reason.UNREADABLE
    str(caught.value).encode()


@pytest.mark.parametrize("error", [IndexError, ZeroDivisionError, UnicodeDecodeError, MemoryError, KeyError])
@pytest.mark.parametrize("where", ["open", "demux"])
def test_whatever_a_file_raises_is_its_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, error: type[Exception]
) -> None:
    path = make(tmp_path / "made.avi", 3, -2, frames=6)

    def fail(*_: object, **__: object) -> None:
        raise (
            UnicodeDecodeError("utf-8", b"\xe9", 0, 1, "odd") if error is UnicodeDecodeError else error("odd")
        )

    if where == "open":
        monkeypatch.setattr(av, "open", fail)
    else:
        monkeypatch.setattr("mvcgc.video.linear.demuxing", fail)
    with pytest.raises(VideoError, match="odd") as caught:
        probe(path)
    assert caught.value.reason is (Reason.UNREADABLE if where == "open" else Reason.CORRUPT)


def test_encode_and_read_beside_each_other(tmp_path: Path) -> None:
    """A reader's file stays what it was when a new one takes its place."""
    path = make(tmp_path / "made.avi", 3, -2, **SMALL)
    info = probe(path)
    with Reader(path, info) as reader:
        (before,) = reader.read([ClipRequest(0, 8, size=SIZE)], motion=True)
        encode(path, moving(48, 1, 1, 64, 80), codec="mpeg4")
        (after,) = reader.read([ClipRequest(0, 8, size=SIZE)], motion=True)
    assert np.array_equal(before.planes, after.planes)
