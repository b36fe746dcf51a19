"""What launching costs: our SLURM launcher beside Hydra's own, each in its own process, on trivial jobs."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mvcgc.bench import measure
from mvcgc.errors import UserError
from mvcgc.launch.slurm import queue

_LABELS = {
    "per_job_s": "submission, per job",
    "submitted_s": "until all are submitted",
    "total_s": "until all have ended",
}
_ARRAY = (
    "Hydra's launcher sends one array of tasks; ours a job for every stage, which others can wait for, and "
    "writes each one's configuration, provenance and lock."
)


@dataclass(frozen=True)
class Timing:
    """Seconds of one submission, and from the launcher's start to the last submission and to its end.

    Both compose in that time, ours plans, too; imports, which are the application's, are left out for both.
    """

    per_job_s: float
    submitted_s: float
    total_s: float


def run(jobs: int, partition: str | None, rounds: int) -> measure.BenchReport:
    """Both launchers in turns on so many jobs, which wait for nothing; each the best of ``rounds``.

    Raises UserError where SLURM cannot be asked, or a launcher fails.
    """
    try:
        cluster = queue.cluster_name()
    except queue.QueueUnavailable as error:
        raise UserError(f"bench launch: {error}; slurm/local-cluster up starts a cluster here") from error
    here = measure.environment()
    # Jobs and this process must both see the folder: the current one is as good a guess as sbatch's own.
    folder = Path(tempfile.mkdtemp(prefix=".bench-launch-", dir=Path.cwd()))
    try:
        ours, stock = [], []
        for number in range(rounds):
            ours.append(_ours(folder / f"ours{number}", jobs, partition))
            stock.append(_stock(folder / f"stock{number}", jobs, partition))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    best = {"ours": asdict(_best(ours)), "stock": asdict(_best(stock))}
    what = f"{jobs} trivial jobs on {cluster}, the best of {rounds} rounds, in seconds. {_ARRAY}"
    rows = [[label, best["ours"][name], best["stock"][name]] for name, label in _LABELS.items()]
    return measure.BenchReport(
        "launch",
        "Launching",
        here,
        {"cluster": cluster, "jobs": jobs, "rounds": rounds, **best},
        [what, measure.markdown_table(["", "ours", "hydra-submitit-launcher"], rows)],
    )


def _best(timings: Sequence[Timing]) -> Timing:
    return Timing(*(min(getattr(timing, name) for timing in timings) for name in asdict(timings[0])))


def _ours(folder: Path, jobs: int, partition: str | None) -> Timing:
    return _timed(
        [sys.executable, "-m", "mvcgc.bench.launch_mvcgc", str(folder), str(jobs), partition or ""], jobs
    )


def _stock(folder: Path, jobs: int, partition: str | None) -> Timing:
    settings = {"submitit_folder": f"{folder}/%j", "mem_gb": 1, "timeout_min": 10, "cpus_per_task": 1}
    if partition:
        settings["partition"] = partition
    overrides = [f"hydra.launcher.{key}={value}" for key, value in settings.items()]
    numbers = ",".join(map(str, range(jobs)))
    command = ["-m", "hydra/launcher=submitit_slurm", f"+job={numbers}", f"hydra.sweep.dir={folder}"]
    return _timed([sys.executable, "-m", "mvcgc.bench.launch_hydra", *command, *overrides], jobs)


def _timed(command: Sequence[str], jobs: int) -> Timing:
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = " ".join(done.stderr.strip().splitlines()[-3:])
        raise UserError(f"{' '.join(command[1:3])} ended with exit code {done.returncode}: {said}")
    timing = json.loads(done.stdout.splitlines()[-1])
    return Timing(
        per_job_s=timing["submitting_s"] / jobs,
        submitted_s=timing["submitted_at"] - timing["started_at"],
        total_s=timing["ended_at"] - timing["started_at"],
    )
