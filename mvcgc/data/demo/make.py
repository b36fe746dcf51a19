"""Making the demo dataset's files, in parallel; complete and in place, or not there at all."""

import json
import multiprocessing
import os
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from mvcgc.data.demo.config import DemoConfig
from mvcgc.data.demo.motions import Motion
from mvcgc.data.demo.render import render
from mvcgc.data.index.progress import progress
from mvcgc.data.index.workers import obey
from mvcgc.errors import UserError
from mvcgc.video import encode

VERSION = 3
"""Raise it when the same configuration gives other videos: they are made again."""
STAMP = "demo.json"
PARTS = ("train", "val", "test")
FPS = 25


@dataclass(frozen=True)
class Coding:
    """Codec, container and GOP of a video."""

    codec: str
    suffix: str
    bframes: int
    gop: int
    options: tuple[tuple[str, str], ...] = ()


_FOUR_VECTORS = (("flags", "+mv4"),)
"""MPEG-4 part 2: vectors of 8 x 8 blocks where that pays, as H.264 has them anyway."""
CODINGS = (
    Coding("mpeg4", ".avi", 1, 16, _FOUR_VECTORS),
    Coding("h264", ".mp4", 2, 48),
    Coding("mpeg4", ".avi", 1, 16, _FOUR_VECTORS),
    Coding("h264", ".mp4", 1, 48),
    Coding("mpeg4", ".avi", 1, 16, _FOUR_VECTORS),
    Coding("h264", ".mp4", 2, 48),
    Coding("mpeg4", ".avi", 0, 16, _FOUR_VECTORS),
    Coding("h264", ".mp4", 0, 48),
)
"""Taken in turn by the videos of a class and part. Oscillations outrun more B-frames of MPEG-4 than one."""


@dataclass(frozen=True)
class Job:
    """One video to be made: `path` is relative to the dataset's root."""

    path: str
    motion: Motion
    coding: Coding
    seed: tuple[int, int, int]


def jobs(cfg: DemoConfig) -> dict[str, list[Job]]:
    """The videos of every part.

    A video depends on the seed, its part and its index alone: a larger part begins with the smaller one's.
    """
    return {part: [_job(cfg, part, index) for index in range(getattr(cfg, part))] for part in PARTS}


def _job(cfg: DemoConfig, part: str, index: int) -> Job:
    motion = list(Motion)[index % cfg.classes]
    coding = CODINGS[index // cfg.classes % len(CODINGS)]
    path = f"{motion.value}/{part}_{index:05d}{coding.suffix}"
    return Job(path, motion, coding, (cfg.seed, PARTS.index(part), index))


def make_demo(root: Path, cfg: DemoConfig, workers: int) -> None:
    """Make the demo dataset in ``root`` with ``workers`` processes, unless just this one is there already.

    A demo dataset of another configuration in ``root`` is replaced. The same configuration gives the same
    bytes on the same machine, whatever the number of workers.

    Raises:
        UserError: ``root`` holds something else.
    """
    content = {field.name: getattr(cfg, field.name) for field in fields(DemoConfig)}
    stamp = json.dumps({"version": VERSION, **content}, indent=1) + "\n"
    if _is_made(root, stamp):
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        _fill(fresh, cfg, workers)
        (fresh / STAMP).write_text(stamp)
        fresh.chmod(0o755)
        _publish(fresh, root, stamp)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _is_made(root: Path, stamp: str) -> bool:
    """Return whether ``root`` holds the dataset of ``stamp``. Raises UserError if it is not ours."""
    try:
        return (root / STAMP).read_text() == stamp
    except FileNotFoundError:
        if root.is_dir() and not any(root.iterdir()):
            return False
    except NotADirectoryError:
        pass
    if root.exists():
        raise UserError(
            f"dataset.root={root}: holds something that is not the demo dataset; give a new folder for it"
        )
    return False


def _fill(folder: Path, cfg: DemoConfig, workers: int) -> None:
    plan = jobs(cfg)
    classes = [motion.value for motion in Motion][: cfg.classes]
    splits = {"classes": classes} | {part: [job.path for job in plan[part]] for part in PARTS}
    for name in ("splits", *classes):
        (folder / name).mkdir()
    for name, lines in splits.items():
        (folder / "splits" / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))
    todo = [(str(folder), cfg.size, cfg.frames, job) for part in PARTS for job in plan[part]]
    with progress("making the demo's videos", len(todo)) as advance:
        if workers <= 1:
            for task in todo:
                _write(task)
                advance(1)
            return
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, spawn, initializer=obey, initargs=(os.getpid(),)) as pool:
            try:
                for _ in pool.map(_write, todo, chunksize=4):
                    advance(1)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise


def _write(task: tuple[str, int, int, Job]) -> None:
    """Make one video: (folder, side, frames, job). Runs in a worker process."""
    folder, size, frames, job = task
    coding = job.coding
    encode(
        Path(folder, job.path),
        render(np.random.SeedSequence(job.seed), job.motion, frames, size),
        fps=FPS,
        codec=coding.codec,
        bframes=coding.bframes,
        gop=coding.gop,
        options=dict(coding.options),
    )


def _publish(fresh: Path, root: Path, stamp: str) -> None:
    """Put ``fresh`` in the place of ``root``, unless another process has just made the same dataset there."""
    if _is_made(root, stamp):
        return
    if root.is_dir():
        old = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
        os.replace(root, old)
        os.replace(fresh, root)
        shutil.rmtree(old)
    else:
        os.replace(fresh, root)
