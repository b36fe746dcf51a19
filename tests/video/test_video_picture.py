"""RGB: crop, scale, rotation, formats."""

from pathlib import Path

import av
import numpy as np
import pytest
from video_made import linear, linear_rgb, make, moving

from mvcgc.video import Box, Clip, ClipRequest, Reader, encode, probe
from mvcgc.video.picture import EXACT, Converter
from mvcgc.video.rotate import coded_box, upright


def read(path: Path, *requests: ClipRequest, motion: bool = False) -> list[Clip]:
    with Reader(path, probe(path)) as reader:
        return reader.read(requests, motion)


def rgb(clip: Clip) -> np.ndarray:
    assert clip.rgb is not None
    return clip.rgb


def assert_part(crop: np.ndarray, part: np.ndarray) -> None:
    """Equal, but for the colour at the edges, which is interpolated from the crop alone."""
    assert np.array_equal(crop[:, 2:-2, 2:-2], part[:, 2:-2, 2:-2])
    assert np.abs(crop.astype(int) - part).max() < 24


def test_an_unscaled_crop_is_the_part_of_the_whole_picture(tmp_path: Path) -> None:
    path = make(tmp_path / "made.avi", 3, -2, frames=4)
    whole = rgb(read(path, ClipRequest(0, 4, size=(144, 176)))[0])
    even = Box(20, 34, 60, 88)
    part = rgb(read(path, ClipRequest(0, 4, even, (60, 88)))[0])
    assert_part(part, whole[:, 20:80, 34:122])
    odd = rgb(read(path, ClipRequest(0, 4, Box(21, 35, 60, 88), (60, 88)))[0])
    brightness = (0.299, 0.587, 0.114)
    difference = np.abs((odd.astype(int) - whole[:, 21:81, 35:123]) @ brightness)
    wrong = np.abs((odd.astype(int) - whole[:, 20:80, 34:122]) @ brightness)
    assert difference.mean() < wrong.mean() / 3, "only the colour may lie a pixel off"


def test_a_scaled_crop_is_the_scaled_part(tmp_path: Path) -> None:
    path = make(tmp_path / "made.mp4", 3, -2, frames=3, codec="h264")
    whole = rgb(read(path, ClipRequest(2, 1, size=(144, 176)))[0])[0]
    scaled = rgb(read(path, ClipRequest(2, 1, Box(16, 24, 96, 128), (48, 64)))[0])[0]
    mean = whole[16:112, 24:152].reshape(48, 2, 64, 2, 3).mean((1, 3))
    assert np.abs(scaled - mean).mean() < 4
    assert scaled.shape == (48, 64, 3)
    assert scaled.flags.c_contiguous


def test_odd_sides(tmp_path: Path) -> None:
    path = make(tmp_path / "made.avi", 3, -2, frames=3, size=(75, 91))
    assert np.array_equal(rgb(read(path, ClipRequest(0, 3, size=(33, 41)))[0]), linear_rgb(path, (33, 41)))
    whole = rgb(read(path, ClipRequest(0, 3, size=(75, 91)))[0])
    assert np.array_equal(whole, linear_rgb(path, (75, 91)))
    assert np.array_equal(rgb(read(path, ClipRequest(0, 3, Box(0, 0, 75, 91), (75, 91)))[0]), whole)
    part = rgb(read(path, ClipRequest(0, 3, Box(8, 10, 51, 33), (51, 33)))[0])
    assert np.abs(part.astype(int) - whole[:, 8:59, 10:43]).mean() < 3


@pytest.mark.parametrize(
    "name", ["yuv444p", "yuv422p", "yuvj420p", "yuv420p10le", "gray", "rgb24", "nv12", "yuv411p"]
)
def test_other_pixel_formats_are_cropped_alike(name: str) -> None:
    frame = av.VideoFrame.from_ndarray(next(moving(1, 0, 0)), format="rgb24").reformat(format=name)
    whole = frame.reformat(format="rgb24", interpolation=EXACT).to_ndarray()
    out = np.empty((40, 64, 3), np.uint8)
    Converter(0, Box(20, 32, 40, 64), (40, 64)).convert(frame, out)
    assert np.abs(out.astype(int) - whole[20:60, 32:96]).mean() < 2


def test_the_colour_space_and_range_survive_the_crop() -> None:
    frame = next(iter_tagged())
    whole = frame.reformat(format="rgb24", interpolation=EXACT).to_ndarray()
    untagged = av.VideoFrame.from_ndarray(frame.to_ndarray(), format="yuv420p")
    other = untagged.reformat(format="rgb24", interpolation=EXACT).to_ndarray()
    assert np.abs(whole.astype(int) - other).mean() > 2, "the tags matter"
    out = np.empty((40, 64, 3), np.uint8)
    Converter(0, Box(20, 32, 40, 64), (40, 64)).convert(frame, out)
    assert_part(out[None], whole[None, 20:60, 32:96])


