"""The datasets as their authors lay them out, in miniature, through all stages: real files, real training."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mvcgc.cli import main
from mvcgc.video import encode

FRAMES = 36  # K400 needs 34
CLASSES = ("brush_hair", "wave")
SMALL = (
    "scale=few_steps",
    "downstream.linear.epochs=2",
    "downstream.finetune.epochs=1",
    *(f"downstream.{task}.batch_size=2" for task in ("linear", "finetune")),
    "tracking=off",
)


def video(path: Path, label: int, number: int, codec: str) -> None:
    """Content that moves to the right or down, by class."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.random.default_rng(number).integers(0, 255, (64, 80, 3), dtype=np.uint8)
    frames = [np.roll(picture, 2 * t, axis=1 - label) for t in range(FRAMES)]
    encode(path, frames, codec=codec, bframes=1)


def lines(path: Path, *text: str) -> None:
    """With the line ends of the authors' files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\r\n" for line in text))


def ucf101(root: Path) -> None:
    """Class folders below UCF-101, three splits in ucfTrainTestlist; groups g01 to g06."""
    lists = root / "ucfTrainTestlist"
    names = {"brush_hair": "BrushHair", "wave": "Wave"}
    lines(lists / "classInd.txt", *(f"{n} {names[label]}" for n, label in enumerate(CLASSES, 1)))
    clips = {}
    for label, name in enumerate(names.values()):
        for group in range(1, 7):
            clips[f"{name}/v_{name}_g{group:02d}_c01.avi"] = (label, group)
    for number, (clip, (label, _)) in enumerate(clips.items()):
        video(root / "UCF-101" / clip, label, number, "mpeg4")
    for split in (1, 2, 3):
        tested = {2 * split - 1, 2 * split}
        train = [f"{clip} {label + 1}" for clip, (label, group) in clips.items() if group not in tested]
        lines(lists / f"trainlist{split:02d}.txt", *train)
        lines(lists / f"testlist{split:02d}.txt", *(c for c, (_, group) in clips.items() if group in tested))


def hmdb51(root: Path) -> None:
    """Class folders, and beside them a split file for every class and split; some clips are in no part."""
    for label, name in enumerate(CLASSES):
        clips = [f"Film_{n}_{name}_u_nm_np1_ba_goo_0.avi" for n in range(7)]
        for number, clip in enumerate(clips):
            video(root / name / clip, label, 20 + number, "mpeg4")
        for split in (1, 2, 3):
            flags = ["0"] + ["2" if n in (2 * split - 1, 2 * split) else "1" for n in range(1, 7)]
            text = [f"{clip} {flag} " for clip, flag in zip(clips, flags, strict=True)]
            lines(root / "testTrainMulti_7030_splits" / f"{name}_test_split{split}.txt", *text)


def k400(root: Path) -> None:
    """Three lists, class folders below each part, and one video that has vanished from YouTube."""
    number = 40
    for part, folder, count in (("train", "train", 4), ("validate", "val", 1), ("test", "test", 2)):
        rows = []
        for label, name in enumerate(CLASSES):
            for _ in range(count):
                number += 1
                clip = f"Yt-_{number:07d}"
                rows.append(f"{name.replace('_', ' ')},{clip},{number},{number + 10},{part}")
                video(
                    root / folder / name / f"{clip}_{number:06d}_{number + 10:06d}.mp4", label, number, "h264"
                )
        if part == "train":
            rows.append(f"wave,vanished___,0,10,{part}")
        lines(root / f"kinetics_400_{part}.csv", "label,youtube_id,time_start,time_end,split", *rows)


Run = Callable[..., str]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the three datasets in ``data``; runs come beside them."""
    folder = tmp_path_factory.mktemp("layouts")
    for make in (ucf101, hmdb51, k400):
        make(folder / "data" / make.__name__)
    return folder


@pytest.fixture(scope="module")
def run(home: Path) -> Run:
    """``python -m mvcgc.run -m``; what it prints."""

    def started(*arguments: str) -> str:
        environment = {**os.environ, "MVCGC_DATA": str(home / "data"), "MVCGC_ROOT": str(home / "runs")}
        done = subprocess.run(
            [sys.executable, "-m", "mvcgc.run", "-m", *SMALL, *arguments],
            cwd=home,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return started


@pytest.mark.parametrize("name", ["ucf101", "hmdb51", "k400"])
def test_a_dataset_runs_through_all_stages(
    run: Run, home: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = run(f"dataset={name}", "downstream=full")
    for stage in (
        "init/rgb",
        "init/mv",
        "cross",
        *(f"{task}/{name}" for task in ("linear", "finetune", "retrieve")),
    ):
        assert f"{stage} done" in out
    assert "[6/6]" in out
    assert main(["--root", str(home / "runs"), "data", "report"]) == 0
    report = capsys.readouterr().out
    usable, split = {"k400": ("14 of 15", "train 8, val 2, test 4")}.get(
        name, ("12 of 12", "train 8, val 0, test 4")
    )
    assert f"{name}: {usable} videos are usable ({split}; 2 classes)" in report
    assert ("vanished____000000_000010 (-): listed, but not there" in report) == (name == "k400")


def test_pretrained_on_one_and_tested_on_the_others(run: Run) -> None:
    """Only what is new is run: the pre-training on Kinetics is there."""
    out = run("dataset=k400", "downstream=ucf101_hmdb51", "downstream.tasks=[retrieve]")
    for name in ("ucf101", "hmdb51"):
        assert f"retrieve/{name} done" in out
    assert "cross starts" not in out


def test_another_official_split_is_another_dataset(run: Run) -> None:
    out = run("dataset=ucf101", "dataset.split=2", "downstream=retrieve", "hydra/launcher=plan")
    assert "4 stages, 4 submit" in out
