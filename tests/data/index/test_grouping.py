"""Which file names tell of one source."""

import pytest

from mvcgc.data.index.layouts.grouping import groups_by_name, source_of

CUT = [
    ("v_Archery_g07_c02", "v_Archery_g07"),
    ("scene12_part3", "scene12"),
    ("scene_12_part_3", "scene_12"),
    ("abc_0001", "abc"),
    ("abc-1", "abc"),
    ("abc.1", "abc"),
    ("abc(1)", "abc"),
    ("abc (12)", "abc"),
    ("HandWash_002_A_01_G01_0", "HandWash_002_A_01_G01"),
    ("April_09_brush_hair_u_nm_np1_ba_goo_0", "April_09_brush_hair_u_nm_np1_ba_goo"),
    ("-3B32lodo2M_000059_000069", "-3B32lodo2M"),
    ("walk_cam2", "walk"),
    ("alice take 3", "alice"),
    ("12_1", "12"),
    ("VID_20240503_101500_2", "VID_20240503_101500"),
    ("20240503_c01", "20240503"),
    ("WhatsApp Video 2021-05-03 at 12.30.11 (1)", "WhatsApp Video 2021-05-03 at 12.30.11"),
    ("GH020123", "GoPro 0123"),
    ("GOPR0123", "GoPro 0123"),
    ("été_1", "été"),
]
WHOLE = [
    "interview",
    "person12",
    "walk_person12",
    "dQw4w9WgXc8",
    "person01_boxing_d1_uncomp",
    "VID_20240503_101500",
    "20240503_101500",
    "2024-05-03",
    "PXL_20240503_101500123",
    "VID-20240503-WA0012",
    "WhatsApp Video 2021-05-03 at 12.30.11",
]
NUMBERED = [
    *("IMG_1234", "img-7", "IMG_E1234", "_DSC1234", "DSCN0012", "P1000123", "C0001", "MVI_0001", "DJI_0001"),
    *("00001", "7", "(1)", "clip7", "clip_003", "part 2", "video12", "Video 12", "Movie-3", "_", ""),
]


@pytest.mark.parametrize(("stem", "source"), CUT)
def test_a_counter_numbers_the_clips_of_a_source(stem: str, source: str) -> None:
    assert source_of(stem) == source


@pytest.mark.parametrize("stem", WHOLE)
def test_a_name_without_counter_is_a_source(stem: str) -> None:
    assert source_of(stem) == stem


@pytest.mark.parametrize("stem", NUMBERED)
def test_numbers_of_recordings_tell_no_source(stem: str) -> None:
    assert source_of(stem) is None


def test_a_name_that_tells_none_is_its_own_source_or_of_its_folder() -> None:
    classes = dict.fromkeys(("a/IMG_1.mp4", "a/IMG_2.mp4", "a/alice/IMG_1.mp4", "a/alice/IMG_2.mp4"), "a")
    classes |= dict.fromkeys(("b/x_1.mp4", "b/deep/x_1.mp4", "b/x_2.avi"), "b")
    assert groups_by_name(classes).group == {
        "a/IMG_1.mp4": "a/IMG_1",
        "a/IMG_2.mp4": "a/IMG_2",
        "a/alice/IMG_1.mp4": "a/alice",
        "a/alice/IMG_2.mp4": "a/alice",
        "b/x_1.mp4": "b/x",
        "b/x_2.avi": "b/x",
        "b/deep/x_1.mp4": "b/deep/x",
    }


def test_a_class_of_one_stem_is_undecided() -> None:
    classes = {"a/x_1.mp4": "a", "a/x_2.mp4": "a", "b/y_1.mp4": "b", "c/z_1.mp4": "c", "c/w_1.mp4": "c"}
    found = groups_by_name(classes)
    assert found.undecided == {"a": "a/x"}, "a class of one video needs no decision"
    assert (found.unit["a/x_1.mp4"], found.group["a/x_1.mp4"]) == ("a/x", "a/x_1.mp4")
    assert found.unit["c/z_1.mp4"] == found.group["c/z_1.mp4"] == "c/z"
