"""Content that moves by known amounts, encoded with every codec, gives that motion back in sign and size."""

from pathlib import Path

import numpy as np
import pytest
from video_made import HEIGHT, WIDTH, linear, make, moving, types

from mvcgc.video import Clip, ClipRequest, Reader, Reason, VideoError, VideoInfo, encode, probe

EXPORTED = [
    ("mpeg4", ".avi", 0, {}),
    ("mpeg4", ".avi", 2, {}),
    ("mpeg4", ".mp4", 1, {}),
    ("mpeg4", ".avi", 0, {"flags": "+qpel+mv4"}),
    ("mpeg4", ".avi", 2, {"flags": "+ilme+ildct"}),
    ("h264", ".mp4", 0, {}),
    ("h264", ".mp4", 0, {"preset": "medium"}),
    ("h264", ".mp4", 3, {"preset": "medium"}),
    ("h264", ".mkv", 2, {"x264-params": "b-pyramid=0"}),
    ("h264", ".ts", 3, {}),
    ("mpeg1video", ".mpg", 0, {}),
    ("mpeg1video", ".mpg", 2, {}),
    ("mpeg2video", ".mpg", 0, {}),
    ("mpeg2video", ".ts", 2, {}),
    ("mpeg2video", ".mpg", 2, {"flags": "+ilme+ildct"}),
    ("h263", ".avi", 0, {}),
    ("flv1", ".flv", 0, {}),
]

MATCHED = [("hevc", ".mp4", 2), ("vp9", ".webm", 0), ("av1", ".mkv", 0)]

MOTION = [(3, -2), (-2, 3)]


@pytest.fixture(autouse=True)
def quiet_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SVT_LOG", "1")


def whole(path: Path, *, mestimate: bool = False) -> tuple[VideoInfo, Clip]:
    info = probe(path)
    with Reader(path, info, mestimate=mestimate) as reader:
        return info, reader.read([ClipRequest(0, info.frames)], motion=True)[0]


def told(kinds: str, codec: str) -> list[bool]:
    """Which frames of a stream can have motion at all, from its picture types."""
    # Decoders that hold a frame back for reordering do not export the vectors of the last one.
    held = codec.startswith(("mpeg1", "mpeg2")) or (codec == "mpeg4" and "B" in kinds)
    anchors = [kind == "P" for kind in kinds]
    if held and kinds[-1] == "P":
        anchors[-1] = False
    result = []
    for t, kind in enumerate(kinds):
        if kind == "B" and codec == "mpeg4":
            following = next((i for i in range(t, len(kinds)) if kinds[i] != "B"), None)
            result.append(following is not None and anchors[following])
        else:
            result.append(anchors[t] or kind == "B")
    return result


@pytest.mark.parametrize("motion", MOTION)
@pytest.mark.parametrize("how", EXPORTED, ids=lambda how: "-".join(map(str, how[:3])))
def test_exported_vectors_tell_the_motion_of_every_frame(
    tmp_path: Path, how: tuple[str, str, int, dict[str, str]], motion: tuple[int, int]
) -> None:
    codec, suffix, bframes, options = how
    path = make(tmp_path / f"made{suffix}", *motion, codec=codec, bframes=bframes, options=options)
    kinds = types(path)
    assert ("B" in kinds) == (bframes > 0)
    info, clip = whole(path)
    assert (info.codec, info.width, info.height, info.frames) == (codec, WIDTH, HEIGHT, 26)
    assert info.vectors
    assert not info.damage
    assert clip.mv is not None
    assert clip.valid is not None
    assert [bool(v.any()) for v in clip.valid] == told(kinds, codec)
    for t, tells in enumerate(told(kinds, codec)):
        if tells:
            assert np.abs(np.median(clip.mv[t][clip.valid[t]], 0) - motion).max() <= 0.25, (t, kinds[t])
            assert clip.valid[t].mean() > 0.3, (t, kinds[t])
    assert not clip.mv[~clip.valid].any()


@pytest.mark.parametrize(("codec", "suffix", "bframes"), MATCHED)
def test_matched_blocks_tell_the_motion_of_every_frame_but_the_first(
    tmp_path: Path, codec: str, suffix: str, bframes: int
) -> None:
    path = make(tmp_path / f"made{suffix}", 3, -2, frames=16, codec=codec, bframes=bframes)
    info, clip = whole(path, mestimate=True)
    assert (info.codec, info.vectors, info.frames) == (codec, False, 16)
    assert clip.mv is not None
    assert clip.valid is not None
    assert not clip.valid[0].any()
    for t in range(1, 16):
        assert clip.valid[t].mean() > 0.9
        assert np.abs(np.median(clip.mv[t][clip.valid[t]], 0) - (3, -2)).max() <= 0.25, t


