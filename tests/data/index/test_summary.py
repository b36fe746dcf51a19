"""What the report of a scan says of classes, groups and splits."""

from collections import Counter
from pathlib import Path

from data_factories import touch, write_video

from mvcgc.data.index.layouts.folder import Folder
from mvcgc.data.index.manifest import load, manifest_file, report
from mvcgc.data.index.prepare import prepare
from mvcgc.data.index.summary import WIDTH, class_lines, group_line, skipped_line, warnings


def per_class(classes: int) -> dict[str, Counter[str]]:
    return {f"class number {n}": Counter(train=100 + n, val=10, test=20 if n else 0) for n in range(classes)}


def test_few_classes_are_listed_in_columns() -> None:
    counts = per_class(12)
    lines = list(class_lines(list(counts), counts, whole=False))
    assert lines[0] == "videos per class, train/val/test:"
    assert lines[1] == "  class number 0 100/10/0    class number 6 106/10/20"
    assert len(lines) == 7


def test_many_classes_are_summed_up_and_listed_in_the_file() -> None:
    counts = per_class(400)
    short = list(class_lines(list(counts), counts, whole=False))
    assert short[1:] == [
        "  train  100 to 499, median 299.5",
        "  val    10 to 10, median 10",
        "  test   0 to 20, median 20",
        "  fewest class number 0 100/10/0, class number 1 101/10/20, class number 2 102/10/20",
        "  most   class number 399 499/10/20, class number 398 498/10/20, class number 397 497/10/20",
        "  all of them in the report beside the manifest",
    ]
    whole = list(class_lines(list(counts), counts, whole=True))
    assert all(f"{name} {counts[name]['train']}/" in "\n".join(whole) for name in counts)
    assert max(map(len, whole)) <= WIDTH


def test_unlabelled_videos_have_no_classes() -> None:
    assert list(class_lines([], {}, whole=True)) == []


def test_groups_and_skipped_files() -> None:
    assert group_line(["a", "a", "b"]) == "groups: 2, of 1 to 2 videos each"
    assert group_line(["a", "b"]) == "groups: 2, of 1 videos each"
    assert skipped_line({"": 1, ".txt": 8}) == "skipped, no suffix of a video: 1 without suffix, 8 .txt"


def test_groups_in_two_splits_are_warned_of() -> None:
    groups = [("a", "train"), ("a", "test"), ("b", "train"), ("b", "val"), ("c", "test")]
    (line,) = warnings([], {}, groups, carved=False)
    assert line.startswith("2 of 3 groups are in two splits (1 of them in test): ")
    assert line.endswith(": a, b")
    (line,) = warnings([], {}, groups, carved=True)
    assert line.startswith("1 of 3 groups are in two splits"), "a carved val is a part of train"
    assert list(warnings([], {}, [("a", "train"), ("b", "test")], carved=False)) == []


def test_classes_that_lack_a_split_are_warned_of() -> None:
    counts = {"a": Counter(train=1, test=1), "b": Counter(train=1), "c": Counter(test=2)}
    assert list(warnings(list(counts), counts, [], carved=False)) == [
        "1 of 3 classes have no train video: c",
        "1 of 3 classes have no test video: b",
    ]
    unsplit = {"a": Counter(train=1), "b": Counter(train=2)}
    assert list(warnings(list(unsplit), unsplit, [], carved=False)) == [], "nothing is tested on"


def test_a_scan_says_it_all_once(tmp_path: Path) -> None:
    for name in ("train/a/x_1", "train/b/y_1", "train/b/z_1", "train/a/w_1", "test/a/x_2", "test/b/v_1"):
        write_video(tmp_path / f"mine/{name}.avi", frames=8)
    touch(tmp_path / "mine", "notes.txt", "train/a/x_1.JPG")
    said: list[str] = []
    config = Folder.Config(root=str(tmp_path / "mine"))
    for _ in range(2):
        manifest = prepare(config, tmp_path / "store", 8, True, workers=1, say=said.append)
    (text,) = said
    assert text == report(manifest)
    assert "mine: 6 of 6 videos are usable (train 4, val 0, test 2; 2 classes)" in text
    assert "videos per class, train/val/test:\n  a 2/0/1  b 2/0/1\n" in text
    assert "skipped, no suffix of a video: 1 .jpg, 1 .txt\n" in text
    assert "warning: 1 of 5 groups are in two splits (1 of them in test): " in text
    assert load(manifest_file(tmp_path / "store", manifest)) == manifest
