"""Views: what the networks are shown of a clip, against slow or independent references."""

from pathlib import Path

import numpy as np
import pytest
from data_factories import HEIGHT, WIDTH, write_video

from mvcgc.data.clips.modalities import built_in, settings
from mvcgc.data.clips.modality import check_views, needs_vectors
from mvcgc.data.clips.motion import crop_motion
from mvcgc.data.clips.padding import Pad
from mvcgc.data.clips.reading import Format, read_views
from mvcgc.data.clips.sampling import ClipConfig, Draw, MotionConfig
from mvcgc.errors import UserError
from mvcgc.video import (
    Box,
    ClipRequest,
    FlowMethod,
    MotionField,
    Reader,
    VideoInfo,
    fill,
    flow,
    pool,
    probe,
    to_grey,
)

CLIP = ClipConfig(frames=8, size=32)
MOTION = MotionConfig(cell=8, size=24)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, VideoInfo]:
    path = write_video(tmp_path_factory.mktemp("views") / "v.avi", frames=30, dx=3, dy=-2)
    return path, probe(path)


def read(
    video: tuple[Path, VideoInfo], draws: list[Draw], *views: str, **sizes: object
) -> dict[str, np.ndarray]:
    mestimate = sizes.pop("mestimate", False)
    form = Format(built_in(*views), **{"clip": CLIP, "motion": MOTION, **sizes})
    arrays = form.empty(len(draws))
    read_views(*video, draws, form, arrays, mestimate=mestimate)
    return arrays


DRAWS = [
    Draw(9, Box(4, 8, 40, 60)),
    Draw(3, Box(0, 0, 64, 96)),
    Draw(9, Box(4, 8, 40, 60), flip=True),
    Draw(3, Box(10, 20, 32, 32)),
]


def cropped(field: MotionField, cell: int, crop: Box, size: int) -> np.ndarray:
    out = np.empty((len(field.owner), size, size, 2), np.float16)
    crop_motion(field, cell, crop, out)
    return out


def test_clips_come_in_the_order_of_the_draws_and_as_the_reader_reads_them(
    video: tuple[Path, VideoInfo],
) -> None:
    arrays = read(video, DRAWS, "rgb", "mv", "flow_dis")
    assert arrays["rgb"].shape == (4, 3, 8, 32, 32)
    assert arrays["rgb"].dtype == np.uint8
    for view in ("mv", "flow_dis"):
        assert arrays[view].shape == (4, 8, 24, 24, 2)
        assert arrays[view].dtype == np.float16
    with Reader(*video) as reader:
        for number, draw in enumerate(DRAWS):
            (large,) = reader.read([ClipRequest(draw.start, 8, draw.crop, (32, 32))], motion=True)
            (small,) = reader.read([ClipRequest(draw.start, 8, draw.crop, (24, 24))], motion=False)
            np.testing.assert_array_equal(arrays["rgb"][number], large.planes)
            expected = cropped(fill(large.field), 8, draw.crop, 24)
            np.testing.assert_array_equal(arrays["mv"][number], expected)
            dis = flow(to_grey(small.planes[0]), FlowMethod.DIS).astype(np.float16)
            np.testing.assert_array_equal(arrays["flow_dis"][number], dis)


def test_a_view_alone_is_the_same_as_with_others(video: tuple[Path, VideoInfo]) -> None:
    together = read(video, DRAWS, "rgb", "mv", "flow_dis")
    for view, expected in together.items():
        np.testing.assert_array_equal(read(video, DRAWS, view)[view], expected)


