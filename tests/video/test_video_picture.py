"""RGB: crop, scale, rotation, formats."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pytest
from video_made import linear, linear_planes, make, moving, planes_of, to_444

from mvcgc.video import Box, Clip, ClipRequest, Matrix, MotionField, Reader, encode, probe, to_grey, to_rgb
from mvcgc.video.colour import from_jpeg
from mvcgc.video.info import UPRIGHT, Orientation
from mvcgc.video.orientation import coded_box, turned, upright
from mvcgc.video.picture import EXACT, SCALERS, Converter


def read(path: Path, *requests: ClipRequest, motion: bool = False) -> list[Clip]:
    with Reader(path, probe(path)) as reader:
        return reader.read(requests, motion)


def planes(clip: Clip) -> np.ndarray:
    assert clip.planes is not None
    return clip.planes


def assert_part(crop: np.ndarray, part: np.ndarray) -> None:
    """Equal, but for the colour at the edges, which is interpolated from the crop alone."""
    assert np.array_equal(crop[..., 2:-2, 2:-2], part[..., 2:-2, 2:-2])
    assert np.abs(crop.astype(int) - part).max() < 24


def test_an_unscaled_crop_is_the_part_of_the_whole_picture(tmp_path: Path) -> None:
    path = make(tmp_path / "made.avi", 3, -2, frames=4)
    whole = planes(read(path, ClipRequest(0, 4, size=(144, 176)))[0])
    even = Box(20, 34, 60, 88)
    part = planes(read(path, ClipRequest(0, 4, even, (60, 88)))[0])
    assert_part(part, whole[:, :, 20:80, 34:122])
    odd = planes(read(path, ClipRequest(0, 4, Box(21, 35, 60, 88), (60, 88)))[0])
    assert np.array_equal(odd[0], whole[0, :, 21:81, 35:123]), "only the colour may lie a pixel off"
    assert np.abs(odd.astype(int) - whole[:, :, 21:81, 35:123]).mean() < 2


def test_a_scaled_crop_is_the_scaled_part(tmp_path: Path) -> None:
    path = make(tmp_path / "made.mp4", 3, -2, frames=3, codec="h264")
    whole = planes(read(path, ClipRequest(2, 1, size=(144, 176)))[0])[:, 0]
    scaled = planes(read(path, ClipRequest(2, 1, Box(16, 24, 96, 128), (48, 64)))[0])[:, 0]
    mean = whole[:, 16:112, 24:152].reshape(3, 48, 2, 64, 2).mean((2, 4))
    assert np.abs(scaled - mean).mean() < 4
    assert scaled.shape == (3, 48, 64)


def test_many_sizes_in_several_threads(tmp_path: Path) -> None:
    """More than scalers are kept, again and again; each thread has its own."""
    path = make(tmp_path / "made.avi", 2, 1, frames=6)
    info, sizes = probe(path), [(16 + n, 90 - 3 * n) for n in range(SCALERS + 4)]
    expected = {size: linear_planes(path, size) for size in sizes}

    def same(size: tuple[int, int]) -> bool:
        with Reader(path, info) as reader:
            (clip,) = reader.read([ClipRequest(0, 6, size=size)], motion=False)
        return np.array_equal(clip.planes, expected[size])

    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(same, 3 * sizes))
    assert all(map(same, [*sizes, *reversed(sizes)]))


def test_odd_sides(tmp_path: Path) -> None:
    path = make(tmp_path / "made.avi", 3, -2, frames=3, size=(75, 91))
    small = planes(read(path, ClipRequest(0, 3, size=(33, 41)))[0])
    assert np.array_equal(small, linear_planes(path, (33, 41)))
    whole = planes(read(path, ClipRequest(0, 3, size=(75, 91)))[0])
    assert np.array_equal(whole, linear_planes(path, (75, 91)))
    assert np.array_equal(planes(read(path, ClipRequest(0, 3, Box(0, 0, 75, 91), (75, 91)))[0]), whole)
    part = planes(read(path, ClipRequest(0, 3, Box(8, 10, 51, 33), (51, 33)))[0])
    assert np.abs(part.astype(int) - whole[:, :, 8:59, 10:43]).mean() < 3


@pytest.mark.parametrize(
    "name", ["yuv444p", "yuv422p", "yuvj420p", "yuv420p10le", "gray", "rgb24", "nv12", "yuv411p"]
)
def test_other_pixel_formats_are_cropped_alike(name: str) -> None:
    frame = av.VideoFrame.from_ndarray(next(moving(1, 0, 0)), format="rgb24").reformat(format=name)
    whole = to_444(frame, frame.height, frame.width).to_ndarray()
    out, matrix = converted(frame)
    assert matrix is Matrix.BT601
    assert np.abs(out.astype(int) - whole[:, 20:60, 32:96]).mean() < 2


def converted(frame: av.VideoFrame) -> tuple[np.ndarray, Matrix]:
    planes = np.empty((3, 1, 40, 64), np.uint8)
    matrix = Converter(UPRIGHT, Box(20, 32, 40, 64), planes).convert(frame, 0)
    return planes[:, 0], matrix


@pytest.mark.parametrize(
    ("colorspace", "matrix"),
    [(1, Matrix.BT709), (2, Matrix.BT601), (5, Matrix.BT601), (6, Matrix.BT601), (9, Matrix.BT2020)],
)
@pytest.mark.parametrize("full_range", [False, True])
def test_the_colours_are_those_of_the_tags(colorspace: int, matrix: Matrix, full_range: bool) -> None:
    """Against the equations, on the made planes at their own size; chroma is interpolated, luma exact."""
    picture = av.VideoFrame.from_ndarray(next(moving(1, 0, 0)), format="rgb24")
    frame = picture.reformat(format="yuv444p")
    frame.colorspace, frame.color_range = colorspace, 2 if full_range else 1
    out, found = converted(frame)
    assert found is matrix
    y, cb, cr = frame.to_ndarray()[:, 20:60, 32:96].astype(float)
    red, blue = {
        Matrix.BT601: (0.299, 0.114),
        Matrix.BT709: (0.2126, 0.0722),
        Matrix.BT2020: (0.2627, 0.0593),
    }[matrix]
    y, chroma = (y / 255, 255) if full_range else ((y - 16) / 219, 224)
    r, b = y + 2 * (1 - red) * (cr - 128) / chroma, y + 2 * (1 - blue) * (cb - 128) / chroma
    g = (y - red * r - blue * b) / (1 - red - blue)
    expected = 255 * np.stack([r, g, b], -1).clip(0, 1)
    shown = to_rgb(out, found).astype(float)
    # Full range loses up to a step of the narrower one in each plane, and libswscale cuts chroma off there.
    assert np.abs(shown - expected).max() < (4 if full_range else 0.51)
    assert np.abs(shown - expected).mean() < (1.5 if full_range else 0.3)


def test_another_colour_space_becomes_bt601() -> None:
    frame = av.VideoFrame.from_ndarray(next(moving(1, 0, 0)), format="rgb24").reformat(format="yuv444p")
    frame.colorspace = 7  # SMPTE 240M
    out, matrix = converted(frame)
    assert matrix is Matrix.BT601
    expected = frame.reformat(format="rgb24", interpolation=EXACT).to_ndarray()[20:60, 32:96]
    assert np.abs(to_rgb(out, matrix).astype(float) - expected).mean() < 2


def test_grey_and_jpeg_planes_are_the_other_range_and_back() -> None:
    full = np.arange(256, dtype=np.uint8)
    assert np.array_equal(to_grey(full), np.rint((full.clip(16, 235) - 16.0) * 255 / 219))
    limited = from_jpeg(np.stack([full, full, full]))
    assert (limited[0].min(), limited[0].max()) == (16, 235)
    assert np.abs(to_grey(limited[0]).astype(int) - full).max() <= 1
    assert np.abs((limited[1:].astype(float) - 128) * 255 / 224 + 128 - full).max() < 0.6


def test_rgb_of_a_clip(tmp_path: Path) -> None:
    path = make(tmp_path / "made.avi", 3, -2, frames=4)
    (clip, none) = read(path, ClipRequest(0, 4, size=(144, 176)), ClipRequest(1, 2), motion=True)
    assert (clip.rgb.shape, clip.rgb.dtype) == ((4, 144, 176, 3), np.uint8)
    original = np.stack(list(moving(4, 3, -2)))
    assert np.abs(clip.rgb.astype(int) - original).mean() < 8
    with pytest.raises(ValueError, match="without pictures"):
        _ = none.rgb


def matrix_at(content: bytes | bytearray) -> int:
    """Where an .mp4 file holds its one track's display matrix: 9 numbers behind 40 bytes of other fields."""
    return content.index(b"tkhd") + 44


