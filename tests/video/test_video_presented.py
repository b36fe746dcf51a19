"""The frames of a video are those that its container presents, for the probe and the reader alike."""

from pathlib import Path

import av
import numpy as np
import pytest
from video_made import linear_planes, make, make_packed, remux, shifted, without_limits

from mvcgc.video import ClipRequest, Clock, Reader, VideoInfo, probe
from mvcgc.video.headers import VOP_START
from mvcgc.video.info import MOST_GAPS, fit_clock

SIZE = (32, 40)
SMALL = {"frames": 60, "size": (64, 80)}


def check(path: Path, frames: int) -> VideoInfo:
    """Check that a file is sound, that any clip is the part of a plain decode, from wherever it starts, and
    that motion alone is the motion beside pictures.
    """
    info = probe(path)
    assert (info.damage, info.frames) == ("", frames)
    assert VideoInfo.from_dict(info.to_dict()) == info
    expected = linear_planes(path, SIZE)
    assert expected.shape[1] == frames
    with Reader(path, info) as reader, Reader(path, info, pictures=False) as alone:
        (whole,) = reader.read([ClipRequest(0, frames, size=SIZE)], motion=True)
        assert np.array_equal(whole.planes, expected)
        for start in [*range(frames - 4, -1, -9), *range(0, frames - 4, 5)]:
            (clip,) = reader.read([ClipRequest(start, 4, size=SIZE)], motion=True)
            assert np.array_equal(clip.planes, expected[:, start : start + 4]), start
            assert np.array_equal(clip.mv, whole.mv[start : start + 4]), start
            (motion,) = alone.read([ClipRequest(start, 4)], motion=True)
            assert np.array_equal(motion.mv, clip.mv), start
    return info


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize(("bframes", "presented"), [(0, 35), (2, 35)])
def test_an_edit_list_hides_what_comes_before(
    tmp_path: Path, suffix: str, bframes: int, presented: int
) -> None:
    """A cut without encoding keeps the keyframe before, for those that refer to it."""
    whole = make(tmp_path / "whole.mp4", 3, -2, codec="h264", gop=20, bframes=bframes, **SMALL)
    path = remux(whole, tmp_path / f"cut{suffix}", shifted(-1.0))
    info = check(path, presented)
    assert info.keyframes == (15,)  # frame 40 of the whole; that before is not shown
    assert np.array_equal(linear_planes(path, SIZE), linear_planes(whole, SIZE)[:, 25:])


def test_a_cut_that_ends_between_reordered_frames(tmp_path: Path) -> None:
    """What is shown before the last frame, but stored behind it, is missing: a gap, no uneven rate."""
    whole = make(tmp_path / "whole.mp4", 3, -2, codec="h264", bframes=2, gop=20, **SMALL)
    with av.open(whole) as container:
        stored = [round(p.pts * p.time_base * 25) for p in container.demux(video=0) if p.size]
    last = next(number for number in range(40, 60) if stored[number] > stored[number + 1])

    def cut(number: int, packet: av.Packet) -> bytes | None:
        return bytes(packet) if number <= last else None

    info = check(remux(whole, tmp_path / "cut.mp4", cut), last + 1)
    assert (info.clock, len(info.gaps)) == (Clock.PTS, 1)


@pytest.mark.parametrize(("codec", "bframes"), [("mpeg4", 0), ("mpeg4", 2), ("h264", 0), ("h264", 2)])
def test_chunks_of_avi_without_data_are_no_frames(tmp_path: Path, codec: str, bframes: int) -> None:
    """The muxer fills each time without a packet with an empty chunk."""
    whole = make(tmp_path / "whole.avi", 3, -2, codec=codec, bframes=bframes, **SMALL)

    def drop(number: int, packet: av.Packet) -> bytes | None:
        packet.pts = packet.dts = packet.dts + number // 5
        return bytes(packet)

    info = check(remux(whole, tmp_path / "null.avi", drop), 60)
    if codec == "mpeg4" and not bframes:
        assert (info.clock, len(info.gaps)) == (Clock.PTS, 11)


