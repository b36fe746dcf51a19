"""Datasets in miniature, as their authors lay them out."""

from pathlib import Path

import pytest
from data_factories import by_path, touch, write_text

from mvcgc.data.demo.layout import demo
from mvcgc.data.index.layouts import kinetics, official
from mvcgc.data.index.layouts.listing import Entry, carve, videos_below
from mvcgc.errors import UserError

UCF = ("Archery/v_Archery_g01_c01.avi", "Archery/v_Archery_g01_c02.avi", "YoYo/v_YoYo_g01_c01.avi")


def ucf(root: Path, train: tuple[str, ...] = UCF[:2], test: tuple[str, ...] = UCF[2:]) -> Path:
    touch(root / "UCF-101", *UCF)
    lists = root / "ucfTrainTestlist"
    write_text(lists / "classInd.txt", "1 Archery\r", "2 YoYo\r")
    write_text(lists / "trainlist02.txt", *(f"{name} 1\r" for name in train))
    write_text(lists / "testlist02.txt", *(f"{name}\r" for name in test))
    return root


def test_ucf101_reads_split_label_and_group(tmp_path: Path) -> None:
    listing = official.ucf101(ucf(tmp_path), 2)
    assert listing.classes == ["Archery", "YoYo"]
    assert listing.carved
    entries = by_path(listing)
    assert set(entries) == {f"UCF-101/{name}" for name in UCF}
    first, sibling, other = (entries[f"UCF-101/{name}"] for name in UCF)
    assert (first.label, other.label) == (0, 1)
    assert first.group == sibling.group == "Archery_g01"
    assert other.group == "YoYo_g01", "g01 of another class is another video"
    assert first.part == sibling.part
    assert first.part in ("train", "val")
    assert other.part == "test"


def test_ucf101_may_lie_in_the_root(tmp_path: Path) -> None:
    ucf(tmp_path)
    for name in ("Archery", "YoYo"):
        (tmp_path / "UCF-101" / name).rename(tmp_path / name)
    (tmp_path / "UCF-101").rmdir()
    assert set(by_path(official.ucf101(tmp_path, 2))) == set(UCF)


def test_ucf101_without_its_lists(tmp_path: Path) -> None:
    touch(tmp_path, *UCF)
    with pytest.raises(
        UserError, match=r"classInd\.txt: no such split file; put the official lists of UCF101 into"
    ):
        official.ucf101(tmp_path, 1)


def test_ucf101_without_the_wanted_split(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"trainlist03\.txt: no such split file"):
        official.ucf101(ucf(tmp_path), 3)


def test_a_split_that_names_absent_videos_says_how_many_and_the_first_three(tmp_path: Path) -> None:
    absent = tuple(f"YoYo/v_YoYo_g0{i}_c01.avi" for i in range(2, 7))
    with pytest.raises(UserError) as caught:
        official.ucf101(ucf(tmp_path, test=(*UCF[2:], *absent)), 2)
    message = str(caught.value)
    assert "names 5 of 8 videos that are not under" in message
    assert ", ".join(absent[:3]) + ", ...;" in message
    assert absent[3] not in message
    assert "dataset.root" in message
    assert "\n" not in message


def test_a_video_in_train_and_test_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"listed as .* and as .*; leave it in one split file"):
        official.ucf101(ucf(tmp_path, test=UCF[1:]), 2)


def test_a_class_that_the_index_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"testlist02\.txt: 'Golf/v_Golf_g01_c01.avi' is of no class in classInd"
    ):
        official.ucf101(ucf(tmp_path, test=("Golf/v_Golf_g01_c01.avi",)), 2)


def test_a_class_index_of_another_form(tmp_path: Path) -> None:
    write_text(ucf(tmp_path) / "ucfTrainTestlist/classInd.txt", "Archery", "YoYo")
    with pytest.raises(UserError, match="line 1 is 'Archery', not '1 <class>'"):
        official.ucf101(tmp_path, 2)


HMDB = (
    "brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0.avi",
    "brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_1.avi",
    "brush_hair/atheismIsOn_brush_hair_u_cm_np1_fr_med_0.avi",
    "wave/TrumanShow_wave_f_nm_np1_fr_med_26.avi",
)


def hmdb(root: Path) -> Path:
    touch(root, *HMDB)
    lists = root / "testTrainMulti_7030_splits"
    flags = [f"{Path(name).name} {flag} " for name, flag in zip(HMDB[:3], "112", strict=True)]
    write_text(lists / "brush_hair_test_split1.txt", *flags)
    write_text(lists / "wave_test_split1.txt", f"{Path(HMDB[3]).name} 0 ")
    return root


def test_hmdb51_reads_flags_and_titles(tmp_path: Path) -> None:
    listing = official.hmdb51(hmdb(tmp_path), 1)
    assert listing.classes == ["brush_hair", "wave"]
    entries = by_path(listing)
    assert set(entries) == set(HMDB[:3]), "a file with flag 0 is in neither part"
    assert entries[HMDB[0]].group == entries[HMDB[1]].group == "April_09"
    assert entries[HMDB[2]].part == "test"
    assert {entry.label for entry in entries.values()} == {0}


def test_hmdb51_without_split_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dataset\.split=3: no \*_test_split3\.txt in .*; put the official"):
        official.hmdb51(hmdb(tmp_path), 3)


