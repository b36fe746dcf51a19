"""Where our time on a clip goes, and what a worker holds: ``python -m mvcgc.bench.profile WHAT CORE``.

``WHAT`` is ``phases`` or ``memory``; the input is one line with a list of `decoders.Job`, the answer another.
"""

import json
import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

from mvcgc.bench.decoders import FRAMES, At, Job, ours
from mvcgc.data import views
from mvcgc.video import VideoInfo, distances, picture, reader, stream

PHASES: list[tuple[str, Any, str]] = [
    ("open", stream, "open_video"),
    ("seek", stream.FrameStream, "_seek"),
    ("decode", stream.FrameStream, "at"),
    ("convert", picture.Converter, "convert"),
    ("vectors", reader, "fetch"),
    ("distances", distances.Distances, "measure"),
    ("distances", distances.Distances, "settle"),
    ("raster", reader, "assemble"),
    ("sample", views, "motion_field"),
    ("sample", views, "crop_motion"),
]
"""What is watched: phase, owner and name of a function. A phase's time is without that of others within."""

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


def phases(jobs: Sequence[Job]) -> list[dict[str, float]]:
    """Milliseconds per clip of RGB and motion in each phase, for each job."""
    found = []
    for job in jobs:
        watch = Watch()
        with ExitStack() as stack:
            for phase, owner, name in PHASES:
                stack.enter_context(patch.object(owner, name, watch.watched(phase, getattr(owner, name))))
            read, info = ours("rgb", "mv"), VideoInfo.from_dict(job.info)
            read(At(Path(job.path), info, job.starts[0]))
            watch.lap("warm up")
            watch.seconds.clear()
            for start in job.starts:
                read(At(Path(job.path), info, start))
            watch.lap("other")
        found.append({name: 1000 * spent / len(job.starts) for name, spent in watch.seconds.items()})
    return found


def memory(jobs: Sequence[Job], clips: int) -> list[dict[str, float]]:
    """What this process holds in MB, all and without what files back, before and as it reads ``clips``."""
    read, rng, held = ours("rgb", "mv"), random.Random(0), [_resident(0)]
    infos = [VideoInfo.from_dict(job.info) for job in jobs]
    for number in range(1, clips + 1):
        job, info = jobs[number % len(jobs)], infos[number % len(jobs)]
        read(At(Path(job.path), info, rng.randrange(info.frames - FRAMES + 1)))
        if number % STEP == 0 or number == clips:
            held.append(_resident(number))
    return held


def _resident(clips: int) -> dict[str, float]:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    resident, own = (int(status[key].split()[0]) / 1000 for key in ("VmRSS", "RssAnon"))
    return {"clips": float(clips), "resident_mb": resident, "anonymous_mb": own}


def main(what: str, core: int) -> None:
    """Answer the one question."""
    os.sched_setaffinity(0, {core})
    question = json.loads(sys.stdin.readline())
    jobs = [Job(**job) for job in question["jobs"]]
    print(json.dumps(phases(jobs) if what == "phases" else memory(jobs, question["clips"])))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