ONE = 1 << 16
MATRICES = {
    # (a, b, c, d) in 16.16: the decoded (x, y) is shown at (a x + c y, b x + d y).
    (ONE, 0, 0, ONE): lambda shown: shown,
    (0, ONE, -ONE, 0): lambda shown: np.rot90(shown, -1, (2, 3)),
    (-ONE, 0, 0, -ONE): lambda shown: shown[:, :, ::-1, ::-1],
    (0, -ONE, ONE, 0): lambda shown: np.rot90(shown, 1, (2, 3)),
    (-ONE, 0, 0, ONE): lambda shown: shown[:, :, :, ::-1],
    (ONE, 0, 0, -ONE): lambda shown: shown[:, :, ::-1],
    (0, ONE, ONE, 0): lambda shown: shown.swapaxes(2, 3),
    (0, -ONE, -ONE, 0): lambda shown: shown[:, :, ::-1, ::-1].swapaxes(2, 3),
}


def with_matrix(path: Path, source: Path, matrix: tuple[int, ...]) -> Path:
    """A copy of an .mp4 file with the display matrix (a, b, c, d)."""
    content = bytearray(source.read_bytes())
    a, b, c, d = matrix
    at = matrix_at(content)
    content[at : at + 36] = np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30], ">i4").tobytes()
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("size", [(128, 160), (100, 148)])
def test_all_eight_orientations_of_frames_and_vectors(
    tmp_path: Path, matrix: tuple[int, ...], size: tuple[int, int]
) -> None:
    plain = make(tmp_path / "plain.mp4", 3, -2, frames=8, size=size, codec="h264", bframes=2)
    path = with_matrix(tmp_path / "turned.mp4", plain, matrix)
    info = probe(path)
    swapped = matrix[0] == 0
    height, width = size[::-1] if swapped else size
    assert (info.height, info.width) == (height, width)
    before = read(plain, ClipRequest(0, 8, size=size), motion=True)[0]
    after = read(path, ClipRequest(0, 8, size=(height, width)), motion=True)[0]
    assert np.array_equal(planes(after), MATRICES[matrix](planes(before)))
    a, b, c, d = (np.sign(value) for value in matrix)
    expected = a * 3 + c * -2, b * 3 + d * -2
    assert after.mv is not None
    assert after.valid is not None
    assert before.valid is not None
    assert after.mv.shape == (8, -(-height // 8), -(-width // 8), 2)
    for t in range(1, 8):
        assert np.abs(np.median(after.mv[t][after.valid[t]], 0) - expected).max() <= 0.25
    if size == (128, 160):  # whole cells: the grid itself turns
        assert np.array_equal(after.valid, MATRICES[matrix](before.valid[None])[0])

    box = Box(10, 22, 64, 48)
    crop = planes(read(path, ClipRequest(0, 8, box, (64, 48)))[0])
    assert_part(crop, planes(after)[:, :, 10:74, 22:70])


@pytest.mark.parametrize(
    "matrix",
    [
        (0, 0, 0, 0),
        (ONE, 0, 0, 0),
        (0, 0, 0, ONE),
        (ONE, ONE, 0, 0),
        (ONE, ONE, ONE, ONE),
        (46341, 46341, -46341, 46341),  # 45 degrees
        (-(1 << 31), 1, (1 << 31) - 1, -5),
    ],
)
def test_a_nonsensical_matrix_is_ignored(tmp_path: Path, matrix: tuple[int, ...]) -> None:
    plain = make(tmp_path / "plain.mp4", 3, -2, frames=8, codec="h264")
    info = probe(with_matrix(tmp_path / "odd.mp4", plain, matrix))
    assert (info.orientation, info.height, info.width) == (UPRIGHT, 144, 176)


def test_a_matrix_may_scale(tmp_path: Path) -> None:
    plain = make(tmp_path / "plain.mp4", 3, -2, frames=8, codec="h264")
    info = probe(with_matrix(tmp_path / "scaled.mp4", plain, (0, 3 * ONE, -ONE // 2, 0)))
    assert info.orientation == Orientation(90, mirrored=False)


def test_the_picture_is_turned_the_way_a_player_turns_it(tmp_path: Path) -> None:
    """A bar at the top, turned clockwise by 90 degrees, stands at the right; the file's matrix says so."""
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:12] = 255
    path = tmp_path / "turned.mp4"
    encode(path, [picture] * 3, codec="mpeg4", rotation=90)
    shown = read(path, ClipRequest(0, 1, size=(96, 64)))[0].rgb[0]
    assert shown[:, -8:].min() > 200
    assert shown[:, :-16].max() < 60
    content = path.read_bytes()
    # a b u c d v x y w in 16.16 (u, v, w in 2.30): (p, q) -> (a p + c q, b p + d q).
    a, b, _, c, d, *_ = np.frombuffer(content, ">i4", 9, matrix_at(content)) >> 16
    assert (a, b, c, d) == (0, 1, -1, 0), "right becomes down, down becomes left"


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_coded_box_and_upright_on_numbered_pixels(rotation: int, mirrored: bool) -> None:
    decoded = np.arange(48 * 80).reshape(48, 80)
    orientation = Orientation(rotation, mirrored)
    shown = np.rot90(decoded[:, ::-1] if mirrored else decoded, -rotation // 90)
    assert np.array_equal(turned(decoded, orientation), shown)
    height, width = shown.shape
    box = Box(7, 13, 20, 16)
    at = coded_box(box, orientation, height, width)
    part = decoded[at.top : at.top + at.height, at.left : at.left + at.width]
    assert np.array_equal(turned(part, orientation), shown[7:27, 13:29])
    cells = np.arange(60, dtype=np.float32).reshape(1, 6, 10, 1).repeat(2, -1)
    even = cells[..., 0] % 2 == 0
    field = upright(MotionField.of(cells, even), orientation, height, width)
    assert np.array_equal(np.abs(field.mv[0, ..., 0]), turned(cells[0, ..., 0] * even[0], orientation))
    assert np.array_equal(field.valid[0], turned(even[0], orientation))


def test_frames_of_other_tests_are_pictures(tmp_path: Path) -> None:
    """The encoded texture looks like the texture: tests that compare with it are not vacuous."""
    path = make(tmp_path / "made.avi", 3, -2, frames=3)
    for frame, picture in zip(linear(path, (144, 176)), moving(3, 3, -2), strict=True):
        assert np.abs(to_rgb(planes_of(frame), Matrix.BT601).astype(int) - picture).mean() < 12


@pytest.mark.parametrize(
    "given",
    [
        np.empty((3, 4, 32, 48), np.uint8),
        np.empty((3, 3, 64, 64), np.uint8),
        np.empty((3, 4, 64, 80), np.uint8)[..., :64],
        np.empty((4, 64, 64, 3), np.uint8).transpose(3, 0, 1, 2),
    ],
    ids=["size", "frames", "padded", "channels last"],
)
def test_planes_that_do_not_fit_are_refused(tmp_path: Path, given: np.ndarray) -> None:
    path = make(tmp_path / "made.avi", 3, -2, frames=8)
    with Reader(path, probe(path)) as reader, pytest.raises(ValueError, match=r"uint8 \(3, 4, 64, 64\)"):
        reader.read([ClipRequest(3, 4, size=(64, 64))], False, [given])


def test_pictures_go_into_a_part_of_a_batch(tmp_path: Path) -> None:
    path = make(tmp_path / "made.avi", 3, -2, frames=8)
    request = ClipRequest(3, 4, size=(64, 60))
    batch = np.zeros((2, 3, 6, 64, 60), np.uint8)
    with Reader(path, probe(path)) as reader:
        (own,) = reader.read([request], False)
        reader.read([request], False, [batch[1, :, 1:5]])
    assert np.array_equal(batch[1, :, 1:5], planes(own))
    assert not batch[0].any()
    assert not batch[1, :, (0, 5)].any()