@pytest.mark.parametrize("line", ["name.avi", "name.avi 3", "1"])
def test_hmdb51_with_a_line_of_another_form(tmp_path: Path, line: str) -> None:
    write_text(hmdb(tmp_path) / "testTrainMulti_7030_splits/wave_test_split1.txt", line)
    with pytest.raises(UserError, match="is not '<file> <0, 1 or 2>'"):
        official.hmdb51(tmp_path, 1)


@pytest.mark.parametrize(
    ("stem", "label", "group"),
    [
        ("TrumanShow_wave_f_nm_np1_fr_med_26", "wave", "TrumanShow"),
        (
            "hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6",
            "cartwheel",
            "hmdb51_Turnk_r_Pippi_Michel",
        ),
        ("wave_wave_f_nm_np1_fr_med_3", "wave", "wave"),
        ("#20_Rhythm_clap_u_nm_np1_fr_goo_5", "clap", "#20_Rhythm"),
        ("something_else_12", "wave", "something_else"),
    ],
)
def test_hmdb51_groups(stem: str, label: str, group: str) -> None:
    assert official.hmdb_group(stem, label) == group


def test_carving_keeps_siblings_together_and_takes_about_a_tenth() -> None:
    entries = [Entry(f"{g}/{c}", 0, f"g{g}", "train") for g in range(500) for c in range(3)]
    carved = carve(entries, 0.1)
    parts = {entry.group: set() for entry in entries}
    for entry in carved:
        parts[entry.group].add(entry.part)
    assert all(len(found) == 1 for found in parts.values())
    val = sum(found == {"val"} for found in parts.values())
    assert 30 <= val <= 70
    assert carve([Entry("t", 0, "g0", "test")], 1.0)[0].part == "test"
    assert carve(entries, 0.1) == carved


K400_HEADER = "label,youtube_id,time_start,time_end,split"


def test_k400_finds_both_forms_of_name_and_lists_the_absent(tmp_path: Path) -> None:
    touch(tmp_path, "train/abseiling/-3B32lodo2M_000059_000069.mp4", "val/x-_1.mkv", "train/other.mp4")
    write_text(
        tmp_path / "train.csv",
        K400_HEADER,
        "abseiling,-3B32lodo2M,59,69,train",
        "zumba,gone,5,15,train",
    )
    write_text(tmp_path / "validate.csv", K400_HEADER, '"air drumming",x-_1,0,10,validate')
    listing = kinetics.k400(tmp_path)
    assert listing.classes == ["abseiling", "air drumming", "zumba"]
    assert listing.absent == ["gone_000005_000015"]
    assert listing.entries == [
        Entry("train/abseiling/-3B32lodo2M_000059_000069.mp4", 0, "-3B32lodo2M", "train"),
        Entry("val/x-_1.mkv", 1, "x-_1", "val"),
    ]


def test_k400_test_lists_without_labels(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    write_text(tmp_path / "annotations/test.csv", "youtube_id,time_start,time_end,split", "a,0,10,test")
    assert kinetics.k400(tmp_path).entries == [Entry("a.mp4", -1, "a", "test")]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ("id,split", "a,train"),
            "header id,split lacks youtube_id, time_start, time_end; a Kinetics-400 list has label,",
        ),
        ((), r"header \(empty\) lacks"),
        ((K400_HEADER, "x,a,soon,10,train"), "time_start=soon, time_end=10 of a are not seconds"),
        ((K400_HEADER, "x,a,0,10,holdout"), "split='holdout' of a; write train, val or test"),
        (
            (K400_HEADER, "x,b,0,10,train"),
            "none of the 1 videos in list.csv is there, the first is b_000000_000010",
        ),
        ((K400_HEADER,), "lists no video"),
    ],
)
def test_k400_lists_that_cannot_be_used(tmp_path: Path, lines: tuple[str, ...], message: str) -> None:
    touch(tmp_path, "a.mp4")
    write_text(tmp_path / "list.csv", *lines)
    with pytest.raises(UserError, match=message):
        kinetics.k400(tmp_path)


def test_k400_without_a_list(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no \*\.csv in it or its folder annotations"):
        kinetics.k400(tmp_path)


def test_the_demo_layout(tmp_path: Path) -> None:
    touch(tmp_path, "up/0.avi", "up/1.mp4", "down/0.avi")
    write_text(tmp_path / "splits/classes.txt", "up", "down")
    write_text(tmp_path / "splits/train.txt", "up/0.avi")
    write_text(tmp_path / "splits/val.txt", "up/1.mp4")
    write_text(tmp_path / "splits/test.txt", "down/0.avi")
    listing = demo(tmp_path)
    assert listing.classes == ["up", "down"]
    assert not listing.carved
    assert {(e.path, e.label, e.part) for e in listing.entries} == {
        ("up/0.avi", 0, "train"),
        ("up/1.mp4", 0, "val"),
        ("down/0.avi", 1, "test"),
    }
    (tmp_path / "up/0.avi").unlink()
    with pytest.raises(UserError, match=r"names 1 of 3 videos that are not under .*: up/0\.avi"):
        demo(tmp_path)


def test_links_are_followed_but_not_round_in_circles(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere", "a.mp4")
    root = tmp_path / "root"
    root.mkdir()
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "linked/back").symlink_to(root)
    assert videos_below(root) == [root / "linked/a.mp4"]
