"""Sampling: what is drawn, how often, and that it depends on (seed, epoch, video) alone."""

import math
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvcgc.data.clips.sampling import (
    COLUMNS,
    AugmentConfig,
    ClipConfig,
    Draw,
    MotionConfig,
    centre_crop,
    draw_pair,
    permutation,
    random_crop,
    spread,
    ten_crops,
    windows,
)
from mvcgc.errors import UserError
from mvcgc.video import Box

CLIP = ClipConfig(frames=16, size=48)


def pair(
    key: str = "a.avi", epoch: int = 0, seed: int = 0, frames: int = 40, **augment: object
) -> tuple[Draw, Draw]:
    config = replace(AugmentConfig(), **augment)
    return draw_pair(seed, epoch, key, frames_total=frames, width=320, height=240, clip=CLIP, augment=config)


def test_a_pair_is_the_same_in_another_process_with_other_hashing() -> None:
    program = (
        "from mvcgc.data.clips.sampling import *; "
        "print(draw_pair(3, 5, 'é/a.avi', frames_total=99, width=320, height=240, clip=ClipConfig(16, 48), "
        "augment=AugmentConfig()), permutation(3, 5, 10))"
    )
    elsewhere = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "77", "PATH": ""},
    ).stdout.strip()
    here = draw_pair(
        3, 5, "é/a.avi", frames_total=99, width=320, height=240, clip=CLIP, augment=AugmentConfig()
    )
    assert elsewhere == f"{here} {permutation(3, 5, 10)}"


def test_a_known_pair_stays_what_it_is() -> None:
    """Changing the draws changes every result: it must be meant (and the stages' code version raised)."""
    first, second = pair()
    assert (first.start, first.crop, first.flip, first.order) == (11, Box(0, 6, 226, 252), True, 7)
    assert (second.start, second.crop, second.flip, second.order) == (11, Box(56, 118, 132, 122), False, 5)
    assert first.sigma == 1.2298067538033808
    assert permutation(0, 0, 8) == [0, 6, 4, 3, 2, 5, 7, 1]


def test_seed_epoch_and_video_each_change_the_draw() -> None:
    draws = {pair(), pair(key="b.avi"), pair(epoch=1), pair(seed=1)}
    assert len(draws) == 4


def test_about_half_of_the_pairs_share_their_time_and_none_else() -> None:
    pairs = [pair(epoch=e) for e in range(1000)]
    same = sum(a.start == b.start for a, b in pairs)
    assert 440 <= same <= 560
    assert all(a.start == b.start for a, b in (pair(epoch=e, same_time_p=1.0) for e in range(50)))
    assert all(a.start != b.start for a, b in (pair(epoch=e, same_time_p=0.0) for e in range(50)))
    assert all(a.crop != b.crop for a, b in pairs[:50])


def test_starts_are_uniform_over_every_place_a_clip_fits() -> None:
    for same in (0.0, 1.0):
        pairs = [pair(epoch=e, frames=20, same_time_p=same) for e in range(1000)]
        for which in (0, 1):
            counts = Counter(p[which].start for p in pairs)
            assert set(counts) == {0, 1, 2, 3, 4}
            assert all(150 <= count <= 250 for count in counts.values())


def test_a_video_as_long_as_a_clip_has_one_start() -> None:
    assert {draw.start for e in range(20) for draw in pair(epoch=e, frames=16, same_time_p=0.0)} == {0}


def test_photometric_parameters_keep_to_their_ranges_and_probabilities() -> None:
    draws = [draw for e in range(2000) for draw in pair(epoch=e)]
    share = {
        "flip": np.mean([d.flip for d in draws]),
        "jitter": np.mean([d.brightness != 1 for d in draws]),
        "grey": np.mean([d.grey for d in draws]),
        "blur": np.mean([d.sigma > 0 for d in draws]),
    }
    assert share == pytest.approx({"flip": 0.5, "jitter": 0.8, "grey": 0.2, "blur": 0.5}, abs=0.03)
    jittered = [d for d in draws if d.brightness != 1]
    for name, limit in (("brightness", 0.4), ("contrast", 0.4), ("saturation", 0.4)):
        values = [getattr(d, name) - 1 for d in jittered]
        assert max(map(abs, values)) <= limit
        assert np.std(values) == pytest.approx(limit / math.sqrt(3), rel=0.05)
    assert max(abs(d.hue) for d in jittered) <= 0.1
    assert {d.order for d in jittered} == set(range(24))
    assert all(0.1 <= d.sigma <= 2 for d in draws if d.sigma)
    still = [d for d in draws if d.brightness == 1]
    assert {(d.contrast, d.saturation, d.hue, d.order) for d in still} == {(1.0, 1.0, 0.0, 0)}


def test_crops_have_the_area_and_aspect_asked_for() -> None:
    crops = [draw.crop for e in range(2000) for draw in pair(epoch=e)]
    areas = np.array([c.width * c.height / (320 * 240) for c in crops])
    aspects = np.array([c.width / c.height for c in crops])
    assert areas.min() >= 0.19
    assert areas.max() <= 1.0
    assert np.mean(areas < 0.4) > 0.2, "small crops are as likely as others"
    assert aspects.min() >= 3 / 4 * 0.97
    assert aspects.max() <= 4 / 3 * 1.03
    assert np.mean(np.log(aspects)) == pytest.approx(0, abs=0.05)
    assert len({(c.top, c.left) for c in crops}) > 500


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
    assert all(b - a <= frames // 2 for a, b in pairwise(starts))


def test_fewer_windows_are_evenly_spread() -> None:
    every = windows(160, 32)
    assert every == [0, 16, 32, 48, 64, 80, 96, 112, 128]
    assert windows(160, 32, 1) == [64]
    assert windows(160, 32, 3) == [16, 64, 112]
    assert windows(160, 32, 99) == every


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
    row = dict(zip(COLUMNS, centre_crop(320, 240, 0).row(), strict=True))
    assert row == {
        "flip": 0,
        "brightness": 1,
        "contrast": 1,
        "saturation": 1,
        "hue": 0,
        "order": 0,
        "grey": 0,
        "sigma": 0,
    }


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
        (lambda: AugmentConfig(area=[0.0, 1.0]), r"augment.area=\[0.0, 1.0\]"),
        (lambda: AugmentConfig(area=[0.5]), r"augment.area=\[0.5\]"),
        (lambda: AugmentConfig(jitter=[0.4, 0.4, 0.4]), r"augment.jitter=\[0.4, 0.4, 0.4\]"),
        (lambda: AugmentConfig(jitter=[0.4, 0.4, 0.4, 0.6]), "hue to 0.5"),
        (lambda: AugmentConfig(blur_p=1.5), "augment.blur_p=1.5: a probability is from 0 to 1"),
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