@pytest.mark.parametrize(("codec", "suffix", "bframes"), MATCHED)
def test_codecs_without_vectors_are_refused_unless_matching_is_switched_on(
    tmp_path: Path, codec: str, suffix: str, bframes: int
) -> None:
    path = make(tmp_path / f"made{suffix}", 3, -2, frames=6, codec=codec, bframes=bframes)
    with Reader(path, probe(path)) as reader:
        with pytest.raises(VideoError, match=rf"{codec}.*dataset\.mestimate=true") as caught:
            reader.read([ClipRequest(0, 4)], motion=True)
        assert caught.value.reason is Reason.NO_VECTORS
        assert reader.read([ClipRequest(0, 4, size=(16, 16))], motion=False)[0].mv is None


def test_a_still_picture_does_not_move_and_is_valid(tmp_path: Path) -> None:
    for codec, bframes in (("mpeg4", 2), ("h264", 2)):
        path = make(tmp_path / f"{codec}.mp4", 0, 0, frames=12, codec=codec, bframes=bframes)
        _, clip = whole(path)
        assert clip.mv is not None
        assert clip.valid is not None
        assert clip.valid[1:9].mean() > 0.95
        assert np.abs(clip.mv).max() < 0.3


def test_zero_vectors_of_mpeg4_b_frames_never_pass_as_no_motion(tmp_path: Path, clips_dir: Path) -> None:
    """The decoder exports zeros for all B-frames; none of them may come through while the picture moves."""
    for path in (
        make(tmp_path / "made.avi", 3, -2, codec="mpeg4", bframes=2),
        clips_dir / "ucf_v_ApplyEyeMakeup_g01_c01.avi",
    ):
        exported = [frame.side_data.get("MOTION_VECTORS") for frame in linear(path, export=True)]
        kinds = types(path)
        _, clip = whole(path)
        assert clip.mv is not None
        assert clip.valid is not None
        for t, kind in enumerate(kinds):
            if kind != "B":
                continue
            vectors = exported[t].to_ndarray()
            assert not vectors["motion_x"].any()
            assert not vectors["motion_y"].any()
            following = next(i for i in range(t, len(kinds)) if kinds[i] != "B")
            np.testing.assert_array_equal(clip.mv[t], clip.mv[following])
            np.testing.assert_array_equal(clip.valid[t], clip.valid[following])


@pytest.mark.parametrize(
    ("codec", "size"),
    [("mpeg4", (100, 150)), ("mpeg4", (119, 141)), ("h264", (100, 150)), ("h264", (136, 168))],
)
def test_sides_that_are_no_multiple_of_16(tmp_path: Path, codec: str, size: tuple[int, int]) -> None:
    height, width = size
    path = make(tmp_path / "made.mp4", -3, 2, frames=12, size=size, codec=codec, bframes=2)
    info, clip = whole(path)
    assert (info.height, info.width) == size
    assert clip.mv is not None
    assert clip.valid is not None
    assert clip.mv.shape == (12, -(-height // 8), -(-width // 8), 2)
    for t in range(1, 9):
        assert np.abs(np.median(clip.mv[t][clip.valid[t]], 0) - (-3, 2)).max() <= 0.25
    # The last row and column are blocks that hang over the picture; they are there all the same.
    assert clip.valid[1:9, -1].any()
    assert clip.valid[1:9, :, -1].any()


def test_half_pixel_motion_is_not_rounded(tmp_path: Path) -> None:
    """Halving the picture halves the motion: 3 pixels become 1.5, which src - dst would cut to 1."""

    halved = (p.reshape(72, 2, 88, 2, 3).mean((1, 3)).astype(np.uint8) for p in moving(10, 3, -3))
    path = tmp_path / "half.avi"
    encode(path, halved, codec="mpeg4")
    _, clip = whole(path)
    assert clip.mv is not None
    assert clip.valid is not None
    assert np.abs(np.median(clip.mv[clip.valid], 0) - (1.5, -1.5)).max() <= 0.1