def test_packed_b_frames_after_chunks_without_data(tmp_path: Path) -> None:
    """As Xvid begins its files."""
    packed = make_packed(tmp_path / "packed.avi", tmp_path / "plain.avi", 12)

    def late(number: int, packet: av.Packet) -> bytes | None:
        packet.pts = packet.dts = number + (2 if number else 0)
        return bytes(packet)

    info = check(remux(packed, tmp_path / "late.avi", late), 33)
    assert info.clock is Clock.DTS


@pytest.mark.parametrize("seconds", [0.4, 5])
@pytest.mark.parametrize(
    ("suffix", "codec", "bframes"),
    [
        (".mkv", "h264", 2),
        (".mkv", "mpeg4", 0),
        (".mp4", "h264", 2),
        (".ts", "h264", 2),
        (".flv", "h264", 2),
        (".avi", "mpeg4", 0),
    ],
)
def test_a_start_offset(tmp_path: Path, suffix: str, codec: str, bframes: int, seconds: float) -> None:
    source = ".avi" if suffix == ".avi" else ".mp4"
    whole = make(tmp_path / f"whole{source}", 3, -2, codec=codec, bframes=bframes, gop=20, **SMALL)
    info = check(remux(whole, tmp_path / f"late{suffix}", shifted(seconds)), 60)
    assert (len(info.keyframes), info.clock) == (3, Clock.PTS)


@pytest.mark.parametrize("bframes", [0, 2])
def test_an_avi_cut_at_a_keyframe(tmp_path: Path, bframes: int) -> None:
    """B-frames of an open group follow the keyframe, but refer to what lies before the cut."""
    whole = make(tmp_path / "whole.avi", 3, -2, codec="mpeg4", bframes=bframes, **SMALL)
    with av.open(whole) as container:
        packets = [p.is_keyframe for p in container.demux(video=0) if p.size]
    second = packets.index(True, 1)

    def cut(number: int, packet: av.Packet) -> bytes | None:
        packet.pts = packet.dts = number - second
        return bytes(packet) if number >= second else None

    path = remux(whole, tmp_path / "cut.avi", cut)
    info = check(path, 60 - second - bframes)
    assert len(info.keyframes) >= 3


def test_frames_that_are_not_coded_are_none(tmp_path: Path) -> None:
    """A few bytes of MPEG-4 stand for a frame that the encoder left out; the decoder shows none."""
    whole = make(tmp_path / "whole.avi", 3, -2, codec="mpeg4", **SMALL)

    def leave_out(number: int, packet: av.Packet) -> bytes | None:
        # Type P, same second, marker, time in 25ths, marker, not coded, stuffing (6.2.5).
        bits = f"0101{number % 25:05b}100".ljust(16, "1")
        return VOP_START + int(bits, 2).to_bytes(2, "big") if number % 12 == 7 else bytes(packet)

    info = check(remux(whole, tmp_path / "left_out.avi", leave_out), 55)
    assert len(info.gaps) == 5


@pytest.mark.parametrize("codec", ["h264", "mpeg4", "mpeg2video"])
@pytest.mark.parametrize("bframes", [0, 1, 3])
def test_matroska_has_seek_points_with_b_frames(tmp_path: Path, codec: str, bframes: int) -> None:
    """After a seek the first packets carry no dts; their pts tells them."""
    path = make(tmp_path / "made.mkv", 3, -2, codec=codec, bframes=bframes, **SMALL)
    assert check(path, 60).keyframes[:5] == (0, 12, 24, 36, 48)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_a_truncated_file_is_damaged_all_the_same(tmp_path: Path, suffix: str) -> None:
    """Also where it starts late, or has chunks without data."""
    codec = "mpeg4" if suffix == ".avi" else "h264"
    whole = make(tmp_path / f"whole{suffix}", 3, -2, codec=codec, **SMALL)
    options = {"movflags": "faststart"} if suffix == ".mp4" else {}
    path = tmp_path / f"late{suffix}"
    with av.open(whole) as source, av.open(path, "w", options=options) as target:
        copy = target.add_stream_from_template(source.streams.video[0])
        for packet in (p for p in source.demux(video=0) if p.size):
            packet.stream = copy
            late = round(2 / packet.time_base)
            packet.pts, packet.dts = packet.pts + late, packet.dts + late
            target.mux(packet)
    assert probe(path).damage == ""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    info = probe(path)
    assert info.damage
    assert 20 < info.frames < 50