@pytest.mark.parametrize("pad", [Pad.left, Pad.loop])
def test_a_video_shorter_than_a_clip_is_padded(tmp_path: Path, pad: Pad) -> None:
    """Pictures and motion of the frames that there are, in their places; the others repeat them."""
    path = write_video(tmp_path / "v.avi", frames=5, dx=3, dy=-2)
    short = path, probe(path)
    views = ("rgb", "mv", "flow_dis")
    draws = [Draw(0, DRAWS[0].crop), Draw(0, DRAWS[1].crop), Draw(0, DRAWS[0].crop, flip=True)]
    padded = read(short, draws, *views, clip=ClipConfig(8, 32, pad))
    exact = read(short, draws, *views, clip=ClipConfig(5, 32))
    order = [0, 0, 0, 0, 1, 2, 3, 4] if pad is Pad.left else [0, 1, 2, 3, 4, 0, 1, 2]
    np.testing.assert_array_equal(padded["rgb"], exact["rgb"][:, :, order])
    for view in views[1:]:
        np.testing.assert_array_equal(padded[view], exact[view][:, order])


def test_vectors_of_the_video_encoded_again(video: tuple[Path, VideoInfo]) -> None:
    arrays = read(video, DRAWS, "rgb", "mv_coviar")
    np.testing.assert_array_equal(arrays["rgb"], read(video, DRAWS, "rgb")["rgb"])
    np.testing.assert_array_equal(read(video, DRAWS, "mv_coviar")["mv_coviar"], arrays["mv_coviar"])
    with Reader(*video, recode=True) as reader:
        for number, draw in enumerate(DRAWS):
            (clip,) = reader.read([ClipRequest(draw.start, 8)], motion=True)
            expected = cropped(fill(clip.field), 8, draw.crop, 24)
            np.testing.assert_array_equal(arrays["mv_coviar"][number], expected)


@pytest.mark.parametrize(("view", "side"), [("flow", 24), ("flow_dis", 24), ("flow_dis", 25)])
def test_low_flow_has_one_value_for_four_pixels(video: tuple[Path, VideoInfo], view: str, side: int) -> None:
    pytest.importorskip("cv2")
    motion = MotionConfig(8, side)
    fine, low = (
        read(video, DRAWS[:1], name, motion=motion)[name][0].astype(np.float32)
        for name in (view, f"{view}_low")
    )
    for y in range(0, side, 2):
        for x in range(0, side, 2):
            mean = fine[:, y : y + 2, x : x + 2].mean((1, 2), keepdims=True)
            np.testing.assert_allclose(
                low[:, y : y + 2, x : x + 2],
                np.broadcast_to(mean, low[:, y : y + 2, x : x + 2].shape),
                atol=0.02,
            )


def test_two_kinds_of_vectors_are_refused() -> None:
    with pytest.raises(UserError, match="own vectors or for new ones"):
        check_views(["mv", "mv_coviar"], settings())


def test_rgb_and_flow_of_one_size_share_the_pictures(video: tuple[Path, VideoInfo]) -> None:
    same = read(video, DRAWS[:1], "rgb", "flow_dis", motion=MotionConfig(8, 32))
    np.testing.assert_array_equal(
        same["flow_dis"][0], flow(to_grey(same["rgb"][0, 0]), FlowMethod.DIS).astype(np.float16)
    )


@pytest.mark.parametrize("crop", [Box(0, 0, 64, 96), Box(8, 16, 48, 36), Box(2, 6, 40, 80)])
def test_motion_is_that_of_the_cropped_and_resized_picture(video: tuple[Path, VideoInfo], crop: Box) -> None:
    """The content moves by (3, -2) source pixels a frame: known, and measured on the RGB that is shown."""
    arrays = read(
        video,
        [Draw(4, crop)],
        "mv",
        "flow_dis",
        motion=MotionConfig(8, 64),
    )
    known = np.array([3 * 64 / crop.width, -2 * 64 / crop.height])
    inner = (0, slice(1, None), slice(12, -12), slice(12, -12))
    for view, tolerance in (("mv", 0.25 * 64 / min(crop.width, crop.height)), ("flow_dis", 0.4)):
        median = np.median(arrays[view][inner].reshape(-1, 2).astype(float), axis=0)
        np.testing.assert_allclose(median, known, atol=tolerance, err_msg=view)


