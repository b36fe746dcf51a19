"""Frames and vectors of a clip are exactly those of its place, from wherever it starts."""

from collections import Counter
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from video_made import linear_planes, make, make_packed, moving, without_limits

from mvcgc.video import Box, Clip, ClipRequest, Clock, Matrix, Reader, VideoInfo, probe
from mvcgc.video.container import VideoPacket
from mvcgc.video.picture import Converter, plane_rows
from mvcgc.video.references import References, Shown
from mvcgc.video.stream import FrameStream

SIZE = (32, 40)

MADE = [
    ("mpeg4", ".avi", 0),
    ("mpeg4", ".avi", 2),
    ("mpeg4", ".mp4", 2),
    ("h264", ".mp4", 0),
    ("h264", ".mp4", 3),
    ("h264", ".ts", 3),
    ("h264", ".avi", 2),
    ("h264", ".h264", 2),
    ("mpeg1video", ".mpg", 2),
    ("mpeg1video", ".m1v", 2),
    ("mpeg2video", ".ts", 2),
    ("flv1", ".flv", 0),
    ("hevc", ".mp4", 3),
    ("vp9", ".webm", 0),
    ("av1", ".mkv", 0),
]

REAL = [
    "dec_corrupted.mp4",
    "hmdb_TrumanShow_wave_f_nm_np1_fr_med_26.avi",
    "hmdb_hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi",
    "k400_R6llTwEh07w.mp4",
    "k400_SOX5yA1l24A.mp4",
    "mma_demo.mp4",
    "tc_av1_video.mkv",
    "tc_h265_video.mp4",
    "tc_nasa_13013.mp4",
    "ucf_v_ApplyEyeMakeup_g01_c01.avi",
    "ucf_v_SoccerJuggling_g23_c01.avi",
]


@pytest.fixture(autouse=True)
def quiet_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SVT_LOG", "1")


def read(path: Path, info: VideoInfo, *requests: ClipRequest) -> list[Clip]:
    with Reader(path, info) as reader:
        return reader.read(requests, motion=info.vectors)


def same(clip: Clip, whole: Clip, start: int) -> bool:
    """Return whether a clip is the part of the whole video that begins at ``start``."""
    stop = start + clip.planes.shape[1]
    motion = clip.mv is None or (
        np.array_equal(clip.mv, whole.mv[start:stop]) and np.array_equal(clip.valid, whole.valid[start:stop])
    )
    return motion and np.array_equal(clip.planes, whole.planes[:, start:stop])


@pytest.mark.parametrize(("codec", "suffix", "bframes"), MADE)
def test_every_start_of_made_files(tmp_path: Path, codec: str, suffix: str, bframes: int) -> None:
    path = make(tmp_path / f"made{suffix}", 3, -2, frames=32, size=(64, 80), codec=codec, bframes=bframes)
    info = probe(path)
    assert info.frames == 32
    whole = read(path, info, ClipRequest(0, 32, size=SIZE))[0]
    assert np.array_equal(whole.planes, linear_planes(path, SIZE))
    with Reader(path, info) as reader:
        for start in [*range(29), *range(28, -1, -5)]:
            clip = reader.read([ClipRequest(start, 4, size=SIZE)], motion=info.vectors)[0]
            assert same(clip, whole, start), start
    for start in (0, 11, 12, 13, 23, 27):
        assert same(read(path, info, ClipRequest(start, 5, size=SIZE))[0], whole, start), start


@pytest.mark.parametrize("gop", [12, 300])
def test_every_start_of_packed_b_frames(tmp_path: Path, gop: int) -> None:
    """One group is read as it is stored, from the first packet on; of several each may need libav's help."""
    path = make_packed(tmp_path / "packed.avi", tmp_path / "plain.avi", gop)
    info = probe(path)
    assert (info.clock, info.vectors, info.keyframes[0]) == (Clock.DTS, True, 0)
    assert (len(info.keyframes) == 1) == (gop == 300)
    whole = read(path, info, ClipRequest(0, info.frames, size=SIZE))[0]
    assert np.array_equal(whole.planes, linear_planes(path, SIZE))
    with Reader(path, info) as reader, Reader(path, info, pictures=False) as alone:
        for start in [*range(29), *range(28, -1, -5)]:
            clip = reader.read([ClipRequest(start, 4, size=SIZE)], motion=True)[0]
            assert same(clip, whole, start), start
            (motion,) = alone.read([ClipRequest(start, 4)], motion=True)
            assert np.array_equal(motion.mv, clip.mv), start
    for start in (0, 11, 12, 13, 23, 27):
        assert same(read(path, info, ClipRequest(start, 5, size=SIZE))[0], whole, start), start


