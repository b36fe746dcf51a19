"""Padding of videos that are shorter than a clip."""

import numpy as np
import pytest

from mvcgc.data.clips.padding import Pad, covered, fill_gaps
from mvcgc.data.clips.sampling import ClipConfig
from mvcgc.data.index.prepare import DatasetConfig
from mvcgc.errors import UserError


def padded(pad: Pad, video: int, clip: int) -> list[int]:
    place = covered(pad, video, clip)
    frames = np.full((clip, 2), -1)
    frames[place] = np.arange(video)[: place.stop - place.start, None]
    fill_gaps(frames, place)
    return frames[:, 0].tolist()


def test_left_repeats_the_first_frame_before_the_video() -> None:
    assert padded(Pad.left, 3, 7) == [0, 0, 0, 0, 0, 1, 2]
    assert padded(Pad.left, 1, 3) == [0, 0, 0]


def test_loop_begins_again_as_often_as_it_takes() -> None:
    assert padded(Pad.loop, 3, 8) == [0, 1, 2, 0, 1, 2, 0, 1]
    assert padded(Pad.loop, 5, 8) == [0, 1, 2, 3, 4, 0, 1, 2]


@pytest.mark.parametrize("pad", list(Pad))
@pytest.mark.parametrize("video", [4, 9])
def test_long_enough_videos_fill_their_clips(pad: Pad, video: int) -> None:
    assert padded(pad, video, 4) == [0, 1, 2, 3]


def test_without_padding_there_are_no_short_videos() -> None:
    with pytest.raises(AssertionError, match="3 frames, a clip takes 4"):
        covered(Pad.none, 3, 4)


def test_the_dataset_says_how_short_a_video_may_be() -> None:
    assert Pad.left.least(32, 18) == Pad.loop.least(32, 18) == 18
    assert Pad.left.least(32, 34) == Pad.none.least(32, 34) == 34
    assert Pad.none.least(32, 18) == 32
    assert {pad.least(32, 0) for pad in Pad} == {32}
    assert ClipConfig().pad is Pad.left


@pytest.mark.parametrize("frames", [-1, 1])
def test_lengths_that_cannot_be_are_named(frames: int) -> None:
    with pytest.raises(UserError, match=f"dataset.min_frames={frames}: give 2 frames or more, or 0"):
        DatasetConfig(min_frames=frames)
