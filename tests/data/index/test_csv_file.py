"""Videos that a CSV file lists."""

from pathlib import Path

import pytest
from data_factories import by_path, touch, write_text

from mvcgc.config import compose
from mvcgc.data.index.layouts.csv_file import CSV
from mvcgc.data.index.layouts.listing import Entry, Listing
from mvcgc.errors import UserError

HEADER = "path,label,split"
VIDEOS = ("v/a.mp4", "v/b.mp4", "c.dat")


def listed(folder: Path, *lines: str, header: str = HEADER, **settings: str) -> Listing:
    """List the videos of a file of these lines, in a folder with `VIDEOS`."""
    touch(folder, *VIDEOS)
    write_text(folder / "my list.csv", header, *lines)
    return CSV(CSV.Config(file=str(folder / "my list.csv"), **settings)).listing()


def test_each_line_is_a_video(tmp_path: Path) -> None:
    listing = listed(
        tmp_path, "v/b.mp4,dog,train,g1", " c.dat ,cat,Test,", "./v/a.mp4,,valid,g1", header=f"{HEADER},group"
    )
    assert listing.classes == ["cat", "dog"]
    assert listing.entries == [
        Entry("c.dat", 0, "c", "test"),
        Entry("v/a.mp4", -1, "g1", "val"),
        Entry("v/b.mp4", 1, "g1", "train"),
    ]
    assert not listing.carved


def test_columns_stand_in_any_order_beside_others(tmp_path: Path) -> None:
    lines = ('train,"a, b",v/a.mp4,"two\nlines"', "", "test,x,v/b.mp4,3")
    listing = listed(tmp_path, *lines, header="\ufeffSplit, Label,path,note")
    assert listing.classes == ["a, b", "x"]
    assert [entry.part for entry in listing.entries] == ["train", "test"]


def test_paths_are_relative_to_the_file_or_to_the_root(tmp_path: Path) -> None:
    absolute = listed(tmp_path, f"{tmp_path}/v/a.mp4,x,train")
    assert [entry.path for entry in absolute.entries] == ["v/a.mp4"]
    below = listed(tmp_path, "a.mp4,x,train", root=str(tmp_path / "v"))
    assert [entry.path for entry in below.entries] == ["a.mp4"]


def test_without_val_some_of_train_becomes_val_by_groups(tmp_path: Path) -> None:
    names = [f"s{n}x_{k}.mp4" for n in range(10) for k in range(2)]
    touch(tmp_path, *names, "t.mp4")
    listing = listed(tmp_path, *(f"{name},x,train" for name in names), "t.mp4,x,test")
    assert listing.carved
    val = [entry.group for entry in listing.entries if entry.part == "val"]
    assert len(val) == 2
    assert len(set(val)) == 1


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("v/a.mp4,x,train", "v/b.mp4,x,dev"), r"line 3, column split: 'dev'; write train, val or test"),
        (("v/a.mp4,x,",), r"line 2, column split: ''; write"),
        ((",x,train",), r"line 2, column path: is empty"),
        (("v/a.mp4,x",), r"line 2: has 2 values, the header 3; put values with commas into double quotes"),
        (("v/a.mp4,x, y,train",), r"line 2: has 4 values"),
        (("v/a.mp4,x,train", "v/./a.mp4,y,test"), r"line 3, column path: v/a\.mp4 is in line 2 already"),
        (
            ("v/a.mp4,x,train", "v/z.mp4,x,train", "w/a.mp4,x,train"),
            r"line 3, column path: there is no .*/v/z\.mp4 \(2 of 3 videos are missing\); paths are",
        ),
        (("../a.mp4,x,train",), r"line 2, column path: \.\./a\.mp4 is not below /.*; set dataset\.root to"),
        (("/elsewhere/a.mp4,x,train",), r"column path: /elsewhere/a\.mp4 is not below"),
        ((), r"my list\.csv: lists no video; write a line of path,label,split for each"),
    ],
)
def test_mistakes_name_line_and_column(tmp_path: Path, lines: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        listed(tmp_path, *lines)
    assert "my list.csv" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("header", ["path;label;split", "path,label", "", "v/a.mp4,x,train"])
def test_a_header_without_the_columns(tmp_path: Path, header: str) -> None:
    with pytest.raises(
        UserError, match=r"line 1: the header .* lacks .*; write path,label,split,group \(group"
    ):
        listed(tmp_path, header=header)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dataset\.file=.*none\.csv: no such file"):
        CSV(CSV.Config(file=str(tmp_path / "none.csv"))).listing()
    with pytest.raises(UserError, match=r"dataset\.file is empty; set it"):
        CSV(CSV.Config()).listing()
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"dataset\.file=.*binary\.csv: cannot be read as text in UTF-8"):
        CSV(CSV.Config(file=str(tmp_path / "binary.csv"))).listing()


def test_is_named_after_the_file() -> None:
    config = compose(["dataset=csv", "dataset.file=/data/my clips.csv"]).dataset
    assert (config.name, config.root) == ("my_clips", "/data")
    with pytest.raises(UserError, match=r"dataset\.file is not set: give it as dataset\.file=\.\.\."):
        compose(["dataset=csv"])


def test_a_group_in_two_splits_stays(tmp_path: Path) -> None:
    listing = listed(tmp_path, "v/a.mp4,x,train,g", "v/b.mp4,x,test,g", header=f"{HEADER},group")
    assert {entry.part for entry in by_path(listing).values() if entry.group == "g"} == {"train", "test"}
