"""Folders of videos as users have them: classes, splits, groups by name."""

import random
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from data_factories import by_path, touch

from mvcgc.config import compose
from mvcgc.data.index.layouts.folder import Folder, folder
from mvcgc.data.index.layouts.listing import Entry, Listing
from mvcgc.errors import UserError

SHARED = ("train", "val", "test")


def parts_of_groups(listing: Listing) -> dict[str, set[str]]:
    parts = defaultdict(set)
    for entry in listing.entries:
        parts[entry.group].add(entry.part)
    return parts


def counts(listing: Listing) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {name: Counter() for name in listing.classes}
    for entry in listing.entries:
        found[listing.classes[entry.label]][entry.part] += 1
    return found


class TestUnlabelled:
    def test_a_flat_folder_is_training_data(self, tmp_path: Path) -> None:
        touch(tmp_path, "b.MP4", "a.avi", "notes.txt", "NOTES2.TXT", ".hidden.avi", "more/c.mkv", "README")
        listing = folder(tmp_path)
        assert listing.classes == []
        assert [(e.path, e.label, e.group, e.part) for e in listing.entries] == [
            ("a.avi", -1, "a", "train"),
            ("b.MP4", -1, "b", "train"),
            ("more/c.mkv", -1, "more/c", "train"),
        ]
        assert listing.skipped == {"": 1, ".txt": 2}

    def test_clips_of_one_source_are_siblings(self, tmp_path: Path) -> None:
        touch(tmp_path, "scene1_part1.mp4", "scene1_part2.mp4", "scene2_part1.mp4", "IMG_1.mp4", "IMG_2.mp4")
        groups = {path: entry.group for path, entry in by_path(folder(tmp_path)).items()}
        assert groups["scene1_part1.mp4"] == groups["scene1_part2.mp4"]
        assert len(set(groups.values())) == 4

    def test_names_that_differ_in_their_counter_alone_are_no_siblings(self, tmp_path: Path) -> None:
        """Otherwise nothing would be left to contrast with."""
        touch(tmp_path, *(f"abc_{number:04d}.mp4" for number in range(5)))
        assert len(parts_of_groups(folder(tmp_path))) == 5


class TestClasses:
    def test_are_split_by_source(self, tmp_path: Path) -> None:
        names = [
            f"{label}/v_{label}_g{group:02d}_c{clip:02d}.avi"
            for label in ("Archery", "YoYo")
            for group in range(1, 21)
            for clip in range(1, 2 + group % 3)
        ]
        touch(tmp_path, *names, "empty/readme.txt")
        listing = folder(tmp_path)
        assert listing.classes == ["Archery", "YoYo"], "a folder without videos is no class"
        assert {entry.path for entry in listing.entries} == set(names)
        groups = parts_of_groups(listing)
        assert len(groups) == 40
        assert all(len(parts) == 1 for parts in groups.values())
        for found in counts(listing).values():
            assert 0.6 < found["train"] / found.total() < 0.8
            assert 0.05 < found["val"] / found.total() < 0.15
            assert 0.15 < found["test"] / found.total() < 0.25
        assert not listing.carved
        assert not listing.notes

    @pytest.mark.parametrize(("sources", "wanted"), [(1, "3/0/0"), (2, "1/0/1"), (3, "2/0/1"), (4, "2/1/1")])
    def test_few_sources_go_to_training_first(self, tmp_path: Path, sources: int, wanted: str) -> None:
        clips = 3 if sources == 1 else 1
        touch(tmp_path, *(f"{c}/s{n}x_{k}.mp4" for c in "ab" for n in range(sources) for k in range(clips)))
        found = counts(folder(tmp_path))
        assert {"/".join(str(one[part]) for part in SHARED) for one in found.values()} == {wanted}

    def test_one_large_source_is_not_the_test(self, tmp_path: Path) -> None:
        large, small = (f"a/long_{n}.mp4" for n in range(90)), (f"a/x{n}y_1.mp4" for n in range(10))
        touch(tmp_path, *large, *small, "b/z.mp4")
        listing = folder(tmp_path)
        assert {entry.part for entry in listing.entries if entry.group == "a/long"} == {"train"}
        assert set(counts(listing)["a"]) == set(SHARED)

    def test_a_class_of_one_stem_is_trained_on_alone_and_says_so(self, tmp_path: Path) -> None:
        touch(tmp_path, *(f"V/V_{n}.mp4" for n in range(9)), *(f"N/film{n}x_1.mp4" for n in range(9)))
        listing = folder(tmp_path)
        assert counts(listing)["V"] == {"train": 9}
        assert set(counts(listing)["N"]) == set(SHARED)
        assert len(parts_of_groups(listing)) == 18, "they are no siblings for what is known"
        (note,) = listing.notes
        said = "class V is in train alone: by their names all its videos are of one source, V/V;"
        assert note.startswith(said)
        assert "dataset.group_pattern='(.+)'" in note
        split = folder(tmp_path, "(.+)")
        assert set(counts(split)["V"]) == set(SHARED)
        assert not split.notes

    def test_depends_on_names_alone(self, tmp_path: Path) -> None:
        names = [f"{label}/s{n}x_{clip}.mp4" for label in "abc" for n in range(12) for clip in range(3)]
        touch(tmp_path / "one", *names)
        touch(tmp_path / "two", *random.Random(0).sample(names, len(names)))
        assert folder(tmp_path / "one") == folder(tmp_path / "two")

    def test_videos_beside_class_folders_are_refused(self, tmp_path: Path) -> None:
        touch(tmp_path, "cat/a.mp4", "dog/b.mp4", "stray.mp4")
        with pytest.raises(
            UserError, match=r"1 videos lie beside the class folders, first stray\.mp4; move them"
        ):
            folder(tmp_path)