def test_no_more_is_decoded_than_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last frames are had without the packets behind them; what is wanted all the same is still had."""
    path = make(tmp_path / "made.mp4", 3, -2, frames=32, size=(64, 80), codec="h264", bframes=3)
    info = probe(path)
    with av.open(str(path)) as container:
        expected = [plane_rows(frame.planes[0])[:64, :80].copy() for frame in container.decode(video=0)]
    stream = FrameStream(path, info, export=True)
    for stop in range(13, 22):
        for index, shown in zip(range(13, stop), stream.run(13, stop, stop), strict=True):
            assert shown.place.index == index
            assert np.array_equal(shown.picture.rows[:64, :80], expected[index])
    # Against what was promised, to a frame that the decoder had not been sent when it gave away its last.
    for index in (22, 23):
        shown = next(stream.run(index, index + 1, 21))
        assert shown.place.index == index
        assert np.array_equal(shown.picture.rows[:64, :80], expected[index])
    stream.close()

    sent = dict.fromkeys((18, 32), 0)
    for stop in sent:

        def read(self: References, packet: VideoPacket, stop: int = stop) -> None:
            sent[stop] += 1

        monkeypatch.setattr(References, "read", read)
        stream = FrameStream(path, info, export=True)
        assert len(list(stream.run(13, 18, stop))) == 5
        stream.close()
    assert sent[18] < sent[32]


def test_reading_on_decodes_nothing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path / "made.mp4", 3, -2, frames=40, size=(64, 80), codec="h264", bframes=3, gop=40)
    info = probe(path)
    sent = []
    read_packet = References.read

    def read(self: References, packet: VideoPacket) -> None:
        sent.append(packet.pts)
        read_packet(self, packet)

    monkeypatch.setattr(References, "read", read)
    with Reader(path, info) as reader:
        for start in range(0, 40, 8):
            reader.read([ClipRequest(start, 8, size=SIZE)], motion=False, more=True)
    stamps = [stamp for stamp in sent if stamp is not None]
    assert len(stamps) == len(set(stamps)) == 40


def test_second_fields_belong_to_their_frames(tmp_path: Path) -> None:
    """Each may be a packet, the second's half a frame later than the first's, or of the same time."""
    path = make(tmp_path / "made.mp4", 3, -2, frames=12, size=(64, 80), codec="h264")
    info = probe(path)
    for second in (0.5, 0):
        stream = FrameStream(path, info, export=True)
        next(stream.run(0, 1, 6))
        places = [place + field for place in (1, 4, 2, 3, 8, 5) for field in (0, second)]
        stamps = [round(info.origin + place * info.step) for place in places]
        assert not any(stream._is_beyond(stamp) for stamp in stamps)
        assert stream._is_beyond(round(info.origin + 7 * info.step))
        stream.close()


@pytest.mark.parametrize("fps", [Fraction(30), Fraction(30000, 1001), Fraction(240)])
@pytest.mark.parametrize("codec", ["h264", "hevc", "mpeg4", "mpeg2video"])
def test_rounded_time_stamps(tmp_path: Path, codec: str, fps: Fraction) -> None:
    """Matroska counts milliseconds, so a frame may be stamped before its time."""
    size = (64, 80)
    path = make(tmp_path / "made.mkv", 3, -2, frames=40, size=size, codec=codec, bframes=2, fps=fps)
    info = probe(path)
    assert info.step != int(info.step)
    whole = read(path, info, ClipRequest(0, 40, size=SIZE))[0]
    assert np.array_equal(whole.planes, linear_planes(path, SIZE))
    for frames in (1, 5):
        with Reader(path, info) as reader:
            for start in range(0, 41 - frames, 2):
                # What is not written shows.
                planes = [np.full((3, frames, *SIZE), 77, np.uint8)]
                request = ClipRequest(start, frames, size=SIZE)
                clip = reader.read([request], motion=info.vectors, planes=planes)[0]
                assert same(clip, whole, start), (start, frames)


@pytest.mark.parametrize("motion", [True, False])
@pytest.mark.parametrize("suffix", [".mp4", ".ts", ".mkv"])
def test_one_clip_right_behind_the_other(tmp_path: Path, suffix: str, motion: bool) -> None:
    path = make(tmp_path / f"made{suffix}", 3, -2, frames=60, size=(64, 80), codec="h264", bframes=3, gop=50)
    info = probe(path)
    whole = read(path, info, ClipRequest(0, 60, size=SIZE))[0]
    assert np.array_equal(whole.planes, linear_planes(path, SIZE))
    rng = np.random.default_rng(0)
    for _ in range(20):
        stops = np.sort(rng.choice(np.arange(1, 60), 4, replace=False)).tolist()
        with Reader(path, info) as reader:
            for start, stop in pairwise([0, *stops, 60]):
                planes = [np.full((3, stop - start, *SIZE), 77, np.uint8)]
                request = ClipRequest(start, stop - start, size=SIZE)
                clip = reader.read([request], motion=motion, planes=planes)[0]
                assert same(clip, whole, start), (start, stop)


@pytest.mark.parametrize("name", REAL)
def test_starts_of_real_files(clips_dir: Path, name: str) -> None:
    path = clips_dir / name
    info = probe(path)
    count = min(info.frames, 140)
    whole = read(path, info, ClipRequest(0, count, size=SIZE))[0]
    assert np.array_equal(whole.planes, linear_planes(path, SIZE)[:, :count])
    rng = np.random.default_rng(3)
    with Reader(path, info) as reader:
        for start in [*map(int, rng.integers(0, count - 5, 7)), count - 5, 0]:
            clip = reader.read([ClipRequest(start, 5, size=SIZE)], motion=info.vectors)[0]
            assert same(clip, whole, start), start


def test_the_last_frames_of_real_files(clips_dir: Path) -> None:
    for name in ("hmdb_TrumanShow_wave_f_nm_np1_fr_med_26.avi", "ucf_v_ApplyEyeMakeup_g01_c01.avi"):
        path = clips_dir / name
        info = probe(path)
        clip = read(path, info, ClipRequest(info.frames - 4, 4, size=SIZE))[0]
        assert np.array_equal(clip.planes, linear_planes(path, SIZE)[:, -4:])
        assert not clip.valid[-1].any(), "the decoder exports no vectors for the last frame"


def test_what_the_probe_finds_in_real_files(clips_dir: Path) -> None:
    for name, frames, keyframes, clock in (
        ("hmdb_TrumanShow_wave_f_nm_np1_fr_med_26.avi", 48, 2, Clock.DTS),
        ("hmdb_hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi", 83, 1, Clock.DTS),
        ("k400_R6llTwEh07w.mp4", 303, 2, Clock.PTS),
        ("k400_SOX5yA1l24A.mp4", 332, 4, Clock.PTS),
        ("ucf_v_ApplyEyeMakeup_g01_c01.avi", 164, 1, Clock.DTS),
        ("ucf_v_SoccerJuggling_g23_c01.avi", 240, 20, Clock.PTS),
        ("tc_h265_video.mp4", 10, 5, Clock.PTS),
        ("tc_av1_video.mkv", 125, 1, Clock.PTS),
    ):
        info = probe(clips_dir / name)
        assert (info.frames, len(info.keyframes), info.clock) == (frames, keyframes, clock), name
        assert info.vectors == (info.codec in {"mpeg4", "h264"}), name
        assert info.damage == "", name
        assert VideoInfo.from_dict(info.to_dict()) == info


@pytest.mark.parametrize("how", ["whole", "fragmented", "Matroska"])
def test_h264_in_a_file_that_tells_less_than_its_name_promises(tmp_path: Path, how: str) -> None:
    """No sequence parameter set tells how far frames are out of order; the header, if it lists them."""
    good = make(tmp_path / "good.mp4", 3, -2, frames=32, size=(64, 80), codec="h264", bframes=3)
    planes = linear_planes(good, SIZE)
    good.write_bytes(without_limits(good.read_bytes()))
    path = tmp_path / "named.mp4"
    kind = "matroska" if how == "Matroska" else "mp4"
    options = {"movflags": "frag_keyframe+empty_moov"} if how == "fragmented" else {}
    with av.open(good) as source, av.open(path, "w", format=kind, options=options) as target:
        copy = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = copy
                target.mux(packet)
    info = probe(path)
    assert (info.codec, info.frames) == ("h264", 32)
    whole = read(path, info, ClipRequest(0, 32, size=SIZE))[0]
    assert np.array_equal(whole.planes, planes)
    assert same(read(path, info, ClipRequest(13, 9, size=SIZE))[0], whole, 13)


def test_uneven_time_stamps(tmp_path: Path) -> None:
    """A variable frame rate: no clock, so frames are counted from the keyframe."""
    path = tmp_path / "uneven.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "fast"})
        stream.width, stream.height, stream.pix_fmt = 80, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = 10, 2
        for index, picture in enumerate(moving(30, 2, 1, 64, 80)):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = index * index, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    info = probe(path)
    assert (info.frames, info.clock, info.keyframes) == (30, Clock.NONE, (0, 10, 20))
    whole = read(path, info, ClipRequest(0, 30, size=SIZE))[0]
    assert np.array_equal(whole.planes, linear_planes(path, SIZE))
    for start in (0, 3, 9, 10, 11, 19, 20, 26):
        assert same(read(path, info, ClipRequest(start, 4, size=SIZE))[0], whole, start), start


def test_raw_streams_have_no_time_stamps_and_no_seeking(tmp_path: Path) -> None:
    info = probe(make(tmp_path / "raw.h264", 3, -2, codec="h264", bframes=2))
    assert (info.frames, info.keyframes, info.seeks, info.clock) == (26, (), (), Clock.NONE)


def test_several_clips_in_one_pass_are_what_each_is_alone(tmp_path: Path) -> None:
    path = make(tmp_path / "made.mp4", 3, -2, frames=40, codec="h264", bframes=3)
    info = probe(path)
    requests = [
        ClipRequest(3, 9, Box(8, 10, 64, 80), (32, 32)),
        ClipRequest(3, 2, size=SIZE),
        ClipRequest(10, 6, Box(0, 0, 40, 40), (24, 48)),
        ClipRequest(30, 10),
    ]
    together = read(path, info, *requests)
    for request, clip in zip(requests, together, strict=True):
        alone = read(path, info, request)[0]
        for one, other in ((clip.planes, alone.planes), (clip.mv, alone.mv), (clip.valid, alone.valid)):
            assert (one is None) == (other is None)
            assert one is None or np.array_equal(one, other)
    assert together[0].planes.shape == (3, 9, 32, 32)
    assert together[3].planes is None


def test_clips_that_look_alike_share_their_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each picture is made once for each crop and size, and is what it would be alone."""
    path = make(tmp_path / "made.mp4", 3, -2, frames=40, codec="h264", bframes=3)
    info, box = probe(path), Box(8, 10, 64, 80)
    requests = [
        ClipRequest(3, 9, size=SIZE),
        ClipRequest(3, 12, size=SIZE),
        ClipRequest(5, 4, box, SIZE),
        ClipRequest(6, 4, box, (24, 48)),
        ClipRequest(7, 6, box, SIZE),
        ClipRequest(7, 3),
        ClipRequest(13, 4, size=SIZE),
        ClipRequest(16, 2),
    ]
    alone = [read(path, info, request)[0] for request in requests]
    made = Counter[str]()
    convert = Converter.convert

    def counted(self: Converter, frame: av.VideoFrame, number: int) -> Matrix:
        made["pictures"] += 1
        return convert(self, frame, number)

    monkeypatch.setattr(Converter, "convert", counted)
    for clip, expected in zip(read(path, info, *requests), alone, strict=True):
        assert clip.matrix == expected.matrix
        assert np.array_equal(clip.mv, expected.mv)
        assert (clip.planes is None) == (expected.planes is None)
        assert clip.planes is None or np.array_equal(clip.planes, expected.planes)
    # Frames 3 to 16; 5 to 8 and 9 to 12 of the crop; 6 to 9 of it in another size.
    assert made["pictures"] == 14 + 8 + 4


