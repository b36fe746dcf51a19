"""Sampling: what is drawn, how often, and that it depends on (seed, epoch, video) alone."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvcgc.data.clips.sampling import (
    ClipConfig,
    Draw,
    MotionConfig,
    centre_crop,
    permutation,
    random_crop,
    spread,
    starts_of,
    ten_crops,
    windows,
)
from mvcgc.errors import UserError
from mvcgc.video import Box


@given(
    st.integers(16, 400),
    st.integers(16, 400),
    st.floats(0.01, 1),
    st.lists(st.floats(0, 1, exclude_max=True), min_size=22, max_size=22),
)
def test_crops_always_lie_within_the_picture_on_the_grid_of_the_chroma(
    width: int, height: int, least: float, numbers: list[float]
) -> None:
    box = random_crop(iter(numbers * 3), width, height, least, 1.0)
    box.check_within(height, width)
    assert all(value % 2 == 0 for value in (box.top, box.left, box.height, box.width))


def test_a_picture_too_long_for_any_aspect_gets_its_centre() -> None:
    box = random_crop(iter([0.99, 0.5] * 10), 400, 20, 0.9, 1.0)
    assert box == Box(0, (400 - 26) // 4 * 2, 20, 26)


@given(st.integers(2, 64), st.integers(0, 200))
def test_windows_cover_every_frame(frames: int, more: int) -> None:
    total = frames + more
    starts = windows(total, frames)
    assert starts[0] == 0
    assert starts[-1] == total - frames
    assert starts == sorted(set(starts))
    assert {t for s in starts for t in range(s, s + frames)} == set(range(total))
    assert all(b - a <= max(frames // 2 - 1, 1) for a, b in pairwise(starts))


def test_fewer_windows_are_evenly_spread() -> None:
    every = windows(160, 32)
    assert every == [0, 15, 30, 45, 60, 75, 90, 105, 120, 128]
    assert windows(160, 32, 1) == [75]
    assert windows(160, 32, 3) == [15, 75, 120]
    assert windows(160, 32, 99) == every


@pytest.mark.parametrize("frames", [18, 31, 32])
def test_a_video_no_longer_than_a_window_has_one(frames: int) -> None:
    assert windows(frames, 32) == windows(frames, 32, 1) == [0]
    assert starts_of(frames, 32) == 1


def test_ten_crops_are_corners_and_centre_twice() -> None:
    draws = ten_crops(320, 240, 7)
    side = 210
    boxes = [
        Box(0, 0, side, side),
        Box(0, 110, side, side),
        Box(30, 0, side, side),
        Box(30, 110, side, side),
        Box(14, 54, side, side),
    ]
    assert draws == [Draw(7, box, flip) for box in boxes for flip in (False, True)]
    assert centre_crop(320, 240, 7) == draws[8]


def test_neutral_draws_do_nothing() -> None:
    assert centre_crop(320, 240, 0).row() == (0.0,)


def test_a_permutation_stays_what_it_is() -> None:
    assert permutation(0, 0, 8) == [0, 6, 4, 3, 2, 5, 7, 1]


@given(st.integers(0, 5), st.integers(0, 5), st.integers(1, 200))
def test_an_epoch_visits_every_video_once(seed: int, epoch: int, count: int) -> None:
    assert sorted(permutation(seed, epoch, count)) == list(range(count))


def test_epochs_and_seeds_have_their_own_order() -> None:
    assert len({tuple(permutation(s, e, 50)) for s in range(3) for e in range(3)}) == 9


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ClipConfig(frames=1), "clip.frames=1"),
        (lambda: ClipConfig(size=8), "clip.size=8"),
        (lambda: MotionConfig(cell=12), "motion.cell=12: codecs move blocks of 8 pixels; use 8, 16"),
        (lambda: MotionConfig(cell=4), "motion.cell=4"),
        (lambda: MotionConfig(size=2), "motion.size=2"),
    ],
)
def test_settings_that_cannot_work_are_named(make: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()


def test_what_is_spread_is_even_and_in_order() -> None:
    assert spread(range(10, 20), 3) == [11, 15, 18]
    assert spread(range(10, 20), 1) == [15]
    assert spread(range(10, 20), 0) == []
    assert spread([4, 5], 3) == [4, 5]