def test_a_frame_that_is_lost_in_decoding_is_missed(tmp_path: Path) -> None:
    """Zeros make MPEG-2's decoder show nothing, without an error."""
    whole = make(tmp_path / "whole.mp4", 3, -2, codec="mpeg2video", **SMALL)

    def blank(number: int, packet: av.Packet) -> bytes | None:
        return bytes(packet.size) if number in (20, 21, 22) else bytes(packet)

    assert probe(remux(whole, tmp_path / "blank.mp4", blank)).damage


def even(frames: int, step: float = 40, origin: int = 7) -> list[int]:
    return [round(origin + step * index) for index in range(frames)]


@pytest.mark.parametrize(
    ("stamps", "gaps"),
    [
        (even(20), ()),
        (even(100, 1000 / 30), ()),
        (even(20)[:5] + even(20)[8:], ((5, 3),)),
        (even(200, 1000 / 30)[:50] + even(200, 1000 / 30)[51:120] + even(200, 1000 / 30)[130:], None),
        ([0, 125, *range(126, 150)], ((1, 124),)),
    ],
)
def test_a_clock_with_gaps(stamps: list[int], gaps: tuple[tuple[int, int], ...] | None) -> None:
    fitted = fit_clock(stamps)
    assert fitted is not None
    origin, step, found = fitted
    assert found == (((50, 1), (119, 11)) if gaps is None else gaps)
    info = described(origin, step, found, len(stamps))
    for index, stamp in enumerate(stamps):
        assert round(info.index(stamp)) == index
        assert abs(info.stamp(index) - stamp) <= 0.5 * max(step / 2, 1)
    for index, _ in found:
        between = (stamps[index - 1] + stamps[index]) // 2
        assert info.index(between) == index - 0.5, "no frame carries it"


@pytest.mark.parametrize(
    "stamps",
    [
        [0, 40, 40, 80],
        [0, 40, 30, 80],
        [index * index for index in range(30)],
        [0, 40, None, 120],
        [40],
        [],
        [step for index in range(2 * MOST_GAPS + 4) for step in (100 * index, 100 * index + 20)],
    ],
)
def test_uneven_timestamps_are_no_clock(stamps: list[int | None]) -> None:
    assert fit_clock(stamps) is None


def described(origin: int, step: float, gaps: tuple[tuple[int, int], ...], frames: int) -> VideoInfo:
    """A description with a clock; all else is of no use here."""
    return VideoInfo(
        codec="h264",
        width=80,
        height=64,
        fps=25.0,
        frames=frames,
        keyframes=(),
        seeks=(),
        clock=Clock.PTS,
        origin=origin,
        step=step,
        rotation=0,
        vectors=True,
        damage="",
        gaps=gaps,
    )


@pytest.mark.parametrize("hidden", [[b"ctts", b"elst"], [b"stss"], [b"elst"]])
@pytest.mark.parametrize("bframes", [1, 3])
@pytest.mark.parametrize("limited", [True, False])
def test_h264_whose_order_shows_only_in_decoding(
    tmp_path: Path, hidden: list[bytes], bframes: int, limited: bool
) -> None:
    """Neither the stream nor the container tells how many frames to hold back: the probe finds out, and the
    reader has its decoder do so from the first frame on.
    """
    good = make(tmp_path / "good.mp4", 3, -2, codec="h264", bframes=bframes, gop=20, **SMALL)
    content = good.read_bytes() if limited else without_limits(good.read_bytes())
    for box in hidden:
        assert content.count(box) == 1
        content = content.replace(box, b"free")
    path = tmp_path / "hidden.mp4"
    path.write_bytes(content)
    info = probe(path)
    assert (info.frames, info.damage) == (60, "")
    with Reader(path, info) as reader:
        (whole,) = reader.read([ClipRequest(0, 60, size=SIZE)], motion=True)
        for start in [*range(56, -1, -7), *range(0, 56, 3)]:
            (clip,) = reader.read([ClipRequest(start, 4, size=SIZE)], motion=True)
            assert np.array_equal(clip.planes, whole.planes[:, start : start + 4]), start
            assert np.array_equal(clip.mv, whole.mv[start : start + 4]), start
    expected = linear_planes(good, SIZE)
    assert np.array_equal(whole.planes, expected)
