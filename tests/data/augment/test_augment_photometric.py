"""``augment=strong``: what is drawn, how often, and that it depends on (seed, epoch, video) alone."""

import math
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from mvcgc.data.augment.base import Footage
from mvcgc.data.augment.photometric import Photometric
from mvcgc.data.clips.sampling import ClipConfig, Draw, uniforms
from mvcgc.errors import UserError
from mvcgc.video import Box

CLIP = ClipConfig(frames=16, size=48)


def pair(
    key: str = "a.avi", epoch: int = 0, seed: int = 0, frames: int = 40, **settings: object
) -> tuple[Draw, Draw]:
    augmentation = Photometric(replace(Photometric.Config(), **settings))
    return augmentation.draw(uniforms(seed, epoch, f"clips/{key}"), Footage(frames, 320, 240, CLIP))


def named(draw: Draw) -> dict[str, float]:
    return dict(zip(Photometric.columns, draw.parameters, strict=True))


def test_a_pair_is_the_same_in_another_process_with_other_hashing() -> None:
    program = (
        "from mvcgc.data.augment.base import *; from mvcgc.data.augment.photometric import *; "
        "from mvcgc.data.clips.sampling import *; "
        "part = Photometric(Photometric.Config()); footage = Footage(99, 320, 240, ClipConfig(16, 48)); "
        "print(part.draw(uniforms(3, 5, 'clips/é/a.avi'), footage), permutation(3, 5, 10))"
    )
    elsewhere = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "77", "PATH": "", "PYTHONPATH": ":".join(sys.path)},
    ).stdout.strip()
    from mvcgc.data.clips.sampling import permutation

    here = pair("é/a.avi", epoch=5, seed=3, frames=99)
    assert elsewhere == f"{here} {permutation(3, 5, 10)}"


def test_a_known_pair_stays_what_it_is() -> None:
    """Changing the draws changes every result: it must be meant (and the stages' code version raised)."""
    first, second = pair()
    assert (first.start, first.crop, first.flip) == (11, Box(0, 6, 226, 252), True)
    assert (second.start, second.crop, second.flip) == (11, Box(56, 118, 132, 122), False)
    assert (named(first)["order"], named(second)["order"]) == (7, 5)
    assert named(first)["sigma"] == 1.2298067538033808


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


@pytest.mark.parametrize("frames", [9, 15, 16])
def test_a_video_no_longer_than_a_clip_has_one_start(frames: int) -> None:
    assert {draw.start for e in range(20) for draw in pair(epoch=e, frames=frames, same_time_p=0.0)} == {0}


def test_photometric_parameters_keep_to_their_ranges_and_probabilities() -> None:
    clips = [draw for e in range(2000) for draw in pair(epoch=e)]
    draws = [named(clip) for clip in clips]
    share = {
        "flip": np.mean([clip.flip for clip in clips]),
        "jitter": np.mean([d["brightness"] != 1 for d in draws]),
        "grey": np.mean([d["grey"] for d in draws]),
        "blur": np.mean([d["sigma"] > 0 for d in draws]),
    }
    assert share == pytest.approx({"flip": 0.5, "jitter": 0.8, "grey": 0.2, "blur": 0.5}, abs=0.03)
    jittered = [d for d in draws if d["brightness"] != 1]
    for name, limit in (("brightness", 0.4), ("contrast", 0.4), ("saturation", 0.4)):
        values = [d[name] - 1 for d in jittered]
        assert max(map(abs, values)) <= limit
        assert np.std(values) == pytest.approx(limit / math.sqrt(3), rel=0.05)
    assert max(abs(d["hue"]) for d in jittered) <= 0.1
    assert {d["order"] for d in jittered} == set(range(24))
    assert all(0.1 <= d["sigma"] <= 2 for d in draws if d["sigma"])
    still = [d for d in draws if d["brightness"] == 1]
    assert {tuple(d.values())[1:5] for d in still} == {(1.0, 1.0, 0.0, 0.0)}


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


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"area": [0.0, 1.0]}, r"augment.area=\[0.0, 1.0\]"),
        ({"area": [0.5]}, r"augment.area=\[0.5\]"),
        ({"jitter": [0.4, 0.4, 0.4]}, r"augment.jitter=\[0.4, 0.4, 0.4\]"),
        ({"jitter": [0.4, 0.4, 0.4, 0.6]}, "hue to 0.5"),
        ({"blur_p": 1.5}, "augment.blur_p=1.5: a probability is from 0 to 1"),
        ({"same_time_p": -1.0}, "augment.same_time_p=-1.0: a probability"),
    ],
)
def test_settings_that_cannot_work_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Photometric.Config(**settings)
