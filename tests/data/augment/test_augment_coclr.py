"""CoCLR's augmentation: shares of 20,000 draws against those that its description gives."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvcgc.data.augment.base import Footage
from mvcgc.data.augment.coclr import CoCLR, Probe
from mvcgc.data.augment.colour import CHANNELS
from mvcgc.data.augment.photometric import Photometric
from mvcgc.data.clips.sampling import ClipConfig, Draw, uniforms
from mvcgc.errors import UserError

CLIP = ClipConfig(frames=32, size=128)
COUNT = 20_000
NEUTRAL = tuple(Photometric.columns.values())


def pairs(part: Photometric, count: int = COUNT, frames: int = 10_032) -> list[tuple[Draw, Draw]]:
    footage = Footage(frames, 320, 240, CLIP)
    return [part.draw(uniforms(0, epoch, "clips/a.avi"), footage) for epoch in range(count)]


@pytest.fixture(scope="module")
def drawn() -> list[tuple[Draw, Draw]]:
    return pairs(CoCLR(CoCLR.Config()))


def column(draws: list[Draw], name: str) -> np.ndarray:
    return np.array([draw.parameters[list(Photometric.columns).index(name)] for draw in draws])


def shares(draws: list[Draw]) -> dict[str, float]:
    return {
        "flip": np.mean([draw.flip for draw in draws]),
        "jitter": np.mean(column(draws, "brightness") != 1),
        "grey": np.mean(column(draws, "grey") > 0),
        "blur": np.mean(column(draws, "sigma") > 0),
    }


def test_each_clip_has_coclrs_shares(drawn: list[tuple[Draw, Draw]]) -> None:
    """Strong with 0.5 * 0.5 + 0.5 * 0.3 = 0.4; then jitter 0.8, grey 0.2, blur 0.5."""
    for which in (0, 1):
        found = shares([pair[which] for pair in drawn])
        assert found == pytest.approx({"flip": 0.5, "jitter": 0.32, "grey": 0.08, "blur": 0.2}, abs=0.01)


def test_few_pairs_are_changed_on_both_sides(drawn: list[tuple[Draw, Draw]]) -> None:
    changed = np.array([[draw.parameters != NEUTRAL for draw in pair] for pair in drawn])
    some = 1 - 0.2 * 0.8 * 0.5  # of the strong transforms
    assert changed.all(1).mean() == pytest.approx(0.5 * (0.3 * some) ** 2, abs=0.01)
    strong = pairs(Photometric(Photometric.Config()), 4000)
    both = np.mean([all(draw.parameters != NEUTRAL for draw in pair) for pair in strong])
    assert both == pytest.approx(some**2, abs=0.02)


def test_half_of_the_pairs_are_one_clip_of_which_one_copy_may_change(
    drawn: list[tuple[Draw, Draw]],
) -> None:
    one = [pair for pair in drawn if pair[0].start == pair[1].start]
    assert len(one) / COUNT == pytest.approx(0.5, abs=0.01)
    assert np.mean([first.crop != second.crop for first, second in one]) > 0.99
    changed = np.array([[draw.parameters != NEUTRAL for draw in pair] for pair in one])
    assert changed.sum(1).max() == 1
    assert changed.mean(0) == pytest.approx([0.46, 0.46], abs=0.015)


def test_grey_is_any_one_channel(drawn: list[tuple[Draw, Draw]]) -> None:
    counts = Counter(column(list(itertools.chain(*drawn)), "grey"))
    assert set(counts) == {0, *CHANNELS}
    total = sum(counts[channel] for channel in CHANNELS)
    assert [counts[channel] / total for channel in CHANNELS] == pytest.approx([1 / 3] * 3, abs=0.03)


@pytest.mark.parametrize("part", [CoCLR(CoCLR.Config()), Probe(Probe.Config())])
def test_starts_are_uniform_but_for_the_last(part: Photometric) -> None:
    found = pairs(part, 2000, frames=36)
    for which in (0, 1):
        counts = Counter(pair[which].start for pair in found)
        assert set(counts) == {0, 1, 2, 3}
        assert all(430 <= count <= 570 for count in counts.values())


def test_the_two_clips_of_a_pair_are_independent() -> None:
    part = CoCLR(CoCLR.Config(same_time_p=0.0))
    counts = Counter((first.start, second.start) for first, second in pairs(part, 2000, frames=34))
    assert set(counts) == {(a, b) for a in (0, 1) for b in (0, 1)}
    assert all(430 <= count <= 570 for count in counts.values())


@given(st.integers(18, 34), st.floats(0, 1), st.floats(0, 1))
def test_short_videos_have_a_start(frames: int, same: float, strong: float) -> None:
    part = CoCLR(CoCLR.Config(same_time_p=same, strong_p=strong))
    for pair in pairs(part, 5, frames):
        assert all(0 <= draw.start <= max(frames - 32, 0) for draw in pair)


def test_a_classifier_sees_jitter_alone() -> None:
    found = [first for first, _ in pairs(Probe(Probe.Config()), 4000)]
    assert shares(found) == pytest.approx({"flip": 0.5, "jitter": 0.3, "grey": 0, "blur": 0}, abs=0.02)


def test_probabilities_are_checked() -> None:
    with pytest.raises(UserError, match=r"augment.strong_p=1.3: a probability is from 0 to 1"):
        CoCLR.Config(strong_p=1.3)