def slow_crop(field: np.ndarray, cell: int, crop: Box, size: int) -> np.ndarray:
    """Each output pixel looks up the cell under its centre."""
    out = np.zeros((len(field), size, size, 2), np.float32)
    for t in range(len(field)):
        for y in range(size):
            for x in range(size):
                row = int((crop.top + (y + 0.5) * crop.height / size) // cell)
                column = int((crop.left + (x + 0.5) * crop.width / size) // cell)
                dx, dy = field[t, row, column]
                out[t, y, x] = dx * size / crop.width, dy * size / crop.height
    return out


@pytest.mark.parametrize("cell", [8, 16, 32])
@pytest.mark.parametrize("crop", [Box(0, 0, HEIGHT, WIDTH), Box(6, 34, 58, 62), Box(62, 94, 2, 2)])
def test_cropping_motion_looks_up_the_cell_under_each_pixel(cell: int, crop: Box) -> None:
    rng = np.random.default_rng(0)
    shape = (3, -(-HEIGHT // cell), -(-WIDTH // cell), 2)
    field = rng.normal(size=shape).astype(np.float32)
    expected = slow_crop(field, cell, crop, 20)
    whole = MotionField.of(field, np.ones(shape[:3], bool))
    np.testing.assert_allclose(cropped(whole, cell, crop, 20), expected, rtol=1e-3, atol=1e-3)


def slow_fill(mv: np.ndarray, valid: np.ndarray) -> np.ndarray:
    out = np.zeros_like(mv)
    frames, rows, columns = valid.shape
    for t in range(frames):
        for r in range(rows):
            for c in range(columns):
                known = [s for s in range(frames) if valid[s, r, c]]
                if known:
                    out[t, r, c] = mv[min(known, key=lambda s: (abs(s - t), s)), r, c]
    return out


def test_gaps_take_the_nearest_frame_of_their_cell() -> None:
    rng = np.random.default_rng(1)
    for share in (0.0, 0.1, 0.5, 0.9, 1.0):
        valid = rng.random((9, 5, 4)) < share
        valid[rng.integers(9)] = False  # an I-frame
        mv = rng.normal(size=(9, 5, 4, 2)).astype(np.float32)
        mv[~valid] = np.nan  # never looked at
        expected = slow_fill(mv, valid)
        np.testing.assert_array_equal(fill(MotionField.of(mv, valid)).mv, expected)


def test_coarse_cells_are_means_of_fine_ones(video: tuple[Path, VideoInfo]) -> None:
    draw = Draw(0, Box(0, 0, HEIGHT, WIDTH))
    coarse = read(video, [draw], "mv", motion=MotionConfig(32, 24))["mv"][0]
    with Reader(*video) as reader:
        (clip,) = reader.read([ClipRequest(0, 8)], motion=True)
    pooled = pool(clip.field, 32)
    expected = slow_crop(slow_fill(pooled.mv, pooled.valid), 32, draw.crop, 24)
    np.testing.assert_allclose(coarse, expected, rtol=1e-3, atol=1e-3)


def test_codecs_without_vectors_are_matched_where_permitted(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mkv", frames=12, dx=3, dy=-2, codec="vp9")
    draw = Draw(2, Box(0, 0, HEIGHT, WIDTH))
    motion = MotionConfig(8, 64)
    found = read((path, probe(path)), [draw], "mv", motion=motion, mestimate=True)["mv"]
    median = np.median(found[0, 1:, 12:-12, 12:-12].reshape(-1, 2).astype(float), axis=0)
    np.testing.assert_allclose(median, [3 * 64 / WIDTH, -2 * 64 / HEIGHT], atol=0.5)


@pytest.mark.parametrize(
    ("views", "message"),
    [
        (
            ["rgb", "depth"],
            r"views=\['rgb', 'depth'\]: no view 'depth'; choose from rgb, mv, mv_coviar, flow, ",
        ),
        ([], r"views=\[\]: name one or more"),
        (["mv", "mv"], "name one or more different views"),
    ],
)
def test_views_that_cannot_be_are_named(views: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_views(views, settings())


def test_only_mv_needs_vectors() -> None:
    assert needs_vectors(settings(), ["rgb", "mv"])
    assert not needs_vectors(settings(), ["rgb", "flow"])
