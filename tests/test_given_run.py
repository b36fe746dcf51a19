"""From a trained encoder to a file, and from the file to a table, by real commands and stages."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mvcgc.video import encode

SMALL = (
    *("dataset=folder", "scale=few_steps", "views=rgb", "backbone.width=0.0625"),
    *("init.epochs=1", "cross.epochs=1", "downstream.tasks=[retrieve]", "downstream.test.windows=1"),
    *("tracking=off", "root=runs", "results=results"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two classes of small moving textures."""
    folder = tmp_path_factory.mktemp("given")
    texture = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    for label in ("left", "right"):
        (folder / "videos" / label).mkdir(parents=True)
        for number in range(10):
            step = 2 if label == "right" else -2
            frames = [np.roll(texture, step * time + number, axis=1) for time in range(10)]
            encode(folder / "videos" / label / f"{number:02d}.avi", frames)
    return folder


def command(folder: Path, *arguments: str, code: int = 0) -> str:
    """Run a command in ``folder``; returns its output."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MVCGC_ROOT": "runs"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def table(folder: Path) -> dict[str, Path]:
    """The stage folders behind the table of the last run, by row; all of it is finished."""
    (file,) = folder.glob("results/*/run-videos.csv")
    with file.open() as lines:
        found = list(csv.DictReader(lines))
    assert {(line["label"], line["state[0]"]) for line in found} == {("R@1 rgb", "finished")}
    assert all(0 <= float(line["mean"]) <= 100 for line in found)
    stages = folder / "runs" / "stages"
    return {line["row"]: stages / f"{line['stage']}-{line['fingerprint[0]']}" for line in found}


def features(stage: Path) -> np.ndarray:
    """All features that a retrieval has left, one row per video."""
    with np.load(stage / "features.npz") as arrays:
        wanted = [arrays[name] for name in sorted(arrays) if arrays[name].ndim == 2]
    assert wanted
    return np.concatenate(wanted)


def test_weights_go_out_and_come_back_in(folder: Path) -> None:
    given = (*SMALL, f"dataset.root={folder / 'videos'}")
    command(folder, "mvcgc.run", *given, "method=init", "name=trained")
    trained = features(table(folder)["trained"])
    command(folder, "mvcgc.cli", "export", "init/rgb", "rgb.safetensors")

    weights = "init.weights.rgb=rgb.safetensors"
    command(folder, "mvcgc.run", "-m", *given, weights, "method=random,none,infonce")
    rows = table(folder)
    assert set(rows) == {"Random weights", "Given weights", "InfoNCE (continued)"}
    assert np.array_equal(features(rows["Given weights"]), trained)
    untrained, continued = features(rows["Random weights"]), features(rows["InfoNCE (continued)"])
    assert not np.allclose(untrained, trained)
    assert not np.allclose(continued, trained)
    # The second stage started from the file, and no initialisation was trained again.
    assert len(list((folder / "runs" / "stages" / "init").glob("rgb-*"))) == 1
    (cross,) = (folder / "runs" / "stages").glob("cross-*")
    assert f"rgb: {folder / 'rgb.safetensors'}" in (cross / "config.yaml").read_text()

    refused = command(folder, "mvcgc.run", *given, weights, "backbone.width=0.125", "method=none", code=2)
    assert refused.startswith(
        "error: init.weights.rgb=rgb.safetensors: holds a backbone r2plus1d_4, width=0.0625"
    )
    assert len(refused.splitlines()) == 1


def test_the_weights_as_one_mapping(folder: Path) -> None:
    """``'init.weights={rgb:FILE}'``, of a file that is not there."""
    given = (*SMALL, f"dataset.root={folder / 'videos'}", "method=none")
    refused = command(folder, "mvcgc.run", *given, "init.weights={rgb:none.safetensors}", code=2)
    assert refused.splitlines()[-1].startswith(
        "error: init.weights.rgb=none.safetensors: No such file or directory"
    )