def test_matched_blocks_depend_on_the_request_alone(tmp_path: Path) -> None:
    path = make(tmp_path / "made.webm", 3, -2, frames=24, codec="vp9")
    info = probe(path)
    requests = [ClipRequest(2, 6), ClipRequest(5, 8), ClipRequest(20, 4)]
    with Reader(path, info, mestimate=True) as reader:
        together = reader.read(requests, motion=True)
        for request, clip in reversed(list(zip(requests, together, strict=True))):
            alone = reader.read([request], motion=True)[0]
            assert np.array_equal(clip.mv, alone.mv)
            assert clip.valid.all(axis=(1, 2)).all()


def test_requests_are_checked(tmp_path: Path) -> None:
    path = make(tmp_path / "made.avi", 3, -2, frames=8)
    with Reader(path, probe(path)) as reader:
        with pytest.raises(ValueError, match="sorted by start"):
            reader.read([ClipRequest(4, 2), ClipRequest(0, 2)], motion=True)
        with pytest.raises(ValueError, match="does not fit"):
            reader.read([ClipRequest(0, 2, Box(0, 100, 64, 80), SIZE)], motion=True)
        assert reader.read([], motion=True) == []
    with pytest.raises(ValueError, match="start is 0 or more"):
        ClipRequest(-1, 2)
    with pytest.raises(ValueError, match="frames 1 or more"):
        ClipRequest(0, 0)
    with pytest.raises(ValueError, match="at least 2x2"):
        ClipRequest(0, 1, size=(1, 8))
    with pytest.raises(ValueError, match="at least 2x2"):
        Box(0, 0, 1, 8)