class TestSplits:
    def test_are_taken_as_they_are(self, tmp_path: Path) -> None:
        touch(tmp_path, "train/cat/a.mp4", "train/dog/b.mp4", "Validation/cat/c.mp4", "test/dog/d.mp4")
        listing = folder(tmp_path)
        assert listing.classes == ["cat", "dog"]
        assert [(e.path, e.label, e.group, e.part) for e in listing.entries] == [
            ("Validation/cat/c.mp4", 0, "cat/c", "val"),
            ("test/dog/d.mp4", 1, "dog/d", "test"),
            ("train/cat/a.mp4", 0, "cat/a", "train"),
            ("train/dog/b.mp4", 1, "dog/b", "train"),
        ]
        assert not listing.carved

    def test_without_val_a_tenth_of_train_becomes_val(self, tmp_path: Path) -> None:
        train = [f"train/{c}/s{n}x_{k}.mp4" for c in "ab" for n in range(10) for k in range(2)]
        touch(tmp_path, *train, "test/a/t.mp4", "test/b/s0x_9.mp4")
        listing = folder(tmp_path)
        assert listing.carved
        assert counts(listing)["a"] == {"train": 18, "val": 2, "test": 1}
        shared = [parts for parts in parts_of_groups(listing).values() if len(parts) > 1]
        assert shared == [{"train", "test"}], "what is in test too is not made val"

    def test_without_classes_are_unlabelled(self, tmp_path: Path) -> None:
        touch(tmp_path, "train/a.mp4", "val/b.mp4", "test/c.mp4")
        listing = folder(tmp_path)
        assert listing.classes == []
        assert [entry.part for entry in listing.entries] == ["test", "train", "val"]

    def test_a_class_may_be_called_train(self, tmp_path: Path) -> None:
        touch(tmp_path, "train/a.mp4", "bus/b.mp4", "car/c.mp4")
        assert folder(tmp_path).classes == ["bus", "car", "train"]

    @pytest.mark.parametrize(("stray", "named"), [("extra/x.mp4", "extra"), ("x.mp4", "x.mp4")])
    def test_what_lies_beside_them_is_refused(self, tmp_path: Path, stray: str, named: str) -> None:
        touch(tmp_path, "train/a/a.mp4", "train/b/a.mp4", "test/a/b.mp4", stray)
        with pytest.raises(UserError, match=rf"test/, train/ are splits, but {named} lies beside them \(1 "):
            folder(tmp_path)

    def test_stray_videos_in_a_split_are_refused(self, tmp_path: Path) -> None:
        touch(tmp_path, "train/a/a.mp4", "train/b/a.mp4", "test/b.mp4")
        with pytest.raises(UserError, match=r"1 videos lie beside the class folders, first test/b\.mp4"):
            folder(tmp_path)


class TestPattern:
    def test_groups_across_classes(self, tmp_path: Path) -> None:
        """Sessions in which all classes were recorded: as a whole in one part."""
        touch(
            tmp_path, *(f"step{c}/v_g{n:02d}_c{k}.mp4" for c in range(3) for n in range(10) for k in range(2))
        )
        listing = folder(tmp_path, r"_g(\d+)_")
        groups = parts_of_groups(listing)
        assert set(groups) == {f"{n:02d}" for n in range(10)}
        assert all(len(parts) == 1 for parts in groups.values())
        assert all(one == {"train": 14, "val": 2, "test": 4} for one in counts(listing).values())

    @pytest.mark.parametrize(
        ("pattern", "message"),
        [
            ("(", r"dataset\.group_pattern='\(': no regular expression \(missing \)"),
            ("_g.._", "has 0 groups: put one pair of parentheses around"),
            ("(a)(b)", "has 2 groups"),
        ],
    )
    def test_mistakes(self, pattern: str, message: str) -> None:
        with pytest.raises(UserError, match=message):
            Folder.Config(root="/x", group_pattern=pattern)

    def test_must_match_all(self, tmp_path: Path) -> None:
        touch(tmp_path, "a/x_g1.mp4", "b/y.mp4", "b/z_g.mp4")
        with pytest.raises(UserError, match=r"matches nothing in 2 of 3 videos, first b/y\.mp4"):
            folder(tmp_path, r"_g(\d*)")


@pytest.mark.parametrize(
    ("root", "name"), [("/data/handwash", "handwash"), ("/d/my videos (1)/", "my_videos_1"), ("/", "folder")]
)
def test_is_named_after_the_folder(root: str, name: str) -> None:
    assert Folder.Config(root=root).name == name
    if name == "folder":
        return
    given = ["dataset=folder", f"dataset.root='{root}'"]
    assert compose(given).dataset.name == name
    assert compose([*given, "dataset.name=mine"]).dataset.name == "mine"
    columns = compose([*given, "sweeps=ablation_loss"]).sweep.columns
    assert columns[0].stage == f"linear/{name}"


def test_listing_is_that_of_the_root(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    config = Folder.Config(root=str(tmp_path), group_pattern="(.+)")
    assert Folder(config).listing().entries == [Entry("a.mp4", -1, "a", "train")]
