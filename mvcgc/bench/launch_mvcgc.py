"""Our launcher on trivial stages: ``python -m mvcgc.bench.launch_mvcgc FOLDER STAGES PARTITION``.

The stages build on nothing. Prints a line of JSON: see `mvcgc.bench.launch.Timing`.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

from mvcgc import plan
from mvcgc.config import Jobs, composer
from mvcgc.data.index.manifest import Manifest
from mvcgc.data.index.videos import Video
from mvcgc.launch.slurm import execute
from mvcgc.launch.slurm.config import SlurmConfig
from mvcgc.launch.slurm.submit import ComeBackLater, Submitter
from mvcgc.video.info import Clock, VideoInfo

OVERRIDES = ("dataset=folder", "method=init", "views=rgb", "init.batch_size=1")


def graph_of(stages: int) -> plan.Graph:
    """So many initialisations that differ in their seed."""
    jobs = [[*OVERRIDES, "dataset.root=/nowhere", f"seed={seed}"] for seed in range(stages)]
    with composer() as own:
        rows = [row for table in Jobs(own, jobs, single=False).tables() for row in table.rows]
    return plan.build(rows, {need: _manifest() for need in plan.dataset_needs(rows)})


def _manifest() -> Manifest:
    info = VideoInfo(
        codec="mpeg4",
        width=64,
        height=64,
        fps=25.0,
        frames=32,
        keyframes=(0,),
        seeks=(0,),
        clock=Clock.PTS,
        origin=0,
        step=1.0,
        rotation=0,
        vectors=True,
        damage="",
    )
    videos = [Video(f"{number}.avi", 1, -1, str(number), "train", info) for number in range(16)]
    return Manifest("nothing", Path("/nowhere"), [], videos, [], carved=True)


def main(root: Path, stages: int, partition: str) -> None:
    """Plan, submit, wait."""
    settings = SlurmConfig(partition=partition or None, mem_gb=1, timeout_min=10)
    submit, submitting_s, submitted_at, started_at = Submitter.submit, 0.0, 0.0, time.time()

    def timed(*arguments: Any) -> list[str | ComeBackLater]:
        nonlocal submitting_s, submitted_at
        started = time.monotonic()
        taken = submit(*arguments)
        submitting_s, submitted_at = submitting_s + time.monotonic() - started, time.time()
        return taken

    with patch.object(Submitter, "submit", timed):
        report = execute.execute(graph_of(stages), root, settings, module="mvcgc.bench.noop_stage")
    assert len(report.ran) == stages, report
    told = {"started_at": started_at, "submitting_s": submitting_s, "submitted_at": submitted_at}
    print(json.dumps({**told, "ended_at": time.time()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
