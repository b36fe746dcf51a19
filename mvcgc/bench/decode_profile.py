"""Time and memory of our decoding by phase: ``python -m mvcgc.bench.decode_profile WHAT CORE``.

``WHAT`` is ``phases``, ``colour`` or ``memory``; the input is one line with a list of
`decoders.DecodeTask`, the answer another.
"""

import gc
import json
import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib import import_module
from multiprocessing import active_children
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from mvcgc.bench import measure
from mvcgc.bench.decoders import FRAMES, SIZE, ClipPosition, DecodeTask, mvcgc_reader
from mvcgc.data import inputs
from mvcgc.data.clips import modality, reading
from mvcgc.data.clips.item import Item
from mvcgc.data.clips.modalities import built_in
from mvcgc.data.clips.reading import Format
from mvcgc.data.clips.sampling import ClipConfig, Draw, MotionConfig
from mvcgc.data.loading.batch import Batch
from mvcgc.data.loading.worker_pool import Pool
from mvcgc.video import Box, VideoInfo, distances, picture, reader, stream
from mvcgc.video.info import UPRIGHT

PHASES: list[tuple[str, Any, str]] = [
    ("open", stream, "open_video"),
    ("seek", stream.FrameStream, "_seek"),
    ("decode", stream.FrameStream, "_run_to"),
    ("convert", picture.Converter, "convert"),
    ("vectors", distances, "exported"),
    ("vectors", distances, "words"),
    ("distances", distances.Distances, "add"),
    ("distances", distances.Distances, "vectors"),
    ("raster", reader, "assemble"),
    ("sample", reading, "motion_field"),
    ("sample", modality, "crop_motion"),
]
"""What is watched: phase, owner and name of a function. A phase's time is without that of others within."""

ROUNDS = 9
"""Times that colours are measured; medians count."""

STEP = 250
"""Clips between two looks at the memory."""


class Watch:
    """Adds up the time of phases; the innermost one counts."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._running = ["other"]
        self._since = time.perf_counter()

    def lap(self, phase: str) -> None:
        """Give the time since the last look to ``phase``."""
        now = time.perf_counter()
        self.seconds[phase] += now - self._since
        self._since = now

    def watched(self, phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function``, its time given to ``phase``."""

        def run(*arguments: Any, **named: Any) -> Any:
            self.lap(self._running[-1])
            self._running.append(phase)
            try:
                return function(*arguments, **named)
            finally:
                self.lap(self._running.pop())

        return run


def phases(tasks: Sequence[DecodeTask]) -> list[dict[str, float]]:
    """Milliseconds per clip of RGB and motion in each phase, for each task."""
    gc.freeze()  # torch's objects, which no worker has: to go through them once takes as long as a few clips
    found = []
    for task in tasks:
        watch = Watch()
        with ExitStack() as stack:
            for phase, owner, name in PHASES:
                stack.enter_context(patch.object(owner, name, watch.watched(phase, getattr(owner, name))))
            read, info = mvcgc_reader("rgb", "mv"), VideoInfo.from_dict(task.info)
            read(ClipPosition(Path(task.path), info, task.starts[0]))
            watch.lap("warm up")
            watch.seconds.clear()
            for start in task.starts:
                read(ClipPosition(Path(task.path), info, start))
            watch.lap("other")
        found.append({name: 1000 * spent / len(task.starts) for name, spent in watch.seconds.items()})
    return found


def colour(tasks: Sequence[DecodeTask]) -> list[dict[str, float]]:
    """Milliseconds per clip from decoded pictures to planes, from there to RGB on each device that is there,
    and, beside them, libswscale's way to RGB.
    """
    av = import_module("av")
    devices = [torch.device("cpu"), *([torch.device("cuda")] if torch.cuda.is_available() else [])]
    torch.set_num_threads(1)
    found = []
    for task in tasks:
        with av.open(task.path, metadata_errors="replace") as container:
            frames = [frame for _, frame in zip(range(FRAMES), container.decode(video=0), strict=False)]
        planes = np.empty((3, FRAMES, SIZE, SIZE), np.uint8)
        spent: defaultdict[str, list[float]] = defaultdict(list)
        for _ in range(ROUNDS):
            with _timed(spent["planes"]):
                converter = picture.Converter(UPRIGHT, None, planes)
                for number, frame in enumerate(frames):
                    converter.convert(frame, number)
            with _timed(spent["libswscale's RGB"]):
                scaler = av.video.reformatter.VideoReformatter()
                for frame in frames:
                    scaler.reformat(frame, SIZE, SIZE, "rgb24", interpolation=int(picture.EXACT), threads=1)
            for device in devices:
                stored = torch.from_numpy(planes)[None].to(device)
                rgb = torch.empty(stored.shape, device=device)
                measure.synchronize(device)
                with _timed(spent[f"planes to RGB, {device.type}"]):
                    inputs.convert(stored, {"matrix": [0.0]}, rgb)
                    measure.synchronize(device)
        found.append({way: median(each) for way, each in spent.items()})
    return found


@contextmanager
def _timed(spent: list[float]) -> Iterator[None]:
    started = time.perf_counter()
    yield
    spent.append(1000 * (time.perf_counter() - started))


def memory(tasks: Sequence[DecodeTask], clips: int) -> list[dict[str, float]]:
    """What a loader's worker holds in MB, as it reads ``clips``, for a batch of one clip after the other."""
    form = Format(built_in("rgb", "mv"), ClipConfig(FRAMES, SIZE), MotionConfig(size=SIZE))
    pool, rng, held = Pool(1, form, 1, torch.device("cpu")), random.Random(0), []
    infos = [VideoInfo.from_dict(task.info) for task in tasks]
    for number in range(1, clips + 1):
        task, info = tasks[number % len(tasks)], infos[number % len(tasks)]
        draw = Draw(rng.randrange(info.frames - FRAMES + 1), Box(0, 0, info.height, info.width))
        item = Item(Path(task.path), task.path, info, [[draw]], 0, 0, 0, form, mestimate=False)
        read = pool.ask([item]).batch.result()
        assert isinstance(read, Batch), read
        if number % STEP == 0 or number in (1, clips):
            held.append(_resident(number))
    return held


def _resident(clips: int) -> dict[str, float]:
    """Of the one worker."""
    (worker,) = (each for each in active_children() if each.pid is not None)
    status = dict(line.split(":", 1) for line in Path(f"/proc/{worker.pid}/status").read_text().splitlines())
    resident, own, shared = (int(status[key].split()[0]) / 1000 for key in ("VmRSS", "RssAnon", "RssShmem"))
    return {"clips": float(clips), "resident_mb": resident, "anonymous_mb": own, "shared_mb": shared}


def main(what: str, core: int) -> None:
    """Answer the one question."""
    os.sched_setaffinity(0, {core})
    question = json.loads(sys.stdin.readline())
    tasks = [DecodeTask(**task) for task in question["tasks"]]
    answers: dict[str, Callable[[list[DecodeTask]], list[dict[str, float]]]] = {
        "phases": phases,
        "colour": colour,
        "memory": partial(memory, clips=question.get("clips", 0)),
    }
    print(json.dumps(answers[what](tasks)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