def test_reading_is_deterministic(clips_dir: Path) -> None:
    path = clips_dir / "k400_SOX5yA1l24A.mp4"
    info = probe(path)
    assert probe(path) == info
    first, second = (read(path, info, ClipRequest(60, 12, size=(64, 64)))[0] for _ in range(2))
    assert np.array_equal(first.planes, second.planes)
    assert np.array_equal(first.mv, second.mv)


@pytest.mark.parametrize(("codec", "suffix", "bframes"), MADE)
def test_motion_alone_is_the_motion_beside_pictures(
    tmp_path: Path, codec: str, suffix: str, bframes: int
) -> None:
    path = make(tmp_path / f"made{suffix}", 3, -2, frames=32, size=(64, 80), codec=codec, bframes=bframes)
    info = probe(path)
    request = ClipRequest(9, 12)
    with (
        Reader(path, info, mestimate=True) as whole,
        Reader(path, info, mestimate=True, pictures=False) as alone,
    ):
        (expected,), (found,) = (reader.read([request], motion=True) for reader in (whole, alone))
        assert np.array_equal(found.mv, expected.mv)
        assert np.array_equal(found.valid, expected.valid)
        assert found.valid.any()
        with pytest.raises(ValueError, match="motion alone"):
            alone.read([ClipRequest(9, 12, size=SIZE)], motion=True)