def iter_tagged():
    frame = av.VideoFrame.from_ndarray(next(moving(1, 0, 0)), format="rgb24").reformat(format="yuv420p")
    frame.colorspace, frame.color_range = 1, 2  # BT.709, full range
    yield frame


def matrix_at(content: bytes | bytearray) -> int:
    """Where an .mp4 file holds its one track's display matrix: 9 numbers behind 40 bytes of other fields."""
    return content.index(b"tkhd") + 44


@pytest.mark.parametrize("rotation", [90, 180, 270])
@pytest.mark.parametrize("size", [(128, 160), (100, 148)])
def test_rotation_turns_rgb_and_vectors_alike(tmp_path: Path, rotation: int, size: tuple[int, int]) -> None:
    """The same stream with and without its display matrix."""
    turned, plain = tmp_path / "turned.mp4", tmp_path / "plain.mp4"
    make(turned, 3, -2, frames=8, size=size, codec="h264", bframes=2, rotation=rotation)
    content = bytearray(turned.read_bytes())
    identity = np.array([1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30], ">i4").tobytes()
    at = matrix_at(content)
    content[at : at + 36] = identity
    plain.write_bytes(content)
    height, width = size if rotation == 180 else size[::-1]
    info = probe(turned)
    assert (info.rotation, info.height, info.width) == (rotation, height, width)
    assert probe(plain).rotation == 0
    before, after = (
        read(path, ClipRequest(0, 8, size=shape), motion=True)[0]
        for path, shape in ((plain, size), (turned, (height, width)))
    )
    assert np.array_equal(rgb(after), np.rot90(rgb(before), -rotation // 90, axes=(1, 2)))
    expected = {90: (2, 3), 180: (-3, 2), 270: (-2, -3)}[rotation]  # clockwise, y down: (x, y) -> (-y, x)
    assert after.mv is not None
    assert after.valid is not None
    assert after.mv.shape == (8, -(-height // 8), -(-width // 8), 2)
    for t in range(1, 8):
        assert np.abs(np.median(after.mv[t][after.valid[t]], 0) - expected).max() <= 0.25
    if size == (128, 160):  # whole cells: the grid itself turns
        assert before.valid is not None
        assert np.array_equal(after.valid, np.rot90(before.valid, -rotation // 90, axes=(1, 2)))

    box = Box(10, 22, 64, 48)
    crop = rgb(read(turned, ClipRequest(0, 8, box, (64, 48)))[0])
    assert_part(crop, rgb(after)[:, 10:74, 22:70])


def test_the_picture_is_turned_the_way_a_player_turns_it(tmp_path: Path) -> None:
    """A bar at the top, turned clockwise by 90 degrees, stands at the right; the file's matrix says so."""
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:12] = 255
    path = tmp_path / "turned.mp4"
    encode(path, [picture] * 3, codec="mpeg4", rotation=90)
    shown = rgb(read(path, ClipRequest(0, 1, size=(96, 64)))[0])[0]
    assert shown[:, -8:].min() > 200
    assert shown[:, :-16].max() < 60
    content = path.read_bytes()
    # a b u c d v x y w in 16.16 (u, v, w in 2.30): (p, q) -> (a p + c q, b p + d q).
    a, b, _, c, d, *_ = np.frombuffer(content, ">i4", 9, matrix_at(content)) >> 16
    assert (a, b, c, d) == (0, 1, -1, 0), "right becomes down, down becomes left"


def test_coded_box_and_upright_on_numbered_pixels() -> None:
    decoded = np.arange(48 * 80).reshape(48, 80)
    for rotation in (0, 90, 180, 270):
        shown = np.rot90(decoded, -rotation // 90)
        height, width = shown.shape
        box = Box(7, 13, 20, 16)
        at = coded_box(box, rotation, height, width)
        part = decoded[at.top : at.top + at.height, at.left : at.left + at.width]
        assert np.array_equal(np.rot90(part, -rotation // 90), shown[7:27, 13:29])
        cells = np.arange(60, dtype=np.float32).reshape(1, 6, 10, 1).repeat(2, -1)
        mv, valid = upright(cells, cells[..., 0] % 2 == 0, rotation, height, width)
        assert np.array_equal(np.abs(mv[..., 0]), np.rot90(cells[..., 0], -rotation // 90, axes=(1, 2)))
        assert np.array_equal(valid, np.abs(mv[..., 0]) % 2 == 0)


def test_frames_of_other_tests_are_pictures(tmp_path: Path) -> None:
    """The encoded texture looks like the texture: tests that compare with it are not vacuous."""
    path = make(tmp_path / "made.avi", 3, -2, frames=3)
    for frame, picture in zip(linear(path, (144, 176)), moving(3, 3, -2), strict=True):
        assert np.abs(frame.to_ndarray().astype(int) - picture).mean() < 12
