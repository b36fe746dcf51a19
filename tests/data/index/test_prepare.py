"""From a configuration to a manifest, on small real files."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from data_factories import touch, write_text, write_video

from mvcgc.data.demo import Demo
from mvcgc.data.demo import layout as demo_module
from mvcgc.data.index.layouts.base import DatasetConfig, Layout
from mvcgc.data.index.layouts.folder import Folder
from mvcgc.data.index.layouts.kinetics import K400
from mvcgc.data.index.layouts.listing import Entry, Listing
from mvcgc.data.index.layouts.official import HMDB51, UCF101
from mvcgc.data.index.manifest import Manifest, load, manifest_file, publish, report
from mvcgc.data.index.prepare import assemble, prepare
from mvcgc.data.index.scan import Fact, scan
from mvcgc.errors import UserError
from mvcgc.video import encode


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scan in this process: starting others is tested with the scan."""
    from mvcgc.data.index import workers as workers_module

    def pool(function, jobs, workers, broke):
        return ((job, function(job)) for job in jobs)

    monkeypatch.setattr(workers_module, "_in_pool", pool)


def config(root: Path, layout: type[Layout] = Folder, **more: object) -> DatasetConfig:
    return layout.Config(name="small", root=str(root), **more)


def ready(cfg: DatasetConfig, store: Path, min_frames: int = 8, needs_vectors: bool = True) -> Manifest:
    return prepare(cfg, store, min_frames, needs_vectors, workers=1)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two good files and one of every kind that is refused."""
    root = tmp_path_factory.mktemp("mixed")
    write_video(root / "a/good.avi", frames=12)
    write_video(root / "b/good.mp4", frames=16, codec="h264")
    write_video(root / "a/short.avi", frames=5)
    write_video(root / "b/vp9.mkv", frames=12, codec="vp9")
    (root / "a/text.avi").write_text("no video")
    whole = write_video(root / "a/cut.avi", frames=24).read_bytes()
    (root / "a/cut.avi").write_bytes(whole[: len(whole) // 2])
    return root


def test_refused_files_are_reported_with_their_reason(mixed: Path, tmp_path: Path) -> None:
    manifest = ready(config(mixed), tmp_path)
    assert [video.path for video in manifest.videos] == ["a/good.avi", "b/good.mp4"]
    reasons = {rejected.path: rejected.reason for rejected in manifest.rejected}
    assert reasons == {
        "a/cut.avi": "truncated",
        "a/short.avi": "too_short",
        "a/text.avi": "unreadable",
        "b/vp9.mkv": "no_vectors",
    }
    text = report(manifest)
    assert "small: 2 of 6 videos are usable" in text
    for path, reason in reasons.items():
        assert f"refused, {reason.replace('_', ' ')}: 1" in text
        assert path in text
    assert "a/short.avi" in text
    assert "5 frames, at least 8 are needed" in text
    assert "vp9 exports no motion vectors; set dataset.mestimate=true" in text
    assert manifest_file(tmp_path, manifest).with_suffix(".txt").read_text() == text


def test_a_long_report_is_cut_but_the_file_is_whole(mixed: Path, tmp_path: Path) -> None:
    manifest = ready(config(mixed), tmp_path)
    many = [replace(manifest.rejected[0], path=f"{i}.avi") for i in range(60)]
    manifest = replace(manifest, rejected=many)
    assert "... and 10 more, all named in the report beside" in report(manifest)
    assert "59.avi" not in report(manifest)
    publish(manifest, tmp_path)
    assert "59.avi" in manifest_file(tmp_path, manifest).with_suffix(".txt").read_text()


def test_vectors_are_asked_for_only_where_needed(mixed: Path, tmp_path: Path) -> None:
    rgb = ready(config(mixed), tmp_path, needs_vectors=False)
    matched = ready(config(mixed, mestimate=True), tmp_path)
    for manifest in (rgb, matched):
        assert "b/vp9.mkv" in [video.path for video in manifest.videos]


def test_the_manifest_is_read_back_as_it_was(mixed: Path, tmp_path: Path) -> None:
    manifest = ready(config(mixed), tmp_path)
    again = load(manifest_file(tmp_path, manifest))
    assert again == manifest
    assert again.digest == manifest.digest


@pytest.mark.parametrize("content", [None, "{", "[]", '{"format": 99}'])
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "manifest.arrow"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=r"manifest\.arrow: .*; run `mvcgc data scan`"):
        load(path)


def test_the_digest_is_of_the_content_not_of_place_or_time(mixed: Path, tmp_path: Path) -> None:
    digest = ready(config(mixed), tmp_path / "store").digest
    copy = tmp_path / "elsewhere"
    shutil.copytree(mixed, copy)
    for path in copy.rglob("*.avi"):
        os.utime(path, ns=(1, 1))
    moved = ready(config(copy), tmp_path / "store")
    assert moved.digest == digest
    assert moved.root != mixed
    (copy / "a/short.avi").unlink()
    assert ready(config(copy), tmp_path / "store").digest == digest, "a refused file is not part of it"
    write_video(copy / "a/good.avi", frames=13)
    changed = ready(config(copy), tmp_path / "store")
    assert changed.digest != digest
    assert manifest_file(tmp_path, changed) != manifest_file(tmp_path, moved)


def test_the_digest_knows_every_fact(tmp_path: Path) -> None:
    write_video(tmp_path / "a.avi", frames=10)
    fact = scan(tmp_path, ["a.avi"], tmp_path / "cache", 1, "scanning")["a.avi"]
    cfg = config(tmp_path)

    def digest(entry: Entry, fact: Fact = fact, classes: tuple[str, ...] = ("x", "y")) -> str:
        listing = Listing(list(classes), [entry], [], carved=False)
        return assemble(cfg, tmp_path, listing, {entry.path: fact}, min_frames=8, needs_vectors=True).digest

    entry = Entry("a.avi", 0, "g", "train")
    different = {
        digest(entry),
        digest(replace(entry, path="b.avi")),
        digest(replace(entry, label=1)),
        digest(replace(entry, group="h")),
        digest(replace(entry, part="val")),
        digest(entry, replace(fact, size=1)),
        digest(entry, replace(fact, info=replace(fact.info, frames=9))),
        digest(entry, classes=("x", "z")),
    }
    assert len(different) == 8
    assert digest(entry, replace(fact, mtime_ns=1)) == digest(entry)
    assert digest(entry, replace(fact, info=replace(fact.info, stat=(1, 1)))) == digest(entry)


def test_hmdb51_files_lack_one_frame_and_are_sound(tmp_path: Path, clips_dir: Path) -> None:
    """Two real files, each of which declares one frame more than it has."""
    names = [
        "wave/TrumanShow_wave_f_nm_np1_fr_med_26.avi",
        "cartwheel/Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi",
    ]
    for name, source in zip(names, ("TrumanShow_wave*", "*Pippi_Michel*"), strict=True):
        target = tmp_path / name
        target.parent.mkdir()
        target.symlink_to(next(clips_dir.glob(f"hmdb_{source}")))
    write_text(tmp_path / "splits/wave_test_split1.txt", f"{Path(names[0]).name} 1 ")
    write_text(tmp_path / "splits/cartwheel_test_split1.txt", f"{Path(names[1]).name} 2 ")
    manifest = ready(config(tmp_path, HMDB51), tmp_path / "store", min_frames=32)
    assert manifest.rejected == []
    assert manifest.classes == ["cartwheel", "wave"]
    assert {video.path: (video.info.frames, video.group) for video in manifest.videos} == {
        names[0]: (48, "TrumanShow"),
        names[1]: (83, "Turnk_r_Pippi_Michel"),
    }


def test_ucf101_trains_on_the_carved_val_too(tmp_path: Path) -> None:
    names = [f"Golf/v_Golf_g{group:02d}_c01.avi" for group in range(1, 26)]
    first = write_video(tmp_path / names[0], frames=8)
    for name in names[1:]:
        shutil.copy(first, tmp_path / name)
    lists = tmp_path / "ucfTrainTestlist"
    write_text(lists / "classInd.txt", "1 Golf")
    write_text(lists / "trainlist01.txt", *(f"{name} 1" for name in names[:20]))
    write_text(lists / "testlist01.txt", *names[20:])
    manifest = ready(config(tmp_path, UCF101), tmp_path / "store")
    val, train = manifest.ids("val"), manifest.ids("train")
    assert val
    assert len(train) + len(val) == 20
    assert manifest.training() == sorted(train + val)
    assert [video.part for video in manifest.part("test")] == ["test"] * 5
    assert len({manifest.group(video) for video in range(len(manifest.videos))}) == 25


def test_val_of_the_dataset_itself_is_not_trained_on(tmp_path: Path) -> None:
    for name in ("x", "y"):
        write_video(tmp_path / f"{name}.mp4", frames=8, codec="h264")
    write_text(
        tmp_path / "k.csv",
        "label,youtube_id,time_start,time_end,split",
        "dance,x,0,10,train",
        "dance,y,0,10,val",
        "dance,z,0,10,train",
    )
    manifest = ready(config(tmp_path, K400), tmp_path / "store")
    assert [manifest.videos[i].path for i in manifest.training()] == ["x.mp4"]
    assert [(r.path, r.reason) for r in manifest.rejected] == [("z_000000_000010", "absent")]


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dataset\.root=.*/nowhere: no such folder; set dataset\.root to"):
        ready(config(tmp_path / "nowhere"), tmp_path)


def test_no_root_at_all(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dataset\.root is empty; set it to the folder of small"):
        ready(replace(config(tmp_path), root=""), tmp_path)


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        UserError,
        match=r"dataset\.root=.*/empty: holds no video, or none that its lists take; set dataset\.root to",
    ):
        ready(config(tmp_path / "empty"), tmp_path / "store")


def test_a_folder_with_no_usable_video(tmp_path: Path) -> None:
    touch(tmp_path, "a.avi", "b.mp4")
    with pytest.raises(
        UserError, match=r"none of its 2 videos is usable, first a\.avi \(.*\); all are named in"
    ) as e:
        ready(config(tmp_path), tmp_path / "store")
    assert "\n" not in str(e.value)
    named = str(e.value).rpartition(" ")[2]
    assert "b.mp4" in Path(named).read_text()


def test_an_empty_part_is_named(mixed: Path, tmp_path: Path) -> None:
    manifest = ready(config(mixed), tmp_path)
    assert manifest.require([1], "test") == [1]
    with pytest.raises(
        UserError, match=r"dataset\.root=.*: the test split of small has no usable video \(4 refused"
    ):
        manifest.require([], "test")


@pytest.mark.parametrize(
    ("more", "message"),
    [({"split": 4}, r"dataset\.split=4"), ({"name": "a/b"}, r"dataset\.name='a/b'")],
)
def test_settings_that_cannot_work_are_named(more: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        UCF101.Config(**more)


def test_the_demo_is_made_before_it_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(root: Path, cfg: object, workers: int) -> None:
        write_video(root / "up/0.avi", frames=8)
        write_text(root / "splits/classes.txt", "up")
        write_text(root / "splits/train.txt", "up/0.avi")
        write_text(root / "splits/val.txt")
        write_text(root / "splits/test.txt")

    monkeypatch.setattr(demo_module, "make_demo", make)
    manifest = ready(config(tmp_path / "demo", Demo), tmp_path / "store")
    assert [video.path for video in manifest.videos] == ["up/0.avi"]


def test_rotated_and_odd_pictures_are_described_upright(tmp_path: Path) -> None:
    import numpy as np

    frames = [np.full((48, 64, 3), 90, np.uint8)] * 8
    encode(tmp_path / "turned.mp4", frames, codec="h264", rotation=90)
    manifest = ready(config(tmp_path), tmp_path / "store")
    info = manifest.videos[0].info
    assert (info.width, info.height) == (48, 64)