@pytest.mark.parametrize("bframes", [0, 1, 5])
@pytest.mark.parametrize("suffix", [".avi", ".mp4"])
def test_motion_alone_passes_over_what_comes_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, bframes: int
) -> None:
    """Vectors need no other frame, but how far back that lies is known all the same."""
    path = make(
        tmp_path / f"made{suffix}", 3, -2, frames=60, size=(64, 80), codec="mpeg4", gop=300, bframes=bframes
    )
    info = probe(path)
    assert (info.clock, info.keyframes) == (Clock.PTS, (0,))
    whole = read(path, info, ClipRequest(0, 60))[0]
    decoded, show = list[int](), References.show

    def counted(self: References, frame: av.VideoFrame, index: int, *, keyframe: bool) -> Shown:
        decoded.append(index)
        return show(self, frame, index, keyframe=keyframe)

    monkeypatch.setattr(References, "show", counted)
    with Reader(path, info, pictures=False) as alone:
        for starts in ([50], [3, 30], [10, 11, 41], [0], [55], [20]):
            decoded.clear()
            clips = alone.read([ClipRequest(start, 5) for start in starts], motion=True)
            for start, clip in zip(starts, clips, strict=True):
                assert np.array_equal(clip.mv, whole.mv[start : start + 5]), start
                assert np.array_equal(clip.valid, whole.valid[start : start + 5]), start
            # The first frame, which is a keyframe, one that was on its way, and each clip up to its anchor.
            assert len(decoded) <= 2 + 6 * len(starts), decoded


@pytest.mark.parametrize("name", [name for name in REAL if name.endswith(".avi")])
def test_motion_alone_of_real_files_at_every_kind_of_place(clips_dir: Path, name: str) -> None:
    """B-frames that are never decoded, between clips that overlap, and at the file's end."""
    path = clips_dir / name
    info = probe(path)
    starts = sorted([0, 3, 5, 11, 12, 34, info.frames - 9, info.frames - 3])
    requests = [ClipRequest(start, 3) for start in starts]
    with Reader(path, info) as whole, Reader(path, info, pictures=False) as alone:
        expected, found = (reader.read(requests, motion=True) for reader in (whole, alone))
        (last,) = alone.read(requests[-1:], motion=True)
        (first,) = alone.read(requests[:1], motion=True)
        for one, other in zip([*found, last, first], [*expected, expected[-1], expected[0]], strict=True):
            assert np.array_equal(one.mv, other.mv)
            assert np.array_equal(one.valid, other.valid)
    assert any(one.valid.any() for one in found)
